"""Benchmark many files at a time."""
