"""Training: cases in, weights out. Nothing heavy is imported until a function runs."""
