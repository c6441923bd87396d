"""The same association by Stone Soup (Dstl, MIT licence), to compare results and times with.

Stone Soup is installed with the tests' requirements, not with the application.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from models.errors import DataError
from models.tracking.association import associate
from models.tracking.gating import gate
from models.types import Float64

_NOW = datetime.datetime(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class Scene:
    """Predicted tracks and the detections of one frame.

    Attributes
    ----------
    mean : (N, 4) float64
        x, y (um), vx, vy (um/s), stage frame.
    covariance : (N, 4, 4) float64
    measured_um : (M, 2) float64
    variance_um2 : float
        Of a measurement, per axis.
    detection_probability, gate_probability : float
    clutter_per_um2 : float
    """

    mean: Float64
    covariance: Float64
    measured_um: Float64
    variance_um2: float
    detection_probability: float = 0.92
    gate_probability: float = 0.99
    clutter_per_um2: float = 8e-5


def marginals(scene: Scene) -> Float64:
    """Association probabilities (N, 1 + M) by this package; column 0: no detection."""
    n, m = len(scene.mean), len(scene.measured_um)
    innovation = scene.covariance[:, None, :2, :2] + np.eye(2) * scene.variance_um2
    threshold = -2.0 * np.log(1.0 - scene.gate_probability)
    pairs = gate(scene.mean[:, None, :2], innovation, scene.measured_um, threshold)
    weight = scene.detection_probability * pairs.density[:, 0] / scene.clutter_per_um2
    missed = np.full(n, 1.0 - scene.detection_probability * scene.gate_probability)
    found = associate(pairs.start, pairs.measurement, weight, pairs.distance2, missed, m)
    table = np.zeros((n, 1 + m))
    table[:, 0] = found.missed
    table[pairs.track, 1 + pairs.measurement] = found.paired
    return table


class StoneSoup:
    """Stone Soup's exact associator on scenes of this package.

    Parameters
    ----------
    enumerate_all : bool
        Enumerate every joint event instead of the efficient hypothesis management (EHM2).

    Raises
    ------
    DataError
        Stone Soup is not installed.
    """

    def __init__(self, *, enumerate_all: bool = False) -> None:
        if find_spec("stonesoup") is None:
            raise DataError("Stone Soup is not installed; run: pip install stonesoup")
        from stonesoup.dataassociator import probability

        self._associator = probability.JPDA if enumerate_all else probability.JPDAwithEHM2

    def prepare(self, scene: Scene) -> tuple[object, list[object], list[object]]:
        """Build its associator, tracks and detections: not part of what is timed."""
        from stonesoup.hypothesiser.probability import PDAHypothesiser
        from stonesoup.models.measurement.linear import LinearGaussian
        from stonesoup.models.transition.linear import (
            CombinedLinearGaussianTransitionModel,
            ConstantVelocity,
        )
        from stonesoup.predictor.kalman import KalmanPredictor
        from stonesoup.types.detection import Detection
        from stonesoup.types.state import GaussianState
        from stonesoup.types.track import Track
        from stonesoup.updater.kalman import KalmanUpdater

        # Its states are x, vx, y, vy. No time passes: the tracks are predicted already.
        order = [0, 2, 1, 3]
        motion = CombinedLinearGaussianTransitionModel([ConstantVelocity(0.0)] * 2)
        model = LinearGaussian(4, (0, 2), np.eye(2) * scene.variance_um2)
        hypothesiser = PDAHypothesiser(
            KalmanPredictor(motion), KalmanUpdater(model), scene.clutter_per_um2,
            scene.detection_probability, scene.gate_probability,
        )  # fmt: skip
        tracks = [
            Track([GaussianState(mean[order], covariance[np.ix_(order, order)], timestamp=_NOW)])
            for mean, covariance in zip(scene.mean, scene.covariance, strict=True)
        ]
        seen = [
            Detection(place, timestamp=_NOW, measurement_model=model) for place in scene.measured_um
        ]
        return self._associator(hypothesiser), tracks, seen

    @staticmethod
    def associate(prepared: tuple[object, list[object], list[object]]) -> object:
        """Associate: what is timed."""
        associator, tracks, seen = prepared
        return associator.associate(set(tracks), set(seen), _NOW)  # type: ignore[attr-defined]

    def marginals(self, scene: Scene) -> Float64:
        """Association probabilities (N, 1 + M); column 0: no detection."""
        prepared = self.prepare(scene)
        _, tracks, seen = prepared
        table = np.zeros((len(tracks), 1 + len(seen)))
        column = {id(one): 1 + k for k, one in enumerate(seen)}
        found = self.associate(prepared)
        for row, track in enumerate(tracks):
            for hypothesis in found[track]:  # type: ignore[index]
                at = column.get(id(hypothesis.measurement), 0)
                table[row, at] = float(hypothesis.probability)
        return table
