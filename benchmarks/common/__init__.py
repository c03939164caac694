"""Measure processes, and save, compare and show results."""
