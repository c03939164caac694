"""Tools for maintainers, left out of the wheel."""
