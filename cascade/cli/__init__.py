"""The command line: one file per command, which imports nothing heavy until the command runs."""
