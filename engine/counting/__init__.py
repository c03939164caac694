"""Count the reads of one file."""
