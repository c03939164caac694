"""The engine: reads in, counts per gene and bin out. Never imports torch or ``deepchrome.train``."""
