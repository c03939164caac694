"""From expression and features to trained models. Nothing here is imported by the engine."""

import os

# Threads that wait for each other within a matrix product sleep instead of spinning. On cores shared with other
# programs, spinning made an epoch ten times slower; it must be set before PyTorch loads its OpenMP.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
