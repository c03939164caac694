"""Helpers that both the engine and the trainer use."""
