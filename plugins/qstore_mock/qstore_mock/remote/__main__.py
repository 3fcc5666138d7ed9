"""`python -m qstore_mock.remote`, the same as the command `qstore-mock-provider`."""

from __future__ import annotations

from qstore_mock.remote.cli import main

if __name__ == "__main__":
    main(prog_name="qstore-mock-provider")
