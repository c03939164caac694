"""Read genes and genomes, and place windows around TSSs."""
