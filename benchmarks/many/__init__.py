"""Benchmark counting on many files."""
