"""Measurements: the engine and the trainer against their peers and their floors."""
