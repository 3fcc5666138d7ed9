"""`python -m qstore_ionq.emulator`, the same as the command `qstore-ionq-emulator`."""

from __future__ import annotations

from qstore_ionq.emulator.cli import main

if __name__ == "__main__":
    main(prog_name="qstore-ionq-emulator")
