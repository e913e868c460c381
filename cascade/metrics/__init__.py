"""Two `Findings` in, figures out; below training and bench, which both use them."""
