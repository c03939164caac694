"""Load training data: expression, labels, splits and model inputs."""
