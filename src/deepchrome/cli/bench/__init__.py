"""The commands ``dc bench ...``, one file each."""
