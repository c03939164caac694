"""Explain what the models learned."""
