"""Run ``dc`` as ``python -m deepchrome``."""

from deepchrome.cli import main

if __name__ == "__main__":
    main()
