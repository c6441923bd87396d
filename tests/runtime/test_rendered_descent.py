"""A descent that sees what the simulated rig shows: the dish is met, and the picture tells."""

from __future__ import annotations

import numpy as np
import pytest

from app.config import InjectionConfig, Mp285Config, ProScanConfig, RigConfig, SceneCameraConfig
from app.core.injection_values import Go, Sense, Step
from app.core.messages import Carry, Descend, PipetteCommand, Teach
from app.rig.build import true_map
from app.rig.injection import make_injection
from app.rig.simulated import HostTimeScene, make_dish, make_specimen
from app.runtime.tip_finder import TipFinder
from calibration.store import nominal_calibration
from drivers.pose import Pose
from drivers.types import Frame

FRAME_S = 1 / 30
RECORD = nominal_calibration("20x", 640, 480)


def descend(seed: int) -> tuple[float, float]:
    """Hold the control until contact; how far below the dish that is, and beside the aim, um."""
    dice = np.random.default_rng([seed, 11])
    camera = SceneCameraConfig(
        seed=seed, sperm_in_view=6, dish_z_um=float(dice.uniform(-9.0, -3.0)),
        pipette_tip_um=(float(dice.uniform(-60, 60)), float(dice.uniform(-40, 40)), 25.0),
    )  # fmt: skip
    rig = RigConfig(
        camera=camera, stage=ProScanConfig(), pipette=Mp285Config(safe_z_um=0.0),
        injection=InjectionConfig(park_um=(0.0, 0.0, 20.0)),
    )  # fmt: skip
    image = true_map(camera, "20x", RECORD)
    injection, refusal = make_injection(rig, RECORD, 1 / FRAME_S)
    assert injection is not None, refusal
    specimen = make_specimen(camera, "20x", image)
    scene, dish = HostTimeScene(specimen, 0.0), make_dish(camera, specimen)
    finder = TipFinder(image, lambda: True, object())  # type: ignore[arg-type]
    start_um = np.array(camera.pipette_tip_um)
    here_um, now_s = np.zeros(3), 10.0

    def sense() -> Sense:
        pose = Pose(now_s, *here_um, moving=False)
        return Sense(pose, True, np.zeros(2), True, None, None, finder.sight)

    def obey(command: PipetteCommand) -> None:
        assert injection is not None
        assert injection.obey(command, now_s, sense()) == ""

    obey(Teach())
    obey(Carry())
    while injection.step is not Step.AT_OOCYTE:
        order = injection.act(now_s, sense())
        assert injection.step in (Step.CARRYING, Step.GOING, Step.AT_OOCYTE), injection.reason
        if isinstance(order, Go):
            here_um = np.array(order.to_um)
        now_s += FRAME_S
    assert (start_um + here_um)[:2] == pytest.approx((0.0, 0.0), abs=1e-6)
    for number in range(600):
        obey(Descend())
        order = injection.act(now_s, sense())
        if isinstance(order, Go):
            here_um = np.array(order.to_um)
        now_s += FRAME_S
        met = dish.met((start_um + here_um)[None])
        if injection.step is Step.CONTACT:
            break
        assert injection.bound_for in (Step.DESCENDING, Step.CONTACT), injection.reason
        if (start_um + here_um)[2] < camera.dish_z_um + 12.0:
            picture = scene.render(
                now_s - FRAME_S / 2, 0.008, lambda t: np.zeros((len(t), 2)),
                lambda t, met=met: np.repeat(met, len(t), 0),
            )  # fmt: skip
            finder.frames.put(Frame(picture, number, now_s, 0.008, now_s))
            finder.step()
    assert injection.step is Step.CONTACT
    # two steps of 1 um are taken back at contact
    below_um = camera.dish_z_um - (start_um + here_um)[2] + 2.0
    return below_um, float(np.linalg.norm(met[0, :2]))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_contact_is_seen_in_the_rendered_picture_within_5_um(seed: int) -> None:
    below_um, beside_um = descend(seed)
    assert -0.5 <= below_um <= 5.0
    assert beside_um <= 1.5
