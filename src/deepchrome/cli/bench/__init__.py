"""The commands ``dc bench ...``, one file per command."""
