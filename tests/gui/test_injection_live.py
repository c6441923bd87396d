"""The window steers the pipette of the simulated rig: real engine, guardians, ports, emulators."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.config import NetworkConfig, load_rig
from app.core.injection_values import Outlook, Step
from app.core.messages import Arm, Carry, Descend, Mode, Park, StandBy, Teach
from app.rig import build_rig
from app.runtime.engine import Engine
from app.ui.injection_control import HOLD_KEY
from app.ui.live import rig_view
from app.ui.session import LiveSession
from app.ui.window import MainWindow

_AGAIN_S = 3.0
RIG = Path(__file__).parents[2] / "app" / "rig" / "example_injection.toml"


@dataclass
class Bench:
    engine: Engine
    window: MainWindow
    bot: QtBot

    @property
    def sequence(self) -> Outlook:
        outlook = self.engine.sequence()
        assert outlook is not None
        return outlook

    def until(self, done: Callable[[], bool], timeout_s: float = 40.0) -> None:
        self.bot.waitUntil(done, timeout=round(1e3 * timeout_s))

    def arm(self) -> None:
        """Arm, again where a frame was late."""

        def armed() -> bool:
            if self.engine.motion.mode is not Mode.ARMED:
                self.engine.submit(Arm("20x"))
            return self.engine.motion.mode is Mode.ARMED

        self.until(armed)

    def go(self, command: object, step: Step) -> None:
        """Press what can be pressed, and wait until it is there.

        Again where a late frame has halted the way: on a busy machine it may.
        """
        control = self.window.controller.injection
        pressed_s = -math.inf

        def there() -> bool:
            nonlocal pressed_s
            if self.sequence.step is step and not self.sequence.under_way:
                return True
            if not self.sequence.under_way and time.monotonic() - pressed_s > _AGAIN_S:
                if self.engine.motion.mode is Mode.DISARMED:
                    self.engine.submit(Arm("20x"))
                elif control.refusal(command) == "":  # type: ignore[arg-type]
                    pressed_s = time.monotonic()
                    control.steer(command)  # type: ignore[arg-type]
            return False

        self.until(there)

    def teach(self) -> None:
        """Press Teach until the place is kept: the window may not yet see that the stage rests."""
        untaught = self.sequence.refusals[Carry()]

        def taught() -> bool:
            if self.sequence.refusals[Carry()] != untaught:
                return True
            self.window.controller.injection.steer(Teach())
            return False

        assert "taught" in untaught
        self.until(taught)

    def rests_at_um(self) -> float:
        """Height of the tip once it rests."""
        pipette = self.engine.rig.pipette
        assert pipette is not None
        self.until(lambda: pipette.read_pose().moving is False)
        return pipette.read_pose().z_um


@pytest.fixture
def bench(qtbot: QtBot, qapp: QApplication) -> Iterator[Bench]:
    config = load_rig(RIG)
    easy = {"frame_rate_hz": 10.0, "sperm_in_view": 2}  # for a machine that is busy
    rig = build_rig(
        config.model_copy(
            update={
                "network": NetworkConfig(detector="threshold"),
                "camera": config.camera.model_copy(update=easy),
            }
        )
    )
    engine = Engine(rig)
    try:
        engine.start()
        session = LiveSession(engine, rig_view(rig), headless=True)
        it = Bench(engine, session.window, qtbot)
        it.until(lambda: engine.latest() is not None and engine.sequence() is not None, 90.0)
        yield it
        session.close()
    finally:
        engine.stop()


def test_down_while_the_key_is_held_and_at_rest_when_it_is_let_go(bench: Bench) -> None:
    assert bench.engine.rig.injection_refusal == ""
    assert "arm first" in bench.sequence.refusals[StandBy()]
    bench.arm()
    bench.go(Park(), Step.PARKED)
    assert "align it first" in bench.sequence.refusals[Descend()]
    bench.go(StandBy(), Step.STANDBY)
    bench.teach()
    bench.go(Carry(), Step.AT_OOCYTE)
    high_um = bench.sequence.height_um
    assert high_um == pytest.approx(26.0, abs=0.5)
    bench.bot.keyPress(bench.window, HOLD_KEY)
    bench.until(lambda: (bench.sequence.height_um or math.inf) < 20.0)
    assert bench.window.controller.injection.held
    # On a busy machine the window may be late with its word that it is held: that pauses.
    assert bench.sequence.step in (Step.DESCENDING, Step.PAUSED)
    bench.bot.keyRelease(bench.window, HOLD_KEY)
    let_go_s = time.perf_counter()
    low_um = bench.rests_at_um()
    rested_s = time.perf_counter() - let_go_s
    bench.until(lambda: bench.sequence.step is Step.PAUSED)
    print(f" at rest, and read at rest, {1e3 * rested_s:.0f} ms after the key came up", end="")
    bench.bot.wait(300)
    assert bench.rests_at_um() == low_um
    assert rested_s < 1.0  # 0.1 of it to the stop; the rest is reading the position
    bench.until(lambda: bench.window.injection.text("Pipette") == Step.PAUSED.value)
    bench.bot.keyClick(bench.window, Qt.Key.Key_Delete)
    bench.until(lambda: bench.sequence.step is Step.PARKED and not bench.sequence.under_way)
    bench.until(lambda: (bench.sequence.height_um or 0.0) == pytest.approx(66.0, abs=0.5))
    assert bench.engine.faults == ()
