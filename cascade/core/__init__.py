"""Values without behaviour beyond themselves, which everything else speaks in."""
