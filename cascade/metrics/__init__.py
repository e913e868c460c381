"""Two `Findings` in, figures out."""
