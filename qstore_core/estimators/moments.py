"""What a step's own results say of the gradients of single samples: how large they are, and how noisy."""

from __future__ import annotations

from dataclasses import dataclass

from qstore_core.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class SampleMoments:
    """Estimates for the gradients h of single samples, whose mean is the gradient of the mini-batch.

    Attributes:
        second_moment: The mean of |h|^2 over samples, shot noise subtracted; an estimate may be below 0.
        one_shot_variance: The mean over samples of the variance that one shot would give the loss of a sample, without
            what falls faster than 1/shots; 0 when exact, an estimate may be below 0. With S shots a two-sided
            difference over +-c has a slope of variance `one_shot_variance / (2 c^2 S)`.
    """

    second_moment: float
    one_shot_variance: float

    @classmethod
    def of_shares(cls, squares: FloatArray, one_shot: FloatArray) -> SampleMoments:
        """From the shares of single samples in the gradient of a mini-batch, which are h / n_samples.

        Args:
            squares: `(..., n_samples)`, of those shares, shot noise subtracted.
            one_shot: `(..., n_samples)`, the variance that one shot gives a sample's share of the loss.

        >>> import numpy as np
        >>> SampleMoments.of_shares(np.array([0.25, 0.75]), np.array([0.5, 0.5]))
        SampleMoments(second_moment=2.0, one_shot_variance=2.0)
        """
        n_samples = squares.shape[-1]
        return cls(n_samples**2 * float(squares.mean()), n_samples**2 * float(one_shot.mean()))

    def to_dict(self) -> dict[str, float]:
        """The values by name."""
        return {"second_moment": self.second_moment, "one_shot_variance": self.one_shot_variance}
