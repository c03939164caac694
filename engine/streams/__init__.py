"""Blocks of bytes from files, standard input and URLs."""
