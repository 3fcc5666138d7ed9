"""What each setting of a training run may be, by name: a test, and the words for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from qstore_core.cost import Budget


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value may be.

    Attributes:
        words: The end of the sentence "must be ...".
        holds: Whether a value is permitted.

    >>> RULES["batch_size"].words, RULES["batch_size"].holds(0)
    ('a whole number of at least 1', False)
    """

    words: str
    holds: Callable[[Any], bool]


def _number(words: str, holds: Callable[[float], bool]) -> Rule:
    return Rule(words, lambda value: _is_number(value) and holds(value))


def _whole(least: int, *, optional: bool = False) -> Rule:
    words = f"a whole number of at least {least}{' or None' if optional else ''}"
    return Rule(words, lambda v: (optional and v is None) or (_is_whole(v) and v >= least))


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and isfinite(value)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


MOST_SHOTS = 10**9
"""More shots of one circuit are a slip: no provider takes as many, and they tell an output to within 3e-5."""

_POSITIVE = _number("a number above 0", lambda value: value > 0)
_NOT_NEGATIVE = _number("a number of at least 0", lambda value: value >= 0)
_SHARE = _number("a number from 0 to below 1", lambda value: 0 <= value < 1)
_FLAG = Rule("True or False", lambda value: isinstance(value, bool))
_NAME = Rule("a name", lambda value: isinstance(value, str))
_OPTIONAL_NAME = Rule("a name or None", lambda value: value is None or isinstance(value, str))
_PLACE = Rule("a path or None", lambda v: v is None or (isinstance(v, str | Path) and bool(str(v).strip())))
_OPTIONS = Rule("a dict of JSON values by option name", lambda v: isinstance(v, Mapping) and _is_json(dict(v)))

RULES: dict[str, Rule] = {
    "learning_rate": _POSITIVE,
    "learning_rate_decay": _NOT_NEGATIVE,
    "batch_size": _whole(1),
    "epochs": _whole(0),
    "n_qubits": _whole(1),
    "circuit_depth": _whole(1),
    "entanglement": _NAME,
    "optimizer": _NAME,
    "optimizer_options": _OPTIONS,
    "parameter_averaging": _SHARE,
    "reduce": _NAME,
    "gradient_method": _NAME,
    "gradient_options": _OPTIONS,
    "momentum": _SHARE,
    "weight_decay": _NOT_NEGATIVE,
    "shots_per_circuit": Rule(
        f"a whole number of at least 1, or None for exact expectation values, and at most {MOST_SHOTS:,}",
        lambda v: v is None or (_is_whole(v) and 1 <= v <= MOST_SHOTS),
    ),
    "max_concurrent_circuits": _whole(1),
    "use_gradient_clipping": _FLAG,
    "gradient_clip_value": _POSITIVE,
    "checkpoint_interval": _whole(1),
    "checkpoint_directory": _PLACE,
    "log_interval": _whole(1),
    "enable_circuit_cache": _FLAG,
    "enable_batch_execution": _FLAG,
    "hardware_efficient_ansatz": _FLAG,
    "cache_size": _whole(1),
    "batch_timeout": _POSITIVE,
    "max_job_attempts": _whole(1),
    "spsa_c_initial": _POSITIVE,
    "spsa_a_initial": _POSITIVE,
    "gradient_subsample_size": _whole(1),
    "enable_performance_tracking": _FLAG,
    "performance_log_dir": _PLACE,
    "quantum_sdk": _NAME,
    "quantum_target": _NAME,
    "run_directory": _PLACE,
    "pinecone_api_key": _OPTIONAL_NAME,
    "pinecone_environment": _NAME,
    "pinecone_index_name": _OPTIONAL_NAME,
    "store": _OPTIONAL_NAME,
    "store_path": _PLACE,
    "store_options": _OPTIONS,
    "store_training_vectors": Rule("True, False or None", lambda value: value is None or isinstance(value, bool)),
    "cache": _NAME,
    "cache_path": _PLACE,
    "seed": _whole(0, optional=True),
    "budget": Rule("a Budget or None", lambda value: value is None or isinstance(value, Budget)),
    "warm_start": Rule("'simulator', 'store' or None", lambda value: value in (None, "simulator", "store")),
    "loss": Rule("a name, a function or None", lambda v: v is None or isinstance(v, str) or callable(v)),
}
"""The rule of every setting whose values are restricted."""
