"""The census names what a confirmed track is on, and how long the pipette was taken for a sperm."""

from __future__ import annotations

import numpy as np
import pytest

from app.rig.simulated_kinds import SimulatedKinds
from app.runtime.census import LOOK_EVERY_S, Census, Kind
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.types import Float64, Int8, Tracks, TrackState

TIP_UM = np.array([70.0, -40.0, 0.0])


class Stripes:
    """Left of 10 um are sperm, left of 20 debris, left of 30 glass, then nothing."""

    def at(self, position_um: Float64, time_s: float) -> Int8:
        return np.minimum(position_um[:, 0] // 10.0, Kind.NOTHING).astype(np.int8)


def tracks(time_s: float, x_um: list[float], state: TrackState = TrackState.CONFIRMED) -> Tracks:
    n = len(x_um)
    place = np.stack([np.array(x_um), np.zeros(n)], 1)
    return Tracks(
        time_s, np.arange(1, n + 1), place, np.zeros((n, 2)), np.zeros((n, 4, 4)), place, place,
        np.zeros(n), np.zeros(n), np.full(n, state, np.int8), np.zeros(n, np.int8), np.arange(n),
    )  # fmt: skip


class Resting:
    """A stage that does not move."""

    def at(self, times_s: Float64) -> Float64:
        return np.zeros((len(times_s), 3))

    def close(self) -> None:
        """Nothing to let go."""


def test_tracks_are_counted_by_what_they_are_on():
    census = Census(Stripes())
    for k in range(8):
        census.add(tracks(k * LOOK_EVERY_S, [1.0, 2.0, 15.0, 45.0]))
    result = census.result()
    assert result["tracks_by_kind"] == {"sperm": 2.0, "debris": 1.0, "glass": 0.0, "nothing": 1.0}
    assert result["pipette_tracks"] == 0


def test_a_track_that_stays_on_the_glass_is_told_with_its_time():
    census = Census(Stripes())
    for k in range(12):
        census.add(tracks(k * LOOK_EVERY_S, [25.0 if k < 6 else 5.0, 5.0]))
    assert census.result()["pipette_tracks"] == 1
    assert census.result()["pipette_longest_s"] == pytest.approx(6 * LOOK_EVERY_S)


def test_one_look_is_a_passer_by_and_unseen_or_tentative_tracks_do_not_count():
    census = Census(Stripes())
    census.add(tracks(0.0, [25.0]))
    for k, state in enumerate((TrackState.TENTATIVE, TrackState.COASTING) * 3, start=1):
        census.add(tracks(k * LOOK_EVERY_S, [25.0], state))
    assert census.result()["pipette_tracks"] == 0


def test_frames_between_two_looks_cost_nothing():
    census = Census(Stripes())
    for k in range(31):
        census.add(tracks(k / 30.0, [5.0]))
    assert census.result()["tracks_by_kind"]["sperm"] == 1.0


def test_the_simulated_rig_knows_sperm_debris_and_glass():
    specimen = Specimen(profile("exam"), seed=5)
    kinds = SimulatedKinds(specimen, 0.0, Resting(), lambda t: np.tile(TIP_UM, (len(t), 1)))
    truth = specimen.truth(1.0, np.zeros(2))
    assert (kinds.at(truth.position_um, 1.0) == Kind.SPERM).all()
    debris = specimen.debris_um(1.0, np.zeros(2))
    assert np.isin(kinds.at(debris, 1.0), (Kind.SPERM, Kind.DEBRIS)).all()
    # The bore just behind the tip, whichever side the shaft comes from; y is down in the picture.
    behind = np.array([[2.0, 0.0], [-2.0, 0.0]]) + TIP_UM[:2]
    stage = behind @ (specimen.matrix_um_per_px / specimen.look.um_per_px).T
    covered = specimen.on_glass(stage, np.zeros(2), TIP_UM)
    assert covered.any()
    found = kinds.at(stage[covered], 1.0)
    assert (found != Kind.NOTHING).all()
    far = np.array([[0.0, 0.0]])
    assert not specimen.on_glass(far, np.zeros(2), TIP_UM).any()


def test_the_outline_holds_every_pixel_that_the_pipette_darkens():
    with_glass = Specimen(profile("exam", density=0.0), seed=9)
    without = Specimen(profile("exam", density=0.0), seed=9)

    def rest(times_s: Float64) -> Float64:
        return np.zeros((len(times_s), 2))

    seen = with_glass.render(0.5, 0.01, rest, lambda t: np.tile(TIP_UM, (len(t), 1)))
    plain = without.render(0.5, 0.01, rest)
    y, x = np.nonzero(plain.astype(int) - seen > 20)
    assert len(x) > 100
    offset_px = np.stack([x, y], 1) - np.array([319.5, 239.5])
    stage = offset_px @ with_glass.matrix_um_per_px.T
    assert with_glass.on_glass(stage, np.zeros(2), TIP_UM).all()
