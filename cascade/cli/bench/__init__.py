"""`cascade-bench`: how right, how fast and how real; one file a command."""
