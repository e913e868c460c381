"""One file a layout of a data set on disk."""
