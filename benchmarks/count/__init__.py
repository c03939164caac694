"""``dc bench count``: count reads in regions with ``dc count`` and with other programs."""
