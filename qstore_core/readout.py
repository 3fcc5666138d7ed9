"""The readout of a model: one observable for each output."""

from __future__ import annotations

from collections.abc import Sequence

from qstore_core.errors import ConfigurationError
from qstore_core.observables import PauliString, PauliSum

Observable = PauliString | PauliSum | str


def mean_z(n_qubits: int, output_dim: int) -> tuple[PauliSum, ...]:
    """The default readout: output k is the mean of Z over the qubits q with `q mod output_dim = k`.

    It sees every qubit through one circuit, and its gradient vanishes far more slowly with the width than that of a
    single Z at the end of an entangling chain; `docs/readout.md` has the measurements.

    >>> mean_z(4, 2)
    (0.5*Z0 + 0.5*Z2, 0.5*Z1 + 0.5*Z3)
    """
    if not 1 <= output_dim <= n_qubits:
        raise ConfigurationError(
            f"output_dim is from 1 to n_qubits={n_qubits} with the default readout, not {output_dim}; use more qubits "
            "or give readout= observables"
        )
    chosen = [range(output, n_qubits, output_dim) for output in range(output_dim)]
    return tuple(PauliSum(PauliString({q: "Z"}, 1 / len(qubits)) for q in qubits) for qubits in chosen)


def choose_readout(readout: Sequence[Observable] | None, n_qubits: int, output_dim: int) -> tuple[PauliSum, ...]:
    """The observables that `QuantumModel(readout=readout, ...)` has.

    Raises:
        ConfigurationError: Not one for each output, or on a qubit that there is not.

    >>> choose_readout(["Z0 Z1"], 2, 1)
    (Z0 Z1,)
    """
    if isinstance(readout, str | PauliString | PauliSum):
        raise ConfigurationError(f"readout is a list with an observable for each output, such as [{readout!r}]")
    if readout is None:
        return mean_z(n_qubits, output_dim)
    observables = tuple(PauliSum.of(observable) for observable in readout)
    if len(observables) != output_dim:
        raise ConfigurationError(f"readout has {len(observables)} observable(s) for output_dim={output_dim}")
    widest = max((qubit for observable in observables for qubit in observable.qubits), default=0)
    if widest >= n_qubits:
        raise ConfigurationError(f"readout acts on qubit {widest}; the model has qubits 0 to {n_qubits - 1}")
    return observables
