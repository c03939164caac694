"""``python -m deepchrome`` is the same program as ``dc``."""

from deepchrome.cli import main

if __name__ == "__main__":
    main()
