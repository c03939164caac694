"""From expression and features to trained models. Nothing here is imported by the engine."""
