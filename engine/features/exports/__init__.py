"""Write features in the formats of other programs: one module per format, and ``formats``, which lists them."""
