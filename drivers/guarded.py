"""A stage and a manipulator behind their guardians: what the rest of the program drives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self, TypedDict, Unpack

from drivers.guardian_client import STEER_S, GuardianClient
from drivers.guardian_messages import GuardianSettings, Json, decode_pose, numbers
from drivers.limits import SoftLimits
from drivers.pose import Pose

Options = Mapping[str, float | bool | str]

DEADMAN_S = 0.150


class GuardOptions(TypedDict, total=False):
    """Arguments that every guarded instrument takes; see ``_Guarded``."""

    deadman_s: float
    transcript: Path | None
    options: Options | None


class _Guarded:
    """What stage and manipulator have in common. All methods from any thread.

    Parameters
    ----------
    deadman_s : float
        How long a velocity lives, and how long the host may be silent while something moves.
    transcript : Path, optional
        File to append everything on the wire to.
    options : mapping
        Further arguments of the driver: drivers.prior.driver.ProScan, drivers.mp285.driver.MP285.
    """

    def __init__(self, settings: GuardianSettings) -> None:
        self._client = GuardianClient(settings)
        try:
            self._client.connect()
        except BaseException:
            self._client.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def identity(self) -> str:
        """What the instrument says that it is."""
        return self._client.identity

    @property
    def guardian_pid(self) -> int:
        """Process that owns the port."""
        return self._client.pid

    def read_pose(self) -> Pose:
        """Position as read back from the controller. Raises DeviceError."""
        return decode_pose(self._client.ask("pose")["value"])

    def stop(self) -> None:
        """Stop all motion now; returns when the controller has confirmed.

        Overtakes everything that waits, and cancels it. Raises DeviceError only where the stop
        is not confirmed; the guardian goes on trying.
        """
        self._client.stop()

    def reconnect(self, *, new_frame: bool = False) -> Pose:
        """After a fault: open and identify anew, or start a new guardian. Moves nothing.

        Returns the position found. Raises DeviceError, also where the position has become the
        origin in the meantime: the controller was switched off, and the soft limits no longer fit.
        ``new_frame`` accepts that, once limits and calibration have been found again.
        """
        client = self._client
        connect = client.connect if client.alive else client.restart
        return decode_pose(connect(new_frame=new_frame)["pose"])

    def events(self) -> list[tuple[str, str]]:
        """Take what happened unasked: (kind, why), kind 'deadman', 'fault' or 'died'."""
        return self._client.events()

    def transcript(self, last: int = 100) -> list[tuple[float, str, bytes]]:
        """Newest lines of the wire: monotonic time_s, '>' or '<', bytes."""
        lines = self._client.ask("transcript", last=last)["value"]
        return [
            (float(time_s), str(way), str(data).encode("latin-1"))
            for time_s, way, data in (lines if isinstance(lines, list) else [])
        ]

    def close(self) -> None:
        """Stop what moves, give the joystick back, release the port. Safe to call twice."""
        self._client.close()


class GuardedStage(_Guarded):
    """A Stage (drivers.protocols) on a ProScan. Connects when built.

    Parameters
    ----------
    url : str
        Port: ``COM3``, ``/dev/ttyUSB0``, ``socket://127.0.0.1:PORT``.
    limits : SoftLimits
        Two axes, stage frame.
    name : str
        What messages call it.
    baud : int
        Tried first; on a tty the other usual rates are tried too.
    move_speed_um_s : float
        Of planned moves.
    acceleration_um_s2 : float
        Deceleration that a stop can count on.
    **more
        See ``_Guarded``.

    Raises
    ------
    DeviceError
        PortError, WrongDevice, ReplyTimeout...: nothing has been moved then.
    """

    def __init__(
        self,
        url: str,
        limits: SoftLimits,
        *,
        name: str = "stage",
        baud: int = 38400,
        move_speed_um_s: float = 2_000.0,
        acceleration_um_s2: float = 50_000.0,
        **more: Unpack[GuardOptions],
    ) -> None:
        self._move_speed_um_s = move_speed_um_s
        settings = _settings("proscan", url, limits, name=name, baud=baud, **more)
        super().__init__(replace(settings, acceleration_um_s2=acceleration_um_s2))

    def move_to(self, x_um: float, y_um: float) -> None:
        """Start one absolute move. Raises LimitError, GuardianError while moving."""
        self._client.ask("move", um=[x_um, y_um], speed=self._move_speed_um_s)

    def set_velocity(self, vx_um_s: float, vy_um_s: float) -> None:
        """Stream a velocity: one round trip of about 12 ms. Slowed down to the speed limit.

        Raises LimitError, and the stage is stopped, where it leads to a soft limit.
        """
        self._client.ask("velocity", timeout_s=STEER_S, um_s=[vx_um_s, vy_um_s])

    def set_velocity_and_read_pose(self, vx_um_s: float, vy_um_s: float) -> Pose:
        """Do both in one request to the guardian: two round trips on the wire, about 25 ms."""
        answer: Json = self._client.ask(
            "velocity", timeout_s=STEER_S, um_s=[vx_um_s, vy_um_s], pose=True
        )
        return decode_pose(answer["pose"])

    def confine(self, half_um: float, max_speed_um_s: float) -> SoftLimits:
        """Shrink range and speed to a window about where it is; a motion is stopped first.

        In force until ``release``, through reconnections and new guardians. Returns the limits in
        force. Raises DeviceError, and nothing is confined, where its position is not known.
        """
        answer = self._client.ask("confine", half_um=half_um, speed=max_speed_um_s)
        low_um, high_um = tuple(numbers(answer["low_um"])), tuple(numbers(answer["high_um"]))
        (speed_um_s,) = numbers([answer["speed"]])
        self._client.settings = replace(
            self._client.settings,
            window_low_um=low_um, window_high_um=high_um, window_speed_um_s=speed_um_s,
        )  # fmt: skip
        return SoftLimits(low_um, high_um, speed_um_s)

    def release(self) -> None:
        """Undo ``confine``. Raises DeviceError."""
        self._client.ask("release")
        self._client.settings = replace(
            self._client.settings, window_low_um=(), window_high_um=(), window_speed_um_s=0.0
        )


class GuardedManipulator(_Guarded):
    """A Manipulator (drivers.protocols) on an MP-285. Connects when built.

    Parameters
    ----------
    url : str
    limits : SoftLimits
        Three axes, pipette frame.
    name, baud, **more
        As for GuardedStage.
    rtscts : bool
        Hardware handshake: some serial MP-285A want it, their USB does not.
    safe_z_um : float, optional
        Height below which moves need a permit: see ``drivers.descent``.
    up : int
        Sign of z that leads away from the glass: 1 or -1.

    Raises
    ------
    DeviceError
        Nothing has been moved then.
    """

    def __init__(
        self,
        url: str,
        limits: SoftLimits,
        *,
        name: str = "pipette",
        baud: int = 9600,
        rtscts: bool = False,
        safe_z_um: float | None = None,
        up: int = 1,
        **more: Unpack[GuardOptions],
    ) -> None:
        settings = _settings("mp285", url, limits, name=name, baud=baud, **more)
        super().__init__(replace(settings, rtscts=rtscts, safe_z_um=safe_z_um, up=up))

    def move_to(self, x_um: float, y_um: float, z_um: float, speed_um_s: float) -> None:
        """Start one absolute move. Raises LimitError, NotNow, GuardianError while moving."""
        self._client.ask("move", um=[x_um, y_um, z_um], speed=speed_um_s)

    def permit_descent(self) -> None:
        """Allow moves below the safe height: somebody has confined the stage."""
        self._client.ask("permit", descent=True)

    def forbid_descent(self) -> None:
        """Undo ``permit_descent``. Raises GuardianError while it moves, or is below."""
        self._client.ask("permit", descent=False)


def _settings(
    device: str, url: str, limits: SoftLimits, *, name: str, baud: int,
    **more: Unpack[GuardOptions],
) -> GuardianSettings:  # fmt: skip
    transcript = more.get("transcript")
    return GuardianSettings(
        device=device,
        url=url,
        name=name,
        low_um=limits.low_um,
        high_um=limits.high_um,
        max_speed_um_s=limits.max_speed_um_s,
        baud=baud,
        deadman_s=more.get("deadman_s", DEADMAN_S),
        transcript=str(transcript) if transcript else "",
        options=dict(more.get("options") or {}),
    )
