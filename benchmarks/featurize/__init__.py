"""Benchmark counting against bedtools and other programs."""
