"""Feature files: many files of reads in, one Parquet file per epigenome out."""
