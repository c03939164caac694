"""Score genes: test sets and new features."""
