"""Train models on features and expression, evaluate them, and report on them. The engine never imports this package."""

import os

# Let threads that wait for each other within a matrix product sleep instead of spin. On cores shared with other
# programs, spinning makes an epoch ten times slower. PyTorch reads this when it loads OpenMP, so it is set first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
