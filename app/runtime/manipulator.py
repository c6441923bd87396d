"""The pipette thread: owns the manipulator, and does what the injection sequence decides."""

from __future__ import annotations

import math
import threading
import time

import numpy as np

from app.core.injection_values import DriveStage, Freeze, Go, Order, Outlook, Sense, Step
from app.core.interlocks import MOVING
from app.core.messages import Descend, LetGo, Mode, PipetteCommand
from app.core.selection import find_target
from app.runtime.devices import Kept
from app.runtime.helm import Helm
from app.runtime.mailbox import Inbox, Latest
from app.runtime.worker import Board, Worker
from drivers.errors import DeviceError, GuardianError, LimitError, NotNow
from drivers.protocols import Manipulator
from drivers.types import Pose
from models.types import Float64, Tracks

POLL_S = 0.5
LOOK_S = 0.1  # at the sequence, for the person who steers it
BUSY_POLL_S = 0.010
OVERRULED_S = 0.5  # a move that a stop from elsewhere cancelled is no fault


class PipetteBrake(Worker):
    """Stops the pipette over the head of its thread, which may be waiting for a reply.

    Parameters
    ----------
    manipulator : Manipulator
    """

    def __init__(self, manipulator: Manipulator, board: Board) -> None:
        super().__init__("pipette brake", board)
        self._manipulator = manipulator
        self._pulled = threading.Event()
        self.stopped_s = -math.inf

    def pull(self) -> None:
        """Stop the pipette now; never blocks."""
        self._pulled.set()

    def halt(self) -> None:
        """Ask the loop to end at once."""
        super().halt()
        self._pulled.set()

    def step(self) -> None:
        """Wait to be pulled."""
        if not self._pulled.wait(0.25) or self.stopping.is_set():
            return
        self._pulled.clear()
        self.stopped_s = time.perf_counter()
        try:
            self._manipulator.stop()
        except DeviceError as error:
            self.board.fault(self.role, error)
        else:
            self.board.clear(self.role)


