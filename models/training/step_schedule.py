"""Learning rate in steps: a linear warm-up, then a tenth at each milestone."""

from __future__ import annotations

MILESTONES = (0.4, 0.6, 0.8)
_FACTOR = 0.1


def stepped_rate(step: int, progress: float, *, peak: float, warm_up: int) -> float:
    """Return the learning rate.

    Parameters
    ----------
    step : int
        Steps done.
    progress : float
        Part of the training done, 0 to 1; milestones are at 0.4, 0.6 and 0.8 of it.
    peak : float
        Highest rate.
    warm_up : int
        Steps of linear rise from a tenth of the peak.
    """
    if step < warm_up:
        return peak * (0.1 + 0.9 * step / warm_up)
    return float(peak * _FACTOR ** sum(progress >= milestone for milestone in MILESTONES))
