"""Qiskit's parameter expressions as our angles: weighted sums of symbols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qstore_aer.libraries import qiskit
from qstore_core.angles import Angle, Feature, Parameter
from qstore_core.errors import CircuitError


class AngleReader:
    """Reads expressions; what is not a weighted sum of the inputs becomes a feature of its own.

    Args:
        inputs: Qiskit's parameters that data fills; all others are trained.

    Attributes:
        features: For each feature met so far Qiskit's expression of the inputs.
    """

    def __init__(self, inputs: Sequence[Any]) -> None:
        self._inputs = {parameter: Feature(parameter.name) for parameter in inputs}
        self._made: dict[Any, Feature] = {}

    @property
    def features(self) -> dict[Feature, Any]:
        """The features, and what each is of the inputs."""
        return {feature: source for source, feature in (*self._inputs.items(), *self._made.items())}

    def read(self, value: Any) -> Angle:
        """A number or an expression as an angle.

        Raises:
            CircuitError: A trained parameter that enters in another way than times a number.
        """
        if not isinstance(value, qiskit.circuit.ParameterExpression):
            return Angle.of(float(value))
        angle, trained = Angle.of(0.0), value.parameters - self._inputs.keys()
        for parameter in sorted(trained, key=lambda each: str(each.name)):
            weight = slope(value, parameter)
            if weight is None:
                raise CircuitError(
                    f"the angle {value} is not a weighted sum of the trained {parameter.name}: give the gate a "
                    "parameter of its own, or name it among the inputs"
                )
            angle = angle + weight * Parameter(parameter.name)
        return angle + self._of_inputs(value.bind(dict.fromkeys(trained, 0.0)) if trained else value)

    def _of_inputs(self, value: Any) -> Angle:
        slopes = {parameter: slope(value, parameter) for parameter in value.parameters}
        if any(weight is None for weight in slopes.values()):
            made = self._made.setdefault(value, Feature(f"derived[{len(self._made)}]"))
            return Angle.of(made)
        angle = Angle.of(float(value.bind(dict.fromkeys(value.parameters, 0.0))))
        for parameter, weight in slopes.items():
            angle = angle + float(weight or 0.0) * self._inputs[parameter]
        return angle


def slope(expression: Any, parameter: Any) -> float | None:
    """By what an expression grows with a parameter; None where that is not a number.

    >>> a = qiskit.circuit.Parameter("a")
    >>> slope(2 * a + 1, a), slope(a * a, a)
    (2.0, None)
    """
    gradient = expression.gradient(parameter)
    if isinstance(gradient, qiskit.circuit.ParameterExpression):
        return None if gradient.parameters else float(gradient)
    return float(gradient)
