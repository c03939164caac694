"""Benchmarks of the engine and the trainer."""
