"""What the simulated rig shows of the pipette, the dish, and a sperm that is touched."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

from app.config import (
    ConfigError,
    InjectionConfig,
    Mp285Config,
    ProScanConfig,
    RigConfig,
    SceneCameraConfig,
)
from app.rig.build import true_map
from app.rig.dish import Dish
from app.rig.injection import make_injection
from app.rig.simulated import HostTimeScene, make_dish, make_specimen, tip_path
from app.rig.touch import Touch
from app.runtime.tip_finder import TipFinder
from calibration.store import nominal_calibration
from drivers.types import Frame
from models.specimen.swimming import Mode

CAMERA = SceneCameraConfig(
    sperm_in_view=6, seed=4, dish_z_um=-6.0, pipette_tip_um=(20.0, 10.0, 0.0)
)
RIG = RigConfig(
    camera=CAMERA, stage=ProScanConfig(), pipette=Mp285Config(safe_z_um=60.0),
    injection=InjectionConfig(park_um=(0.0, 0.0, 100.0)),
)  # fmt: skip
RECORD = nominal_calibration("20x", 640, 480)


@pytest.fixture(scope="module")
def specimen():
    return make_specimen(CAMERA, "20x", true_map(CAMERA, "20x", RECORD))


def rest(times_s: np.ndarray) -> np.ndarray:
    return np.zeros((len(times_s), 2))


def test_the_built_map_says_where_the_tip_is() -> None:
    injection, refusal = make_injection(RIG, RECORD, 30.0)
    assert refusal == ""
    assert injection is not None
    view_um = injection._map.view_um(np.array((5.0, -3.0, 0.0)))
    assert view_um == pytest.approx((25.0, 7.0), abs=1e-6)
    assert injection._heights.above_dish_um(-6.0) == 0.0


@pytest.mark.parametrize(
    ("rig", "record", "words"),
    [
        (RIG.model_copy(update={"injection": None}), RECORD, "no \\[injection\\]"),
        (RIG, None, "not calibrated"),
        (RIG, RECORD.model_copy(update={"origin": "measured"}), "calibrate pipette"),
        (
            RIG.model_copy(update={"pipette": Mp285Config(safe_z_um=-5.0)}), RECORD,
            "safe height is not above the dish",
        ),
    ],
)  # fmt: skip
def test_a_rig_that_cannot_says_why(rig, record, words) -> None:
    injection, refusal = make_injection(rig, record, 30.0)
    assert injection is None
    assert re.search(words, refusal)


def test_a_park_position_below_the_safe_height_is_refused(tmp_path) -> None:
    from app.config import load_rig, save_rig

    save_rig(RIG, tmp_path / "rig.toml")
    assert load_rig(tmp_path / "rig.toml") == RIG
    text = (tmp_path / "rig.toml").read_text(encoding="utf-8")
    (tmp_path / "low.toml").write_text(text.replace("safe_z_um = 60.0", "safe_z_um = 160.0"))
    with pytest.raises(ConfigError, match="park_um is below"):
        load_rig(tmp_path / "low.toml")


def test_a_tail_that_is_crossed_on_the_dish_swims_no_more(specimen) -> None:
    twin = make_specimen(CAMERA, "20x", true_map(CAMERA, "20x", RECORD))
    dish = Dish(-6.0, 0.0)
    truth = specimen.truth(2.0, np.zeros(2))
    row = int(np.flatnonzero((truth.speed_um_s > 5) & truth.whole)[0])
    sperm_id = int(truth.sperm_id[row])
    head_um, axis = truth.position_um[row], truth.axis_px[row]
    goal_um = head_um - 10.0 * axis
    across = np.array((-axis[1], axis[0]))

    def strike(height_um: float):
        def at(times_s: np.ndarray) -> np.ndarray:
            way = goal_um + across * (times_s[:, None] - 1.95) * 200.0
            return np.column_stack([way, np.full(len(times_s), height_um)])

        return at

    touch = Touch((specimen, twin), dish, np.eye(2))
    touch.follow(2.0, rest, strike(0.0))
    assert touch.stopped == frozenset()  # it passed above
    touch = Touch((specimen, twin), dish, np.eye(2))
    touch.follow(2.0, rest, strike(-6.0))
    assert sperm_id in touch.stopped
    for each in (specimen, twin):
        assert each.truth_mode(sperm_id, 3.0) is Mode.IMMOTILE
        moved_um = each.head_um(sperm_id, 4.0) - each.head_um(sperm_id, 2.5)
        assert moved_um == pytest.approx(1.5 * each.drift_um_s, abs=1.5)


def test_the_tip_is_seen_where_it_is_and_slides_on_the_dish(specimen) -> None:
    scene = HostTimeScene(specimen, 0.0)
    dish = make_dish(CAMERA, specimen)
    finder = TipFinder(true_map(CAMERA, "20x", RECORD), lambda: True, object())  # type: ignore[arg-type]
    seen = {}
    for number, z_um in enumerate((0.0, -2.0, -4.0, -6.0, -8.0, -10.0)):
        tip = np.array([[20.0, 10.0, z_um]])
        image = scene.render(
            1.0 + number / 30, 0.008, rest,
            lambda times_s, tip=tip: dish.met(np.repeat(tip, len(times_s), 0)),
        )  # fmt: skip
        now_s = time.perf_counter()
        finder.frames.put(Frame(image, number, now_s, 0.008, now_s))
        finder.step()
        assert finder.sight is not None
        assert finder.sight.time_s == now_s
        seen[z_um] = finder.sight.view_um
    for z_um in (0.0, -2.0, -4.0, -6.0):
        assert seen[z_um] == pytest.approx((20.0, 10.0), abs=1.0)
    slid_um = seen[-10.0] - seen[-6.0]
    assert np.linalg.norm(slid_um) == pytest.approx(3.2, abs=1.0)
    forward = -np.array((np.cos(specimen.shaft_rad), np.sin(specimen.shaft_rad)))
    assert slid_um @ forward > 2.0


def test_high_above_it_is_out_of_sight(specimen) -> None:
    scene = HostTimeScene(specimen, 0.0)
    high = tip_path(CAMERA.model_copy(update={"pipette_tip_um": (20.0, 10.0, 150.0)}), None)
    with_tip = scene.render(1.5, 0.008, rest, high)
    assert np.array_equal(with_tip, scene.render(1.5, 0.008, rest, None))