class PipetteWorker(Worker):
    """Reads the manipulator's pose, moves it as the sequence decides, stops it when told to.

    Parameters
    ----------
    manipulator : Manipulator
    helm : Helm or None
        None where nothing steers the pipette: it is only watched.
    refusal : str
        Why nothing steers it.

    Attributes
    ----------
    pose : Pose or None
        As last read; None where it is not known.
    outlook : Outlook or None
        The sequence as of now, for a person; None where nothing steers the pipette.
    """

    def __init__(
        self,
        manipulator: Manipulator,
        board: Board,
        helm: Helm | None = None,
        refusal: str = "the rig file has no [injection]",
    ) -> None:
        super().__init__("pipette", board)
        self._manipulator = manipulator
        self._helm = helm
        self._refusal = refusal
        self._wake = threading.Event()
        self._stop_wanted = ""
        self._broken = False
        self._refusing = False  # its guardian lets nothing move until it is asked to reconnect
        self._reconnect_wanted = False
        self._went_s = -math.inf
        self._tracks = Tracks.empty(0.0)
        self.brake = PipetteBrake(manipulator, board)
        self.commands: Inbox[PipetteCommand] = Inbox(self._wake)
        self.sightings: Latest[Tracks] = Latest()
        self._polled_s = -math.inf
        self.pose: Pose | None = None
        self.outlook: Outlook | None = None

    @property
    def looks_for_tip(self) -> bool:
        """Whether pictures are to be searched for the tip."""
        return self._helm is not None and self._helm.injection.step is Step.DESCENDING

    def submit(self, command: PipetteCommand) -> None:
        """Leave a command; one that ends a descent also stops the pipette at once. Never blocks."""
        if isinstance(command, LetGo) and self.looks_for_tip:
            self.brake.pull()
        self.commands.put(command)
        if self.failure is not None and not isinstance(command, Descend | LetGo):
            name = type(command).__name__
            self.board.tell(f"{name}: {self.obituary}", "warning", command=name)

    def stop_now(self, why: str = "Stop pressed") -> None:
        """Interrupt whatever it does, and make void what was asked for before; never blocks."""
        self._stop_wanted = why
        self.commands.void()
        self.brake.pull()
        self._wake.set()

    def reconnect(self) -> None:
        """After a fault: somebody has looked, and has armed again. Never blocks."""
        self._reconnect_wanted = True
        self._wake.set()

    def start(self) -> None:
        """Start this thread and its brake's."""
        self.brake.start()
        super().start()

    def halt(self) -> None:
        """Ask the loops to end at once."""
        super().halt()
        self._wake.set()
        self.brake.halt()

    def join(self, timeout: float | None = None) -> None:
        """Wait for both threads."""
        super().join(timeout)
        self.brake.join(timeout)

    def step(self) -> None:
        """Stop if asked to; else look, obey, and go on."""
        woken = self._wake.wait(BUSY_POLL_S if self._is_busy() else LOOK_S)
        self._wake.clear()
        if self.stopping.is_set():
            return
        try:
            self._stop_if_wanted()
            if self._reconnect_wanted:
                self._come_back()
            self._listen()
            if woken or self._is_busy() or time.perf_counter() - self._polled_s >= POLL_S:
                self._look()
        except NotNow:
            self.pose = None  # somebody turns its knobs
        except DeviceError as error:
            self._fail(error)
        self._steer()

    def _look(self) -> None:
        self._polled_s = time.perf_counter()
        self.pose = self._manipulator.read_pose()
        if self._broken:
            self._broken = False
            self.board.clear(self.role)

    def close(self) -> None:
        """Leave the manipulator at rest."""
        if self._is_busy():
            self._manipulator.stop()

    def _is_busy(self) -> bool:
        return self._helm is not None and self._helm.injection.is_busy

    def _stop_if_wanted(self) -> None:
        why, self._stop_wanted = self._stop_wanted, ""
        if not why:
            return
        if self._helm is not None:
            self._helm.injection.stop(time.perf_counter(), why)
        self._manipulator.stop()
        for void in self.commands.take_void():
            if not isinstance(void, Descend | LetGo):  # these come and go by themselves
                name = type(void).__name__
                self.board.tell(f"{name}: void, Stop was pressed after it", "warning", command=name)

    def _listen(self) -> None:
        """Hear what the guardian did by itself."""
        if not isinstance(self._manipulator, Kept):
            return
        for kind, why in self._manipulator.events():
            if kind != "deadman":
                raise GuardianError("pipette", why, "arm again")
            if self._helm is not None:
                self._helm.injection.stop(time.perf_counter(), f"the pipette was stopped: {why}")

    def _come_back(self) -> None:
        self._reconnect_wanted = False
        if self._refusing and isinstance(self._manipulator, Kept):
            self._manipulator.reconnect()
        self._refusing = False

    def _steer(self) -> None:
        helm = self._helm
        sighting = self.sightings.take()
        self._tracks = self._tracks if sighting is None else sighting
        if self._stop_wanted:
            return  # pressed meanwhile: it is next, and nothing begins before it
        while (command := self.commands.take()) is not None:
            refusal = self._refusal
            if helm is not None:
                helm.at_work()
                now_s = time.perf_counter()
                refusal = helm.injection.obey(command, now_s, self._sense(helm, now_s))
            if refusal and not isinstance(command, LetGo):
                self.board.tell(refusal, "warning", command=type(command).__name__)
        if helm is None:
            return
        now_s = time.perf_counter()
        if self.brake.stopped_s > self._went_s:
            self._went_s = now_s
            helm.injection.interrupted(now_s)
        order = helm.injection.act(now_s, self._sense(helm, now_s))
        # A way may outlast the patience with who is idle; to wait for the stage is no work.
        if helm.injection.is_busy and helm.injection.step is not Step.CARRYING:
            helm.at_work()
        if order is not None and not self._stop_wanted:
            self._carry_out(order, helm)
        self.outlook = helm.injection.outlook(self._sense(helm, now_s))
        for note in helm.injection.notes():
            self.board.tell(f"pipette: {note}", "info", step=helm.injection.step.value)

    def _carry_out(self, order: Order, helm: Helm) -> None:
        began_s = time.perf_counter()
        try:
            match order:
                case Go(to_um, speed_um_s):
                    self._went_s = began_s
                    self._manipulator.move_to(*to_um, speed_um_s)
                case Freeze():
                    if began_s - self.brake.stopped_s > OVERRULED_S:
                        self._manipulator.stop()
                case DriveStage(to_um):
                    helm.drive_stage(to_um)
        except (LimitError, NotNow) as error:
            helm.injection.stop(time.perf_counter(), str(error))
        except GuardianError as error:
            overruled = self.brake.stopped_s >= began_s - OVERRULED_S
            if not overruled:
                self._fail(error)
            helm.injection.interrupted(time.perf_counter())
        except DeviceError as error:
            self._fail(error)

    def _fail(self, error: DeviceError) -> None:
        self._broken = self._refusing = True
        self.pose = None
        if self._helm is not None:
            self._helm.injection.stop(time.perf_counter(), str(error))
        self.board.fault(self.role, error)

    def _sense(self, helm: Helm, now_s: float) -> Sense:
        state = helm.motion()
        wanted = state.target if state.mode in MOVING else None
        target = None if wanted is None else find_target(self._tracks, wanted)
        head_um: Float64 | None = None
        if target is not None and target.seen:
            head_um = self._tracks.raw_um[np.flatnonzero(self._tracks.track_id == wanted)[0]]
        return Sense(
            pipette=self.pose,
            armed=state.mode not in (Mode.DISARMED, Mode.FAULT),
            stage_um=helm.stage_at(now_s),
            stage_rests=helm.stage_rests(),
            target=target,
            head_um=head_um,
            tip=helm.tip(),
        )
