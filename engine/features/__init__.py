"""Count many files of reads and write one Parquet file of features per epigenome."""
