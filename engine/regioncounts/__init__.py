"""Count many files of reads in the same regions, and write the counts as a table."""
