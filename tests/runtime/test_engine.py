"""The threads together: follow, stop, fault, shut down. Real threads and clock, small parts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from emulated import wait_until
from small_rig import DiscDetector, SmallRig

from app.core.messages import Arm, Command, Disarm, Follow, FollowBest, Mode, MoveBy, Snapshot, Stop
from app.records.journal import Value, verify_journal
from app.runtime.engine import Engine
from app.runtime.operator import ScriptedOperator
from drivers.errors import CameraError, PortError
from drivers.scene_camera import SceneCameraSettings


@contextmanager
def running(parts: SmallRig, out: Path | None = None) -> Iterator[Engine]:
    engine = Engine(parts.build(), out=out)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()
    assert parts.closed


def wait(engine: Engine, until: Callable[[Snapshot], bool], timeout_s: float = 8.0) -> Snapshot:
    """Look at each new snapshot until one will do."""
    deadline_s = time.perf_counter() + timeout_s
    last = None
    while time.perf_counter() < deadline_s:
        snapshot = engine.latest()
        if snapshot is not None and snapshot is not last:
            last = snapshot
            engine.overlay_drawn(snapshot, time.perf_counter())
            if until(snapshot):
                return snapshot
        engine.changed.wait(0.1)
        engine.changed.clear()
    raise AssertionError(f"it did not happen within {timeout_s} s; last: {last and last.motion}")


def press(engine: Engine, command: Command, wanted: set[Mode]) -> Snapshot:
    """Press until it is accepted: on a busy machine frames may be stale for a moment."""

    def accepted(snapshot: Snapshot) -> bool:
        if snapshot.motion.mode not in wanted and snapshot.frame.number % 15 == 0:
            engine.submit(command)
        return snapshot.motion.mode in wanted

    engine.submit(command)
    return wait(engine, accepted)


def go(engine: Engine, x_um: float, y_um: float) -> Snapshot:
    """Press until it is there: where frames were stale for a moment a move was refused, or cut."""

    def there(snapshot: Snapshot) -> bool:
        pose = snapshot.pose
        if pose is None:
            return False
        away_um = (x_um - pose.x_um, y_um - pose.y_um)
        if max(map(abs, away_um)) < 0.5:
            return True
        if snapshot.frame.number % 15 == 0:
            engine.submit(MoveBy(*away_um))
        return False

    return wait(engine, there)


def press_and_hear(engine: Engine, command: Command) -> str:
    """Press, and return what is said about it."""
    engine.events()
    engine.submit(command)
    heard: list[str] = []

    def told(_: Snapshot) -> bool:
        heard.extend(event.text for event in engine.events())
        return any("outside" in text or "not moved" in text for text in heard)

    wait(engine, told)
    return " ".join(heard)


def follow_best(engine: Engine) -> Snapshot:
    wait(engine, lambda s: bool(s.ranking) and s.pose is not None)
    press(engine, Arm("20x"), {Mode.ARMED})
    press(engine, FollowBest(), {Mode.CENTERING, Mode.FOLLOWING})
    return wait(engine, lambda s: s.motion.mode is Mode.FOLLOWING)


def test_the_fastest_is_followed_and_recorded(tmp_path: Path) -> None:
    parts = SmallRig()
    with running(parts, tmp_path) as engine:
        operator = ScriptedOperator(engine, "20x", "best")
        start_s = time.perf_counter()

        def done(snapshot: Snapshot) -> bool:
            operator.tick()
            return time.perf_counter() - start_s > 7.0

        last = wait(engine, done, 9.0)
        figures = engine.statistics()
    assert last.motion.mode is Mode.FOLLOWING
    row = int(np.flatnonzero(last.tracks.track_id == last.motion.target)[0])
    centre_px = np.array((319.5, 239.5))
    assert np.linalg.norm(last.track_px[row] - centre_px) < 8.0
    assert isinstance(figures["centring_rms_um"], float)
    assert figures["centring_rms_um"] < 3.0
    assert figures["choices"] == 1
    assert float(str(figures["fps_mean"])) > 25
    assert figures["dropped"] <= 0.05 * figures["frames"]  # type: ignore[operator]
    for delay in ("frame_to_overlay_ms", "frame_to_command_ms"):
        assert set(figures[delay]) == {"p50", "p95", "p99"}  # type: ignore[call-overload]
    (session,) = tmp_path.iterdir()
    assert verify_journal(session / "journal.jsonl").ok
    assert "Arm" in (session / "journal.jsonl").read_text(encoding="utf-8")
    assert {p.name for p in session.iterdir()} >= {"rig.toml", "session.json", "summary.json"}


def test_nothing_moves_before_arming_or_after_a_stop() -> None:
    parts = SmallRig()
    with running(parts) as engine:
        wait(engine, lambda s: bool(s.ranking))
        refused: list[Command] = [FollowBest(), Follow(1), MoveBy(10.0, 0.0), Arm("40x")]
        for command in refused:
            engine.submit(command)
        wait(engine, lambda s: s.motion.reason != "")
        assert "40x is not 20x" in engine.motion.reason
        assert not {what for what, _ in parts.stage.log} & {"move", "velocity"}
        follow_best(engine)
        stopped_s = time.perf_counter()
        engine.submit(Stop())
        wait(engine, lambda s: s.motion.mode is Mode.DISARMED)
        wait(engine, lambda s: s.frame.time_s > stopped_s + 0.3)
    late = [what for what, at_s in parts.stage.log if at_s > stopped_s + 0.1]
    assert set(late) <= {"stop"}
    stops_s = [at_s for what, at_s in parts.stage.log if what == "stop" and at_s > stopped_s]
    assert stops_s[0] - stopped_s < 0.050
    speed = parts.stage.plant.velocity_um_s(stopped_s + 0.2)
    assert speed[:2] == (0.0, 0.0)


def test_m2_a_stop_does_not_wait_for_a_disk_that_is_slow(tmp_path: Path) -> None:
    parts = SmallRig()
    disk = threading.Event()
    with running(parts, tmp_path) as engine:
        follow_best(engine)
        assert engine._session is not None
        write = engine._session.journal.write

        def slow(kind: str, time_s: float, data: dict[str, Value]) -> None:
            disk.wait(10.0)
            write(kind, time_s, data)

        engine._session.journal.write = slow  # type: ignore[method-assign]
        asked_s = time.perf_counter()
        presses = threading.Thread(target=engine.submit, args=(Stop(),))
        presses.start()
        wait_until(lambda: any(what == "stop" and at_s > asked_s for what, at_s in parts.stage.log))
        assert presses.is_alive()
        disk.set()
        presses.join()
    stops_s = [at_s for what, at_s in parts.stage.log if what == "stop" and at_s > asked_s]
    assert stops_s[0] - asked_s < 0.2


def test_a_planned_move_arrives_and_disarming_ends_it() -> None:
    parts = SmallRig()
    with running(parts) as engine:
        wait(engine, lambda s: s.pose is not None)
        press(engine, Arm("20x"), {Mode.ARMED})
        snapshot = go(engine, 40.0, -25.0)
        assert snapshot.motion.mode is Mode.ARMED
        engine.submit(Disarm())
        wait(engine, lambda s: s.motion.mode is Mode.DISARMED)


def test_a_target_outside_the_limits_is_refused_and_nothing_is_stuck() -> None:
    parts = SmallRig()
    with running(parts) as engine:
        wait(engine, lambda s: s.pose is not None)
        press(engine, Arm("20x"), {Mode.ARMED})
        while "outside" not in press_and_hear(engine, MoveBy(5000.0, 0.0)):
            pass
        assert engine.motion.mode is Mode.ARMED
        go(engine, 20.0, 0.0)
        assert engine.faults == ()


def test_another_sperm_far_away_can_be_chosen_while_one_is_followed() -> None:
    parts = SmallRig()
    with running(parts) as engine:
        snapshot = follow_best(engine)
        row = int(np.flatnonzero(snapshot.tracks.track_id == snapshot.motion.target)[0])
        away_um = snapshot.tracks.position_um - snapshot.tracks.position_um[row]
        distance_um = np.linalg.norm(away_um, axis=1)
        other = int(snapshot.tracks.track_id[int(np.argmin(np.abs(distance_um - 100.0)))])
        press(engine, Follow(other), {Mode.CENTERING})
        snapshot = wait(engine, lambda s: s.motion.mode is Mode.FOLLOWING)
        assert snapshot.motion.target == other
        assert engine.faults == ()
        assert "move" in [what for what, _ in parts.stage.log]


def test_a_sperm_that_vanishes_holds_the_stage() -> None:
    parts = SmallRig()
    with running(parts) as engine:
        snapshot = follow_best(engine)
        target = snapshot.motion.target
        row = int(np.flatnonzero(snapshot.tracks.track_id == target)[0])
        position_um = snapshot.tracks.position_um[row]
        parts.scene.hidden = parts.scene.nearest(position_um, snapshot.frame.time_s)
        snapshot = wait(engine, lambda s: s.motion.mode is Mode.HOLD)
        assert snapshot.motion.target == target
        assert "lost" in snapshot.motion.reason
        assert any("lost" in event.text for event in engine.events())
    assert parts.stage.plant.velocity_um_s(time.perf_counter())[:2] == (0.0, 0.0)


def test_a_camera_that_stops_is_a_named_fault_and_stops_the_stage() -> None:
    # Long enough to be followed before, also on a busy machine.
    parts = SmallRig(camera_settings=SceneCameraSettings(vanish_after_s=6.0))
    with running(parts) as engine:
        follow_best(engine)
        snapshot = wait(engine, lambda s: s.motion.mode is Mode.FAULT)
        assert "was unplugged" in snapshot.motion.reason
        assert "was unplugged" in snapshot.faults[0]
        assert isinstance(engine.failure, CameraError)
        fault_s = time.perf_counter()
        assert any(event.severity == "fault" for event in engine.events())
    assert parts.stage.plant.velocity_um_s(fault_s + 0.2)[:2] == (0.0, 0.0)


def test_a_thread_that_raises_is_named_and_stops_the_stage() -> None:
    trigger: list[Exception] = []
    parts = SmallRig(detector=DiscDetector(lambda: trigger[0] if trigger else None))
    with running(parts) as engine:
        follow_best(engine)
        trigger.append(RuntimeError("out of memory"))
        snapshot = wait(engine, lambda s: s.motion.mode is Mode.FAULT)
        assert any(
            fault in snapshot.faults
            for fault in (f"detect {k}: RuntimeError: out of memory" for k in (1, 2))
        )
        engine.submit(Arm("20x"))
        time_s = time.perf_counter()
        wait_events(engine, "out of memory")
        assert engine.motion.mode is Mode.FAULT
        stop_s = time.perf_counter()
    assert time.perf_counter() - stop_s < 3.0
    assert parts.stage.plant.velocity_um_s(time_s + 0.2)[:2] == (0.0, 0.0)


def test_a_stage_thread_that_dies_is_a_fault_and_whoever_presses_is_told() -> None:
    parts = SmallRig()
    with running(parts) as engine:
        follow_best(engine)
        assert engine._stage is not None

        def die(*_: object) -> None:
            raise RuntimeError("odd tracks")

        engine._stage._pilot.see = die  # type: ignore[method-assign]
        wait(engine, lambda s: s.motion.mode is Mode.FAULT)
        assert "the stage thread has died" in engine.motion.reason
        assert engine.faults == ("stage: RuntimeError: odd tracks",)
        assert parts.stage.log[-1][0] == "stop"
        engine.submit(Arm("20x"))
        wait_events(engine, "arm: the stage thread has died; end the program")
        assert engine.motion.mode is Mode.FAULT


def test_a_port_that_vanishes_is_a_fault_and_can_come_back() -> None:
    parts = SmallRig()
    with running(parts) as engine:
        follow_best(engine)
        parts.stage.broken = PortError("stage", "the port has vanished", "plug it in")
        wait(engine, lambda s: s.motion.mode is Mode.FAULT)
        assert "plug it in" in engine.motion.reason
        said = [event.text for event in engine.events() if event.severity == "fault"]
        assert [text for text in said if "vanished" in text] == [engine.faults[0]]  # once
        parts.stage.broken = None
        wait(engine, lambda s: not s.faults)
        assert engine.motion.mode is Mode.FAULT
        engine.submit(Arm("20x"))
        wait(engine, lambda s: s.motion.mode is Mode.ARMED)


def test_a_camera_that_does_not_open_is_raised_and_leaves_nothing_behind() -> None:
    parts = SmallRig()
    rig = parts.build()
    error = CameraError("camera 40012345", "is not there", "check its cable")

    def refuse() -> None:
        raise error

    rig.camera.open = refuse  # type: ignore[method-assign]
    engine = Engine(rig)
    with pytest.raises(CameraError, match="check its cable"):
        engine.start()
    assert parts.closed


def wait_events(engine: Engine, text: str, timeout_s: float = 5.0) -> None:
    deadline_s = time.perf_counter() + timeout_s
    while time.perf_counter() < deadline_s:
        if any(text in event.text for event in engine.events()):
            return
        engine.changed.wait(0.1)
        engine.changed.clear()
    raise AssertionError(f"nobody said {text!r}")
