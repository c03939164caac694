"""Benchmark training."""
