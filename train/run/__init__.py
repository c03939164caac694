"""The run directory, and everything written to it."""
