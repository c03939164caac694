"""Train models and keep them: run directories, and all files in them."""
