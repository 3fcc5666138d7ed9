"""TensorCircuit-NG on JAX: jitted and vectorised over rows; the state made once, or one value after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tensorcircuit as tc

from peers.work import SHOTS, Array, Contender, Way, Work

Output = Callable[[Work, Any, Any], Any]
AT_ONCE = 2**22  # amplitudes that a parameter-shift gradient holds at once: more rows go one part after the other


def contenders(work: Work, threads: int) -> list[Contender]:
    """The state made once, in single (its default) and in double precision, and its expectation values in single."""
    tc.set_backend("jax")
    chosen = [("state once", "single", _state_once), ("state once", "double", _state_once)]
    chosen += [("expectation_ps", "single", _one_by_one)]
    chosen += [("light cone", "single", _light_cone)] if work.light_cone else []
    return [_contender(work, *each) for each in chosen]


def outputs_of(work: Work) -> Callable[[Array, Array], Array]:
    """What gives the outputs of rows, in single precision."""
    tc.set_backend("jax")
    run = jax.jit(jax.vmap(lambda x, theta: _state_once(work, x, theta)))

    def outputs(x: Array, theta: Array) -> Array:
        return np.asarray(run(x.astype(np.float32), theta.astype(np.float32)), dtype=np.float64)

    return outputs


def _contender(work: Work, how: str, precision: str, output: Output) -> Contender:
    dtype = "complex64" if precision == "single" else "complex128"

    def prepare() -> None:
        if tc.dtypestr != dtype:
            tc.set_dtype(dtype)

    return Contender(f"tensorcircuit, {how}", precision, _ways(work, dtype, output), prepare)


def _circuit(work: Work, x: Any, theta: Any) -> Any:
    circuit = tc.Circuit(work.n_qubits)
    weights = theta.reshape(work.depth, work.n_qubits, 2)
    for qubit in range(work.n_qubits):
        circuit.ry(qubit, theta=x[qubit])
    for layer in range(work.depth):
        for qubit in range(work.n_qubits):
            circuit.ry(qubit, theta=weights[layer, qubit, 0])
            circuit.rz(qubit, theta=weights[layer, qubit, 1])
        for qubit in range(work.n_qubits - 1):
            circuit.cnot(qubit, qubit + 1)
    return circuit


def _state_once(work: Work, x: Any, theta: Any) -> Any:
    state = _circuit(work, x, theta).state()
    probabilities = jnp.real(state) ** 2 + jnp.imag(state) ** 2
    return probabilities @ jnp.asarray(work.rules, dtype=probabilities.dtype)


def _one_by_one(work: Work, x: Any, theta: Any, **options: Any) -> Any:
    circuit = _circuit(work, x, theta)
    values = [[circuit.expectation_ps(z=[qubit], **options) for qubit in qubits] for qubits in work.read]
    return jnp.stack([jnp.real(sum(row)) / len(row) for row in values])


def _light_cone(work: Work, x: Any, theta: Any) -> Any:
    return _one_by_one(work, x, theta, enable_lightcone=True)


def _ways(work: Work, dtype: str, output: Output) -> dict[str, Way]:
    real = "float32" if dtype == "complex64" else "float64"
    x, y = (np.asarray(values, dtype=real) for values in (work.x, work.y))

    def one(x: Any, theta: Any) -> Any:
        return output(work, x, theta)

    rows = jax.jit(jax.vmap(one))
    shared = jax.jit(jax.vmap(one, in_axes=(0, None)))
    size = max(1, AT_ONCE // 2**work.n_qubits)
    parts = jax.jit(lambda x, theta: jax.lax.map(lambda row: one(*row), (x, theta), batch_size=size))

    def loss(theta: Any) -> Any:
        return jnp.mean((jax.vmap(one, in_axes=(0, None))(x, theta) - y) ** 2)

    slope = jax.jit(jax.value_and_grad(loss))

    def draw(x: Any, theta: Any, key: Any) -> Any:
        outcomes = _circuit(work, x, theta).sample(
            batch=SHOTS, allow_state=True, format="sample_int", status=jax.random.uniform(key, (SHOTS,), dtype=real)
        )
        return jnp.asarray(work.rules, dtype=real)[outcomes].mean(axis=0)

    drawn = jax.jit(jax.vmap(draw))

    def outputs(x: Array, theta: Array) -> Array:
        values = np.broadcast_to(theta, (len(x), work.n_parameters))
        run = rows if len(x) <= 2 * work.samples else parts
        return np.asarray(run(x.astype(real), values.astype(real)), dtype=np.float64)

    def sampled(x: Array, theta: Array, repeat: int) -> Array:
        values = np.broadcast_to(theta, (len(x), work.n_parameters)).astype(real)
        keys = jax.random.split(jax.random.key(repeat), len(x))
        return np.asarray(drawn(x.astype(real), values, keys), dtype=np.float64)

    return {
        "forward": lambda repeat: np.asarray(shared(x, work.theta(repeat).astype(real)), dtype=np.float64),
        "spsa": lambda repeat: work.spsa_gradient(outputs(*work.sides(repeat)), repeat),
        "shift": lambda repeat: work.shift_gradient(outputs(*work.shifted(repeat))),
        "exact": lambda repeat: np.asarray(slope(work.theta(repeat).astype(real))[1], dtype=np.float64),
        "sampled forward": lambda repeat: sampled(work.x, work.theta(repeat), repeat),
        "sampled spsa": lambda repeat: work.spsa_gradient(sampled(*work.sides(repeat), repeat), repeat),
    }
