"""Simulate reads, genes and expression, with known truth."""
