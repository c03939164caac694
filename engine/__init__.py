"""The engine: count reads per gene and bin. It never imports torch or ``deepchrome.train``."""
