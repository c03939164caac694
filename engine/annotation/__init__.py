"""Genes, genomes, and windows around TSSs."""
