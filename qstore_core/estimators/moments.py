"""What a step's own results say of the gradients of single samples: how large they are, and how noisy."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from qstore_core.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class SampleMoments:
    """Estimates for the gradients h of single samples, whose mean is the gradient of the mini-batch.

    Attributes:
        second_moment: The mean of |h|^2 over samples, shot noise subtracted; an estimate may be below 0.
        one_shot_variance: The mean over samples of the variance that one shot would give the loss of a sample; 0 when
            exact. With S shots a two-sided difference over +-c has a slope of variance `one_shot_variance / (2 c^2 S)`.
    """

    second_moment: float
    one_shot_variance: float

    @classmethod
    def of_slopes(cls, slopes: FloatArray, noise: FloatArray, c: float, shots: int | None) -> SampleMoments:
        """From derivatives along random directions of +-1, whose square is |h|^2 in the mean.

        Args:
            slopes: `(n_directions, n_samples)`, of the loss of each sample.
            noise: Of the same shape, their variances.
            c: The step they were found with, radians.
            shots: Shots of each circuit.

        >>> SampleMoments.of_slopes(np.array([[2.0]]), np.array([[1.0]]), 0.5, 10)
        SampleMoments(second_moment=3.0, one_shot_variance=5.0)
        """
        one_shot = 0.0 if shots is None else float(np.mean(noise)) * 2 * c**2 * shots
        return cls(float(np.mean(slopes**2 - noise)), one_shot)

    def to_dict(self) -> dict[str, float]:
        """The values by name."""
        return asdict(self)
