"""The scene is a function of its state, the stage's and pipette's pose, and time."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.shift import measure_shift, texture
from models.errors import ModelError
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.specimen.swimming import Mode

EXAM = profile("exam")


def rest(times_s):
    return np.zeros((len(times_s), 2))


def stage_at(x, y):
    return lambda times_s: np.tile([float(x), float(y)], (len(times_s), 1))


@pytest.fixture(scope="module")
def specimen():
    return Specimen(EXAM, 11)


def test_the_same_time_gives_the_same_picture_whatever_came_before(specimen):
    first = specimen.render(1.0, 0.008, rest)
    for time_s in (1.03, 2.5, 0.2, 3.1):
        specimen.render(time_s, 0.01, stage_at(40, 5))
    again = specimen.render(1.0, 0.008, rest)
    other = Specimen(EXAM, 11)
    other.render(0.5, 0.02, rest)
    assert np.array_equal(first, again)
    assert np.array_equal(first, other.render(1.0, 0.008, rest))
    assert not np.array_equal(first, Specimen(EXAM, 12).render(1.0, 0.008, rest))


def test_beyond_the_history_the_past_is_the_same_too():
    one, two = Specimen(EXAM, 4), Specimen(EXAM, 4)
    expected = one.head_um(5, 0.7)
    two.head_um(5, 9.0)
    np.testing.assert_array_equal(two.head_um(5, 0.7), expected)


def test_a_time_before_the_beginning_is_refused(specimen):
    with pytest.raises(ValueError, match="before the beginning"):
        specimen.truth(-1.0, np.zeros(2))


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(2) * 0.495,
        0.495 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]),
        0.495 * np.array([[-1.0, 0.0], [0.0, 1.0]]),
    ],
    ids=["straight", "turned", "mirrored"],
)
def test_heads_are_dark_where_truth_says_in_any_camera_frame(matrix):
    specimen = Specimen(EXAM, 21, matrix_um_per_px=matrix)
    stage = np.array([137.0, -52.0])
    image = specimen.render(0.5, 0.004, stage_at(*stage)).astype(float)
    truth = specimen.truth(0.5, stage)
    clear = truth.visible & truth.whole & (truth.mode == Mode.IMMOTILE)
    xy = np.round(truth.position_px[clear]).astype(int)
    assert clear.sum() >= 4
    assert np.median(image[xy[:, 1], xy[:, 0]]) < 0.7 * np.median(image)
    back = stage + (truth.position_px - [319.5, 239.5]) @ matrix.T
    np.testing.assert_allclose(truth.position_um, back, atol=1e-9)


def test_a_moving_stage_moves_no_sperm(specimen):
    here = specimen.truth(0.8, np.zeros(2))
    there = specimen.truth(0.8, np.array([30.0, 20.0]))
    both, a, b = np.intersect1d(here.sperm_id, there.sperm_id, return_indices=True)
    assert len(both) >= 5
    np.testing.assert_allclose(here.position_um[a], there.position_um[b], atol=1e-9)
    shift = (there.position_px[b] - here.position_px[a]) * 0.495
    np.testing.assert_allclose(shift, np.tile([-30.0, -20.0], (len(both), 1)), atol=1e-9)


@pytest.mark.parametrize("exposure_s", [0.004, 0.006, 0.008, 0.012])  # 1, 2, 2 and 3 sub-poses
def test_a_moving_picture_stands_where_the_stage_was_at_mid_exposure(exposure_s: float):
    for modality in ("brightfield", "phase"):
        still = Specimen(profile("exam", modality=modality), 1)
        before = texture(still.render(1.0, exposure_s, rest))
        swept = still.render(
            1.0, exposure_s, lambda at_s: np.stack([60 * (at_s - 1.0), 0 * at_s], axis=1)
        )
        late_s = -measure_shift(before, texture(swept)).x_px * still.look.um_per_px / 60
        assert abs(late_s) < 1e-4


def test_the_world_is_periodic(specimen):
    far = specimen.period_um * np.array([3, -2])
    here = specimen.truth(0.4, np.zeros(2))
    there = specimen.truth(0.4, far)
    np.testing.assert_array_equal(here.sperm_id, there.sperm_id)
    np.testing.assert_allclose(here.position_px, there.position_px, atol=1e-6)


def test_the_mean_path_is_continuous_without_yaw_and_near_the_head(specimen):
    truth = specimen.truth(1.0, np.zeros(2))
    fast = int(truth.sperm_id[np.argmax(truth.speed_um_s)])
    near = truth.position_um[np.argmax(truth.speed_um_s)]
    times = 1.0 + np.arange(60) / 60
    mean = np.array([specimen.mean_path_um(fast, t, near) for t in times])
    head = np.array([specimen.head_um(fast, t, near) for t in times])
    assert np.linalg.norm(np.diff(mean, axis=0), axis=1).max() < 130 / 60
    assert np.linalg.norm(head - mean, axis=1).max() < 9.0
    assert np.ptp(np.linalg.norm(head - mean, axis=1)) > 0.2
    assert specimen.nearest(head[0], 1.0) == fast


def test_an_immobilised_sperm_stops_and_its_past_stays():
    specimen = Specimen(EXAM, 5)
    free = Specimen(EXAM, 5)
    truth = free.truth(1.0, np.zeros(2))
    sperm = int(truth.sperm_id[np.argmax(truth.speed_um_s)])
    specimen.head_um(sperm, 4.6)  # the history is full, and has lost the beginning
    specimen.immobilise(sperm, 2.5)
    np.testing.assert_allclose(specimen.head_um(sperm, 2.4), free.head_um(sperm, 2.4), atol=1e-9)
    np.testing.assert_allclose(specimen.head_um(sperm, 1.0), free.head_um(sperm, 1.0), atol=1e-9)
    np.testing.assert_allclose(specimen.head_um(9, 4.0), free.head_um(9, 4.0), atol=1e-9)
    stopped = specimen.head_um(sperm, 2.6)
    drift = specimen.drift_um_s * 3.0
    assert np.linalg.norm(specimen.head_um(sperm, 5.6) - stopped - drift) < 3.0
    assert np.linalg.norm(free.head_um(sperm, 5.6) - free.head_um(sperm, 2.6)) > 15.0
    with pytest.raises(ValueError, match="no sperm"):
        specimen.immobilise(10**6, 1.0)


def test_the_pipette_is_seen_and_never_labelled(specimen):
    def tip(times_s):
        return np.tile([0.0, 0.0, 0.0], (len(times_s), 1))

    without = specimen.render(0.3, 0.008, rest).astype(int)
    with_it = specimen.render(0.3, 0.008, rest, tip).astype(int)
    changed = np.abs(with_it - without) > 12
    assert 300 < changed.sum() < 0.2 * changed.size
    truth = specimen.truth(0.3, np.zeros(2), masks=True)
    # Truth does not know of it: the class map has nothing but sperm.
    assert set(np.unique(truth.class_map)) <= {0, 1, 2}
    assert (truth.class_map[changed] > 0).mean() < 0.3


def test_a_defocused_pipette_is_fainter(specimen):
    def tip(z):
        return lambda times_s: np.tile([0.0, 0.0, z], (len(times_s), 1))

    without = specimen.render(0.3, 0.008, rest).astype(int)
    sharp = np.abs(specimen.render(0.3, 0.008, rest, tip(0.0)).astype(int) - without).max()
    blurred = np.abs(specimen.render(0.3, 0.008, rest, tip(15.0)).astype(int) - without).max()
    assert blurred < 0.6 * sharp


def test_masks_boxes_and_identities_agree(specimen):
    truth = specimen.truth(0.6, np.zeros(2), masks=True)
    assert truth.class_map is not None
    assert truth.part_map is not None
    assert truth.identity_map is not None
    np.testing.assert_array_equal(truth.class_map > 0, truth.part_map > 0)
    np.testing.assert_array_equal(truth.class_map > 0, truth.identity_map > 0)
    for k, sperm in enumerate(truth.sperm_id):
        if not (truth.visible[k] and truth.whole[k]):
            continue
        mask = truth.identity_map == sperm
        assert set(np.unique(truth.class_map[mask])) <= {truth.label[k]}
        rows, columns = np.nonzero(mask & (truth.part_map == 1))
        if not len(rows):
            continue  # another head lies on top
        low = truth.box_px[k, :2] - truth.box_px[k, 2:] / 2 - 0.5
        high = truth.box_px[k, :2] + truth.box_px[k, 2:] / 2 + 0.5
        assert low[0] <= columns.min()
        assert columns.max() <= high[0]
        assert low[1] <= rows.min()
        assert rows.max() <= high[1]


def test_bright_heads_in_phase_contrast():
    specimen = Specimen(profile("exam", modality="phase"), 2)
    image = specimen.render(0.5, 0.004, rest).astype(float)
    truth = specimen.truth(0.5, np.zeros(2))
    keep = truth.visible & truth.whole
    xy = np.round(truth.position_px[keep]).astype(int)
    assert np.median(image[xy[:, 1], xy[:, 0]]) > 1.4 * np.median(image)


def test_density_and_objective():
    counts = [
        np.mean([len(Specimen(profile("exam", density=d), s).truth(0, np.zeros(2)))
                 for s in range(3)])
        for d in (14, 40)
    ]  # fmt: skip
    assert 9 < counts[0] < 21
    assert 32 < counts[1] < 52
    fine = Specimen(profile("exam", objective=40, density=60), 3)
    assert fine.look.um_per_px == pytest.approx(0.2475)
    box = np.median(fine.truth(0, np.zeros(2)).box_px[:, 2:])
    assert 19 < box < 34


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "exams"}, "no profile"),
        ({"name": "exam", "modality": "dic"}, "modality"),
        ({"name": "exam", "density": -1}, "density"),
        ({"name": "exam", "objective": 63}, "objective"),
    ],
)
def test_unknown_profiles_are_refused_in_one_line(arguments, said):
    with pytest.raises(ModelError, match=said) as fault:
        profile(**arguments)
    assert "\n" not in str(fault.value)
