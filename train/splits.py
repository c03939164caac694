"""Splits of genes into training, validation and test."""

from typing import Final

TRAIN: Final = 0
VALID: Final = 1
TEST: Final = 2
SPLIT_NAMES: Final = ("train", "valid", "test")
