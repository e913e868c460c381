"""`cascade-train`: data in, a run folder with a bundle out; one file a command."""
