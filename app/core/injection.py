"""From the chosen sperm to the oocyte: what the pipette does next, as the operator steers it. Pure.

The pipette comes down only in micro-moves of at most 80 ms, and only while the operator holds the
control. Everything else is legs upwards, or at or above the safe height, and the tap in contact.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from app.config import InjectionConfig
from app.core.aim import Aim, Point
from app.core.injection_rules import OFFERED, Standing, refusal
from app.core.injection_values import (
    AIMS,
    BUSY,
    HIGH,
    DriveStage,
    Freeze,
    Go,
    Heights,
    Order,
    Outlook,
    PipetteMap,
    Sense,
    Step,
)
from app.core.legs import Place, legs
from app.core.lowering import HELD_S, Lowering
from app.core.messages import (
    Abort,
    Align,
    Carry,
    Descend,
    LetGo,
    Park,
    PipetteCommand,
    Retract,
    StandBy,
    Tap,
    Teach,
)
from app.core.stillness import Stillness
from drivers.pose import Pose
from models.types import Float64

CONFIRM_S = 4.0  # how long to watch for motion after a tap
ARRIVED_UM = 3.0
KNOWN_S = 0.3  # foretold for longer, nobody knows where the sperm is: found as one with another
TAP_SPEED_UM_S = 100.0


class Injection:
    """Decides; never talks to a device. Times are monotonic seconds.

    Parameters
    ----------
    settings : InjectionConfig
    heights : Heights
    pipette : PipetteMap
    speed_um_s : float
        Of legs at or above the safe height.
    frame_rate_hz : float

    Attributes
    ----------
    step : Step
    reason : str
        Why it paused or stopped; one sentence for a person, empty otherwise.
    immobilised : int
        Sperm that were seen to stop.
    oocyte_um : (x, y) or None
        Stage frame, as taught.
    """

    def __init__(
        self,
        settings: InjectionConfig,
        heights: Heights,
        pipette: PipetteMap,
        speed_um_s: float,
        frame_rate_hz: float,
    ) -> None:
        self._settings = settings
        self._heights = heights
        self._map = pipette
        self._speed_um_s = speed_um_s
        self._aim = Aim(settings.tail_um)
        self._lowering = Lowering(settings, heights, pipette)
        self._stillness = Stillness(frame_rate_hz)
        self._way: deque[Place] = deque()
        self._way_speed_um_s = speed_um_s
        self._then = Step.NOWHERE
        self._order: Go | None = None
        self._sent_s = -math.inf
        self._since_s = -math.inf
        self._aborting = self._cut = False
        self._rising = False  # a way up that was asked for while disarmed: it needs no arming
        self._pressed_s = -math.inf
        self._spent = False  # the press that is going on has had its effect
        self._height_um: float | None = None
        self.point: Point | None = None
        self._target_id: int | None = None
        self._known_s = -math.inf  # when the target was last found, by itself
        self._notes: list[str] = []
        self.step = Step.NOWHERE
        self.reason = ""
        self.immobilised = 0
        self.oocyte_um = settings.oocyte_um

    @property
    def bound_for(self) -> Step:
        """Where it goes while it is under way."""
        return self._then if self.step is Step.GOING else self.step

    @property
    def is_busy(self) -> bool:
        """Whether it has to be asked often: something moves, or is watched."""
        return self._order is not None or self.step in (*BUSY, Step.CONFIRMING)

    def notes(self) -> list[str]:
        """Take what is to be written down, in its order."""
        notes, self._notes = self._notes, []
        return notes

    def outlook(self, sense: Sense) -> Outlook:
        """Say for a person where it stands, and what can be asked for."""
        pose = sense.pipette
        if pose is None:
            self._height_um = None
        elif math.isfinite(pose.z_um):
            self._height_um = self._heights.above_dish_um(pose.z_um)
        standing = self._standing(sense)
        return Outlook(
            step=self.bound_for,
            under_way=self.step is Step.GOING,
            reason=self.reason,
            height_um=self._height_um,
            immobilised=self.immobilised,
            oocyte_um=self.oocyte_um,
            point="" if self.point is None else self.point.value,
            aim_um=self._aim_um(sense),
            refusals={command: refusal(command, standing, sense) for command in OFFERED},
        )

    def _aim_um(self, sense: Sense) -> tuple[float, float] | None:
        target = sense.target
        if self.point is None or target is None or target.track_id != self._target_id:
            return None
        if self.bound_for not in AIMS:
            return None
        at_um = self._aim.at_um(target, self.point, target.time_s)
        return None if at_um is None else (float(at_um[0]), float(at_um[1]))

    def obey(self, command: PipetteCommand, now_s: float, sense: Sense) -> str:
        """Carry out what a person wants; return why not, empty when done."""
        if isinstance(command, Descend):
            return self._press(now_s, sense)
        if isinstance(command, LetGo):
            self._lowering.let_go()
            self._pressed_s = -math.inf
            return ""
        why = refusal(command, self._standing(sense), sense)
        if why:
            return f"{_name(command)}: not now: {why}"
        self._note(_name(command))
        pose = sense.pipette
        here = _place(pose) if pose is not None else (0.0, 0.0, 0.0)
        match command:
            case Park():
                self._leave_for(self._settings.park_um, Step.PARKED, here)
            case StandBy():
                self._leave_for(self._beside(), Step.STANDBY, here)
            case Align(point):
                self.point = Point(point)
                self._target_id = None if sense.target is None else sense.target.track_id
                return self._align(now_s, sense, here)
            case Tap():
                return self._strike(now_s, sense, here)
            case Retract():
                self._leave_for(self._above(here), Step.RAISED, here)
                self._rising = not sense.armed
            case Carry():
                self._enter(Step.CARRYING, now_s)
            case Teach():
                stage_um = sense.stage_um
                self.oocyte_um = None if stage_um is None else (stage_um[0], stage_um[1])
            case Abort():
                self._aborting, self._cut = True, self._order is not None
                self._way.clear()
                self._then = Step.PARKED
                self._enter(Step.GOING, now_s, "up, and to the park position")
        return ""

    def stop(self, now_s: float, why: str) -> None:
        """Freeze: nothing moves until somebody says where to go. The caller stops the device."""
        self._way.clear()
        self._lowering.let_go()
        self._order, self._aborting, self._cut = None, False, False
        self._enter(Step.FROZEN, now_s, why)

    def interrupted(self, now_s: float) -> None:
        """Note that the move under way was stopped from elsewhere: Stop, or the control let go."""
        self._order = None
        if self.step is Step.DESCENDING:
            self._enter(Step.PAUSED, now_s, "the control was let go")
        elif not self._aborting and self.step in BUSY:
            self.stop(now_s, "stopped")

    def act(self, now_s: float, sense: Sense) -> Order | None:
        """Say what to do now; nothing where what is under way shall go on."""
        self._look(now_s, sense)
        pose = sense.pipette
        if pose is None:
            return None
        if self._order is not None and not self._has_arrived(self._order, pose, now_s):
            if self._must_end(self._order, now_s, sense):
                self._order, self._cut = None, False
                return Freeze()
            return None
        if self._aborting:
            return self._retreat(now_s, pose)
        if not sense.armed and not self._rising:
            if self.step in BUSY:
                self.stop(now_s, "disarmed")
            return None
        if pose.moving is not False:
            return None
        match self.step:
            case Step.GOING:
                return self._next_leg(now_s)
            case Step.DESCENDING:
                return self._micro_move(now_s, sense, pose)
            case Step.CONFIRMING:
                self._confirm(now_s)
            case Step.CARRYING:
                return self._carry(now_s, sense, _place(pose))
        return None

    # What the operator asks for

    def _standing(self, sense: Sense) -> Standing:
        pose = sense.pipette
        low = pose is not None and not self._heights.is_safe(pose.z_um)
        moves = self._order is not None
        target = sense.target
        known = self._is_known(math.inf if target is None else target.time_s)
        return Standing(self.step, self.bound_for, moves, low, self.oocyte_um is not None, known)

    def _press(self, now_s: float, sense: Sense) -> str:
        """Go down, or go on going down: the control is held.

        What ended a descent, or refused it, is not overcome by going on holding: the control has
        to be let go and pressed anew.
        """
        fresh = now_s - self._pressed_s > HELD_S
        self._pressed_s = now_s
        if not fresh and self._spent:
            return ""
        self._spent = False
        if self.step is Step.DESCENDING:
            self._lowering.press(now_s, begin=False, anew=False)
            return ""
        why = refusal(Descend(), self._standing(sense), sense)
        if why:
            self._spent = True
            return "" if self.bound_for is Step.CONTACT else f"descend: not now: {why}"
        if self.step is Step.AT_OOCYTE:
            self.point = None
        self._lowering.press(now_s, begin=True, anew=self.step is not Step.PAUSED)
        self._enter(Step.DESCENDING, now_s)
        return ""

    def _align(self, now_s: float, sense: Sense, here: Place) -> str:
        view_um = self._target_um(now_s, sense)
        if view_um is None:
            return "align: not now: where its tail is is not known yet; follow it for a second"
        self._leave_for(self._over(view_um), Step.ALIGNED, here)
        return ""

    def _strike(self, now_s: float, sense: Sense, here: Place) -> str:
        """Cross the tail once and back, at the height of contact, where it is now."""
        view_um = self._target_um(now_s, sense)
        if view_um is None or not self._is_known(now_s):
            return "tap: not now: the sperm is lost"
        across_um = self._aim.across * self._settings.tap_um
        ends = [self._lowering.beside(here, view_um + k * across_um) for k in (1, -1, 0)]
        if math.dist(here, ends[-1]) > self._settings.tap_um:
            return "tap: not now: it has turned away; retract, and align again"
        self._way = deque(ends)
        self._way_speed_um_s = TAP_SPEED_UM_S
        self._then, self.step, self.reason = Step.CONFIRMING, Step.GOING, ""
        return ""

    # Under way

    def _leave_for(self, place: Place, then: Step, here: Place) -> None:
        self._way = deque(legs(here, place, self._heights.safe_um, self._heights.up))
        self._way_speed_um_s = self._speed_um_s
        self._then, self.step, self.reason = then, Step.GOING, ""
        self._rising = False

    def _next_leg(self, now_s: float) -> Order | None:
        if self._way:
            return self._go(Go(self._way.popleft(), self._way_speed_um_s), now_s)
        self._stillness.restart()
        self._enter(self._then, now_s)
        return None

    def _retreat(self, now_s: float, pose: Pose) -> Order | None:
        """Up first, then to the park position; whatever moved is stopped before."""
        if self.step is Step.GOING and not self._way and pose.moving is False:
            here = _place(pose)
            if math.dist(here, self._settings.park_um) <= ARRIVED_UM:
                self._aborting = False
                self._enter(Step.PARKED, now_s, "aborted")
                return None
            self._leave_for(self._settings.park_um, Step.PARKED, here)
        if pose.moving is not False:
            return Freeze()
        return self._go(Go(self._way.popleft(), self._speed_um_s), now_s) if self._way else None

    def _carry(self, now_s: float, sense: Sense, here: Place) -> Order | None:
        """Wait for the stage; then bring the tip above the middle, wherever it has been."""
        if sense.stage_um is None or self.oocyte_um is None:
            return None
        away_um = math.dist(sense.stage_um.tolist(), self.oocyte_um)
        if away_um <= ARRIVED_UM and sense.stage_rests:
            self.point = None
            self._leave_for(self._over(np.zeros(2)), Step.AT_OOCYTE, here)
            return None
        if now_s - self._since_s < 0 or not sense.stage_rests:
            return None
        self._since_s = now_s + self._settings.carry_s  # asked again only where it does not come
        return DriveStage(self.oocyte_um)

    # Down

    def _micro_move(self, now_s: float, sense: Sense, pose: Pose) -> Order | None:
        """One step down; only after a look at the tip where that can be seen."""
        here = _place(pose)
        if self._meets_dish(now_s, sense, here):
            return None
        view_um = self._target_um(now_s, sense)
        why: str | None = "the control was let go"
        if self._lowering.is_held(now_s):
            why = self._lowering.refusal(here, sense.tip, now_s)
            why = "the sperm is lost" if why is None and view_um is None else why
        if why:
            self._spent = self._lowering.is_held(now_s)
            self._enter(Step.PAUSED, now_s, why)
        if why is not None or view_um is None or self._waits(now_s):
            return None
        return self._go(self._lowering.next_move(here, view_um), now_s)

    def _waits(self, now_s: float) -> bool:
        """Whether the sperm has to be found by itself before the next step; say so once."""
        if self._is_known(now_s):
            self.reason = ""
            return False
        if not self.reason:
            self.reason = "waiting until the sperm is found by itself"
            self._note(self.reason)
        return True

    def _must_end(self, order: Go, now_s: float, sense: Sense) -> bool:
        """Whether what moves has to be stopped now: let go, disarmed, or aborted."""
        if self._aborting:
            return self._cut
        if not sense.armed and not self._rising:
            self.stop(now_s, "disarmed")
            return True
        if order.down and not self._lowering.is_held(now_s):
            self._enter(Step.PAUSED, now_s, "the control was let go")
            return True
        return False

    def _look(self, now_s: float, sense: Sense) -> None:
        """Take in what the newest frame shows."""
        target = sense.target
        if target is not None and target.track_id != self._target_id:
            if self._target_id is None or self.step in HIGH:
                self._target_id = target.track_id
                self._known_s = -math.inf
                self._aim.restart()
        if target is not None and target.track_id == self._target_id:
            self._aim.observe(target)
            self._known_s = target.time_s if target.seen else self._known_s
            if self.step is Step.CONFIRMING:
                self._stillness.observe(target.time_s, sense.head_um)

    def _meets_dish(self, now_s: float, sense: Sense, here: Place) -> bool:
        """See whether the descent has ended by itself; if so, take the bend out of the tip."""
        if not self._lowering.sees_contact(sense.tip, here):
            return False
        self._note(f"contact: the tip has slid by {self._lowering.slid_um:.1f} um")
        aimed = self._lowering.relieved(here, self._target_um(now_s, sense))
        self._way, self._way_speed_um_s = deque([aimed]), self._settings.slow_um_s
        self._then, self.step, self.reason = Step.CONTACT, Step.GOING, ""
        return True

    def _confirm(self, now_s: float) -> None:
        if self._stillness.is_still(now_s):
            self.immobilised += 1
            self._enter(Step.IMMOBILE, now_s, f"no motion for 1 s; {self.immobilised} so far")
        elif now_s - self._since_s > CONFIRM_S:
            self._enter(Step.CONTACT, now_s, "it still moves; tap again, or retract")

    # Places and bookkeeping

    def _is_known(self, time_s: float) -> bool:
        """Whether the tip has a place to go to that is not only foretold."""
        return self.point is None or time_s - self._known_s <= KNOWN_S

    def _target_um(self, now_s: float, sense: Sense) -> Float64 | None:
        """Where the tip shall be, view um: on the chosen point, or in the middle at the oocyte."""
        if self.point is None:
            return np.zeros(2)
        target, stage_um = sense.target, sense.stage_um
        if target is None or stage_um is None or target.track_id != self._target_id:
            return None
        point_um = self._aim.at_um(target, self.point, now_s)
        return None if point_um is None else np.asarray(point_um - stage_um)

    def _over(self, view_um: Float64) -> Place:
        x_um, y_um, z_um = self._map.pose_um(view_um, self._heights.safe_um)
        return float(x_um), float(y_um), float(z_um)

    def _beside(self) -> Place:
        angle = math.radians(self._settings.beside_deg)
        away = np.array((math.cos(angle), math.sin(angle)))
        return self._over(self._settings.beside_um * away)

    def _above(self, here: Place) -> Place:
        z_um = here[2] if self._heights.is_safe(here[2]) else self._heights.safe_um
        return (here[0], here[1], z_um)

    def _go(self, order: Go, now_s: float) -> Go:
        self._order, self._sent_s = order, now_s
        return order

    def _has_arrived(self, order: Go, pose: Pose, now_s: float) -> bool:
        if pose.moving is not False or pose.time_s <= self._sent_s:
            return False
        self._order = None
        self._lowering.rests(pose.time_s)
        off_um = math.dist(_place(pose), order.to_um)
        if off_um > ARRIVED_UM and not self._aborting:
            self.stop(now_s, f"the pipette rests {off_um:.1f} um from where it was sent")
        return True

    def _enter(self, step: Step, now_s: float, reason: str = "") -> None:
        self.step, self.reason, self._since_s = step, reason, now_s
        self._rising = False
        self._note(step.value + (f": {reason}" if reason else ""))

    def _note(self, text: str) -> None:
        self._notes.append(text)


def _place(pose: Pose) -> Place:
    return pose.x_um, pose.y_um, pose.z_um


def _name(command: PipetteCommand) -> str:
    return "".join(" " + c.lower() if c.isupper() else c for c in type(command).__name__).strip()
