"""Train models and store them in run directories."""
