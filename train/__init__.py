"""The trainer: from features and expression to trained models and their report. The engine never imports it."""

import os

# Let threads that wait for each other within a matrix product sleep instead of spin. On cores shared with other
# programs, spinning makes an epoch ten times slower. PyTorch reads this when it loads OpenMP, so it is set first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
