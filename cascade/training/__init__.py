"""Training: cases in, weights out. Nothing heavy is imported until a function runs."""

from cascade.core.registry import refuse_shadowed

refuse_shadowed()  # before a module below imports what another package's name hides
