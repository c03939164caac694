"""Measure processes; keep and print results."""
