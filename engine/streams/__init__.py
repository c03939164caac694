"""Read blocks of bytes from files, standard input and URLs."""
