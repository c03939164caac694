"""Paths of the tests, of the checkout, and of the real data beside the checkout."""

import os
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
CHECKOUT = TESTS.parent
SHARED = Path(os.environ.get("DEEPCHROME_SHARED") or CHECKOUT.parent / "shared") / "data"
