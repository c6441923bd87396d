"""Who is asked what before something real moves, and how far it may: no instrument needed."""

from __future__ import annotations

import pytest
from real_rig import MARGIN_UM, along_x, require_height, room_um, window
from rig_consent import Consent

from app.config import Mp285Config
from drivers.limits import SoftLimits
from drivers.pose import Pose

LIMITS = SoftLimits((-1_000.0, -500.0), (1_000.0, 500.0), 100.0)
STAGE, PIPETTE = "The stage at COM3", "The manipulator at COM4"


class Person:
    def __init__(self, answer: str = "A. Person") -> None:
        self.answer = answer
        self.asked: list[str] = []

    def __call__(self, question: str) -> str:
        self.asked.append(question)
        return self.answer


def test_each_longer_or_faster_move_is_asked_for_again_and_none_other() -> None:
    person = Person()
    agreed = Consent(person)
    for way_um, speed_um_s, questions in (
        (300.0, 100.0, 1), (300.0, 100.0, 1), (200.0, 50.0, 1), (301.0, 100.0, 2),
        (300.0, 101.0, 3), (301.0, 101.0, 4), (300.0, 100.0, 4),
    ):  # fmt: skip
        assert agreed.to_move(STAGE, way_um, speed_um_s) == "A. Person"
        assert len(person.asked) == questions
    agreed.to_move(PIPETTE, 10.0, 10.0)
    assert "The manipulator at COM4 will move by at most 10 um, at 10 um/s" in person.asked[-1]


def test_the_name_on_the_command_line_does_not_cover_full_speed() -> None:
    person = Person()
    agreed = Consent(person, "B. Person")
    assert agreed.to_move(STAGE, 6_000.0, 200.0) == "B. Person"
    assert person.asked == []
    agreed.to_move(STAGE, 600.0, 100.0, full_speed=True)
    assert "600 um, AT ITS FULL SPEED" in person.asked[0]
    both = Consent(person, "B. Person", "C. Person")
    assert both.to_move(STAGE, 600.0, 20_000.0, full_speed=True) == "C. Person"
    assert len(person.asked) == 1


def test_where_nobody_answers_nothing_moves() -> None:
    with pytest.raises(pytest.skip.Exception, match="nobody has confirmed that The stage at COM3"):
        Consent(Person("")).to_move(STAGE, 10.0, 10.0)


@pytest.mark.parametrize(
    ("x_um", "way_um"), [(0.0, 980.0), (-900.0, 1_880.0), (900.0, -1_880.0), (0.5, -980.5)]
)
def test_a_way_keeps_to_the_limits_of_the_rig(x_um: float, way_um: float) -> None:
    way = room_um(LIMITS, (x_um, 0.0), 6_000.0, 900.0)
    assert way == pytest.approx(way_um, abs=1.0)
    box = along_x(LIMITS, (x_um, 0.0), way, 100.0)
    assert box.low_um[0] >= -1_000.0
    assert box.high_um[0] <= 1_000.0
    assert box.high_um[0] - box.low_um[0] <= abs(way) + 2 * MARGIN_UM


def test_too_little_room_is_told() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"not enough room about x = 0 um: 1220 um"):
        room_um(LIMITS, (0.0, 0.0), 6_000.0, 1_200.0)
    with pytest.raises(pytest.skip.Exception, match="not enough room"):
        room_um(LIMITS, (1_200.0, 0.0), 300.0, 100.0)
    with pytest.raises(pytest.skip.Exception, match=r"not enough room along y: 300 to 700 um"):
        window(LIMITS, (0.0, 500.0), (-200.0, -200.0), (200.0, 200.0), 100.0)
    with pytest.raises(pytest.skip.Exception, match="outside its soft limits"):
        window(LIMITS, (0.0, 501.0), (-1.0, -1.0), (1.0, 1.0), 100.0)


@pytest.mark.parametrize(
    ("safe_z_um", "up", "z_um", "moving", "reason"),
    [
        (None, 1, 0.0, False, "safe_z_um is not in the rig file"),
        (60.0, 1, 59.0, False, "below its safe height"),
        (60.0, -1, 61.0, False, "below its safe height"),
        (60.0, 1, float("nan"), False, "does not rest"),
        (60.0, 1, 80.0, None, "does not rest"),
    ],
)
def test_a_pipette_that_is_low_or_of_unknown_height_forbids_everything(
    safe_z_um: float | None, up: int, z_um: float, moving: bool | None, reason: str
) -> None:
    port = Mp285Config(url="COM4", safe_z_um=safe_z_um, up=up)
    with pytest.raises(pytest.skip.Exception, match=reason):
        require_height(port, Pose(0.0, 0.0, 0.0, z_um, moving))
    require_height(Mp285Config(url="COM4", safe_z_um=60.0), Pose(0.0, 0.0, 0.0, 60.0, False))
