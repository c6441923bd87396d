"""Learning rate over a training: a linear warm-up, then a cosine to nearly nothing."""

from __future__ import annotations

import math


def learning_rate(step: int, progress: float, *, peak: float, warm_up: int, last: float) -> float:
    """Return the learning rate.

    Parameters
    ----------
    step : int
        Steps done.
    progress : float
        Part of the training done, 0 to 1: of its steps, or of its time where that ends first.
    peak, last : float
        Highest rate, and the rate at the end.
    warm_up : int
        Steps of linear rise from a tenth of the peak.
    """
    if step < warm_up:
        return peak * (0.1 + 0.9 * step / warm_up)
    return last + 0.5 * (peak - last) * (1.0 + math.cos(math.pi * min(progress, 1.0)))
