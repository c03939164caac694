"""Download files of the Roadmap Epigenomics project."""
