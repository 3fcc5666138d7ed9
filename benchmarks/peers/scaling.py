"""How the time of a forward pass grows with qubits and rows, for everybody."""

from __future__ import annotations

from collections.abc import Sequence

from peers.contest import compare
from peers.work import Work

QUBITS = (4, 8, 12, 16, 20)
ROWS = (1, 10, 100, 1000)
DEPTH = 2
MOST = 2**24  # amplitudes over all rows
PEERS = ("lightning.qubit", "qulacs", "Aer by hand", "tensorcircuit", "qstore mock, numba")


def compare_scaling(cores: int, seconds: float, only: Sequence[str]) -> None:
    """Print a table for each width and number of rows, then how many times as long as ours each peer takes."""
    lines = []
    for n_qubits in QUBITS:
        for rows in (rows for rows in ROWS if rows << n_qubits <= MOST):
            work = Work(n_qubits, DEPTH, samples=rows)
            seconds_of = compare("scaling", work, cores, seconds, ["forward"], only)["forward"]
            lines.append(f"  {n_qubits:6}{rows:7}" + "".join(f"{_ratio(seconds_of, peer):>20}" for peer in PEERS))
    print("\nhow many times as long as ours in NumPy, double precision; '-': left out")
    print("  qubits   rows" + "".join(f"{peer:>20}" for peer in PEERS))
    print("\n".join(lines), flush=True)


def _ratio(seconds: dict[str, float], peer: str) -> str:
    theirs = [value for name, value in seconds.items() if name.startswith(peer) and name.endswith("double")]
    return f"{min(theirs) / seconds['qstore mock, double']:.2f}" if theirs else "-"
