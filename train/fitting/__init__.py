"""Train many models in lockstep."""
