"""The pipette is never taken for a sperm: rendered pictures, the shipped network, the tracker."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from app.config import SceneCameraConfig
from app.core.pipeline import Pipeline
from app.rig.simulated import make_specimen
from app.rig.simulated_kinds import SimulatedKinds
from app.runtime.census import Kind
from calibration.store import nominal_calibration
from models.detector import Detector
from models.measure.live import LiveMotility
from models.sfcnet.runtime import load_shipped
from models.tracking.tracker import Tracker
from models.types import Float64, TrackState

HZ, FRAMES = 30.0, 75
# Outside the picture, driven in, at rest beside the centre, then across the field.
TIMES_S = np.array([0.0, 1.1, 1.8, 2.5])
TIPS_UM = np.array(
    [[190.0, -40.0, 0.0], [60.0, -30.0, 0.0], [60.0, -30.0, 0.0], [-20.0, 40.0, 0.0]]
)


class Resting:
    """A stage that does not move."""

    def at(self, times_s: Float64) -> Float64:
        return np.zeros((len(times_s), 3))

    def close(self) -> None:
        """Nothing to let go."""


def rest(times_s: Float64) -> Float64:
    return np.zeros((len(times_s), 2))


def tip(times_s: Float64) -> Float64:
    """Where the tip is, um from the picture's centre."""
    return np.stack([np.interp(times_s, TIMES_S, axis_um) for axis_um in TIPS_UM.T], axis=1)


@pytest.fixture(scope="module")
def network() -> Detector:
    detector = load_shipped()
    detector.warm_up(480, 640)
    return detector


@pytest.mark.parametrize("modality", ["brightfield", "phase"])
def test_no_confirmed_track_stays_on_the_pipette(network: Detector, modality: str) -> None:
    camera = SceneCameraConfig(seed=4, modality=modality, sperm_in_view=20)
    affine = nominal_calibration("20x", camera.width_px, camera.height_px).image_to_stage
    specimen = make_specimen(camera, "20x", affine)
    kinds = SimulatedKinds(make_specimen(camera, "20x", affine), 0.0, Resting(), tip)
    pipeline = Pipeline(affine, camera.width_px, camera.height_px, Tracker(), LiveMotility())
    on_glass: Counter[int] = Counter()
    on_sperm = 0
    for k in range(FRAMES):
        time_s = k / HZ
        image = specimen.render(time_s, camera.exposure_s, rest, tip)
        found = network.detect(image).detections
        tracks = pipeline.follow(time_s, np.zeros(2), found, image)
        seen = tracks.state == TrackState.CONFIRMED
        kind = kinds.at(tracks.position_um[seen], time_s)
        on_glass.update(tracks.track_id[seen][kind == Kind.GLASS].tolist())
        on_sperm += int((kind == Kind.SPERM).sum())
    # A sperm may swim over the glass and off it again; what stays for 0.25 s was taken for one.
    assert max(on_glass.values(), default=0) < HZ / 4
    assert on_sperm / FRAMES > 10
    without = specimen.render(time_s, camera.exposure_s, rest)
    assert (np.abs(image.astype(int) - without) > 10).sum() > 1000  # the pipette was there
