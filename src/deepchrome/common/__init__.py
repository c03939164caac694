"""What the engine and the trainer both need."""
