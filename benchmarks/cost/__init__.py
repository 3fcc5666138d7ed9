"""The parts of `cost_to_target.py`: tasks, methods, runs, promises and the report."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before NumPy is imported: every core has a process of its own
