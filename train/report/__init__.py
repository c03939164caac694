"""The report on what the models learned."""
