"""Score genes with trained models: test genes, other data and new features."""
