"""qstore's simulator beside the simulators people train on: one piece of work, checked first, then timed in turn.

Each round does every way once, each time another one first, so that whatever else the machine does meets all of them;
the tables have medians over the rounds as ratios to ours. All run on the same cores, pinned. A way that is too slow for
as many rounds as the others has fewer. `make bench-peers` has what this needs in an environment of its own.

    python benchmarks/peers_speed.py                       S and M on one core, every readout, and the training run
    python benchmarks/peers_speed.py --work S --readout last --quick
    python benchmarks/peers_speed.py --cores 2
    python benchmarks/peers_speed.py --scaling                 forward passes of 4 to 20 qubits, 1 to 1000 rows
"""

from __future__ import annotations

import argparse
import os


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", choices=("S", "M"), nargs="+", default=["S", "M"])
    parser.add_argument("--readout", choices=("last", "mean", "first"), nargs="+", default=["last", "mean", "first"])
    parser.add_argument("--cores", type=int, default=1, help="how many cores everybody has")
    parser.add_argument("--seconds", type=float, default=20.0, help="the time for one column of one table")
    columns = ("forward", "spsa", "shift", "exact", "sampled forward", "sampled spsa")
    peers = ("lightning", "qulacs_ways", "tensorcircuit_ways", "qiskit_ways")
    parser.add_argument("--columns", nargs="+", choices=columns, help="only these")
    parser.add_argument("--only", nargs="+", default=[], choices=peers, help="only these peers")
    parser.add_argument("--quick", action="store_true", help="a tenth of the time")
    parser.add_argument("--scaling", action="store_true", help="only how the time grows with qubits and rows")
    parser.add_argument("--no-runs", action="store_true", help="leave out the training runs")
    return parser.parse_args()


CHOSEN = _arguments()
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: CHOSEN.cores])
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = str(CHOSEN.cores)  # before NumPy is imported

from peers.contest import compare, compare_runs  # noqa: E402
from peers.promises import print_promises, print_run_promises  # noqa: E402
from peers.scaling import compare_scaling  # noqa: E402
from peers.work import Work  # noqa: E402

WORKS = {"S": (8, 2), "M": (16, 3)}


def main() -> None:
    seconds = CHOSEN.seconds / (10 if CHOSEN.quick else 1)
    if CHOSEN.scaling:
        compare_scaling(CHOSEN.cores, seconds, CHOSEN.only)
        return
    for name in CHOSEN.work:
        for readout in CHOSEN.readout:
            work = Work(*WORKS[name], readout, light_cone=readout == "first")
            table = compare(name, work, CHOSEN.cores, seconds, CHOSEN.columns, CHOSEN.only)
            if not work.light_cone:
                print_promises(name, table)
        if not CHOSEN.no_runs:
            taken = compare_runs(name, *WORKS[name], rounds=3 if CHOSEN.quick else 9)
            if name == "S":
                print_run_promises(taken)


if __name__ == "__main__":
    main()
