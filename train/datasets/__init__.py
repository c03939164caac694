"""Data to train on: expression, labels, splits, model inputs."""
