"""Instruments that obey until they are told to stop, and then stand still for good."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from calibration.procedure import Bench
from drivers.clock import Clock
from drivers.errors import DeviceError
from drivers.protocols import Camera, Manipulator, Stage
from drivers.types import Frame, Pose


class Cancelled(Exception):
    """A person has stopped the procedure."""


class Brake:
    """One switch for all instruments of a bench. Any thread may pull it.

    A command goes out under a lock, and none after the brake was pulled: what was on its way at
    that moment is stopped a second time.
    """

    def __init__(self) -> None:
        self._pulled = threading.Event()
        self._lock = threading.Lock()
        self._stops: list[Callable[[], object]] = []

    @property
    def pulled(self) -> bool:
        """Whether nothing may move any more."""
        return self._pulled.is_set()

    def hold(self, stop: Callable[[], object]) -> None:
        """Add what stops an instrument."""
        self._stops.append(stop)

    def check(self) -> None:
        """Raise Cancelled once it is pulled."""
        if self._pulled.is_set():
            raise Cancelled

    def command(self, send: Callable[[], None]) -> None:
        """Send a command that may move something, unless the brake is pulled: then Cancelled."""
        with self._lock:
            self.check()
            send()

    def pull(self) -> None:
        """Stop everything; blocks until the controllers have confirmed. Raises DeviceError."""
        self._pulled.set()
        failed: DeviceError | None = None
        for _ in range(2):
            for stop in self._stops:
                try:
                    stop()
                except DeviceError as error:
                    failed = error
            with self._lock:  # what was being sent has been sent now, and is stopped next
                pass
        if failed is not None:
            raise failed

    def set(self) -> None:
        """Let no further command out; what moves is stopped by ``pull``."""
        self._pulled.set()


class _Camera:
    """A camera that looks only as long as the brake is not pulled."""

    def __init__(self, camera: Camera, brake: Brake, seen: Callable[[Frame], None]) -> None:
        self._camera, self._brake, self._seen = camera, brake, seen

    @property
    def name(self) -> str:
        return self._camera.name

    @property
    def width_px(self) -> int:
        return self._camera.width_px

    @property
    def height_px(self) -> int:
        return self._camera.height_px

    @property
    def frame_rate_hz(self) -> float:
        return self._camera.frame_rate_hz

    def open(self) -> None:
        self._brake.check()
        self._camera.open()

    def read(self, timeout_s: float) -> Frame | None:
        self._brake.check()
        frame = self._camera.read(timeout_s)
        if frame is not None:
            self._seen(frame)
        return frame

    def close(self) -> None:
        self._camera.close()


class _Stage:
    """A stage under the brake."""

    def __init__(self, stage: Stage, brake: Brake) -> None:
        self._stage, self._brake = stage, brake
        brake.hold(stage.stop)

    def read_pose(self) -> Pose:
        self._brake.check()
        return self._stage.read_pose()

    def move_to(self, x_um: float, y_um: float) -> None:
        self._brake.command(lambda: self._stage.move_to(x_um, y_um))

    def set_velocity(self, vx_um_s: float, vy_um_s: float) -> None:
        self._brake.command(lambda: self._stage.set_velocity(vx_um_s, vy_um_s))

    def stop(self) -> None:
        self._stage.stop()


class _Manipulator:
    """A manipulator under the brake."""

    def __init__(self, pipette: Manipulator, brake: Brake) -> None:
        self._pipette, self._brake = pipette, brake
        brake.hold(pipette.stop)

    def read_pose(self) -> Pose:
        self._brake.check()
        return self._pipette.read_pose()

    def move_to(self, x_um: float, y_um: float, z_um: float, speed_um_s: float) -> None:
        self._brake.command(lambda: self._pipette.move_to(x_um, y_um, z_um, speed_um_s))

    def stop(self) -> None:
        self._pipette.stop()


class _Clock:
    """A clock by which nobody waits once the brake is pulled."""

    def __init__(self, clock: Clock, brake: Brake) -> None:
        self._clock, self._brake = clock, brake

    def now_s(self) -> float:
        return self._clock.now_s()

    def wait_until(self, time_s: float) -> None:
        self._brake.check()
        self._clock.wait_until(time_s)
        self._brake.check()


def cancellable(bench: Bench, brake: Brake, seen: Callable[[Frame], None]) -> Bench:
    """Return the same bench under a brake; ``seen`` is told of every frame that is read."""
    return replace(
        bench,
        camera=_Camera(bench.camera, brake, seen),
        stage=None if bench.stage is None else _Stage(bench.stage, brake),
        pipette=None if bench.pipette is None else _Manipulator(bench.pipette, brake),
        clock=_Clock(bench.clock, brake),
    )
