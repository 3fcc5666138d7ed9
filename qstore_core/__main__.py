"""`python -m qstore_core` is the command `qstore`."""

from __future__ import annotations

from qstore_core.cli import main

if __name__ == "__main__":
    main(prog_name="qstore")
