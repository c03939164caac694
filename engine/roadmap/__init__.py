"""Roadmap Epigenomics: its files, and their download."""
