"""What goes wrong on a serial line, on demand and repeatably."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, fields

from drivers.emulators.instrument import Instrument
from drivers.emulators.plant import Plant
from drivers.errors import DeviceError

KINDS = {
    "drop": "a byte of a reply is lost",
    "flip": "a bit of a byte is inverted",
    "frame": "a byte of a command comes without its stop bit",
    "duplicate": "a reply comes twice",
    "truncate": "a reply ends after 'keep' bytes",
    "delay": "a reply comes 'by' seconds late",
    "stale": "another command's acknowledgement comes ahead of a reply",
    "garbage": "'count' random bytes come at first contact",
    "stall": "nothing comes for a time; afterwards everything that is due",
    "silent": "switched off: nothing is heard and nothing answered",
    "unplug": "the port vanishes for a time",
    "hang": "it locks up: deaf and dumb until its power is cut, but what moves goes on",
    "power": "its power fails for a time; afterwards it counts from zero",
    "hand": "somebody pushes the joystick, or turns the knobs, by 'um'",
}


_RANGES = {
    "p": (0, 1), "nth": (0, math.inf), "byte": (-1, math.inf), "after": (0, math.inf),
    "lasting": (0, math.inf), "by": (0, math.inf), "um": (-1e6, 1e6), "count": (0, 1_000_000),
    "keep": (0, math.inf),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes
    ----------
    kind : str
        One of KINDS.
    p : float
        Probability, per byte for drop and flip, per reply otherwise.
    nth : int
        Only this reply, counted from 1; 0 is any.
    byte : int
        Only this byte of the reply, counted from 0 (drop and flip); -1 is any.
    after, lasting : float
        From this many seconds after first contact, and for how long.
    by : float
        Lateness in seconds.
    um : float
        Way along x (hand).
    count, keep : int
        Bytes.
    way : str
        'out' (replies, default), 'in' (commands) or 'both', for drop and flip.
    """

    kind: str
    p: float = 1.0
    nth: int = 0
    byte: int = -1
    after: float = 0.0
    lasting: float = math.inf
    by: float = 1.0
    um: float = 100.0
    count: int = 1024
    keep: int = 1
    way: str = "out"

    def active(self, elapsed_s: float) -> bool:
        """Whether it can happen ``elapsed_s`` after first contact."""
        return self.after <= elapsed_s < self.after + self.lasting


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Faults and the seed that makes them repeatable."""

    faults: tuple[Fault, ...]
    seed: int = 0


def parse_faults(spec: str) -> FaultPlan:
    """Read ``kind[:key=value]...[,kind...][,seed=N]``, e.g. ``flip:p=0.01,silent:after=5,seed=3``.

    Raises DeviceError naming the word that is wrong and what is allowed.
    """
    seed = 0
    faults = []
    for part in filter(None, (part.strip() for part in spec.split(","))):
        kind, *pairs = part.split(":")
        if kind.startswith("seed="):
            seed = int(_number("seed", kind[5:], int))
        elif kind in KINDS:
            faults.append(_fault(kind, pairs))
        else:
            raise _mistake(f"{kind!r} is no fault", f"known: {', '.join(KINDS)}")
    return FaultPlan(tuple(faults), seed)


def _fault(kind: str, pairs: list[str]) -> Fault:
    known = {field.name: field for field in fields(Fault)[1:]}
    values: dict[str, float | str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if key not in known or not equals:
            raise _mistake(f"{pair!r} in {kind!r}", f"write KEY=VALUE, KEY one of {list(known)}")
        if key == "way":
            if value not in ("in", "out", "both"):
                raise _mistake(f"way={value!r}", "allowed: in, out, both")
            values[key] = value
        else:
            values[key] = _number(key, value, int if known[key].type == "int" else float)
    return Fault(kind, **values)  # type: ignore[arg-type]


def _number(key: str, value: str, kind: type[int] | type[float]) -> float:
    try:
        number = kind(value)
    except ValueError as error:
        raise _mistake(f"{key}={value!r}", "a number is needed") from error
    low, high = _RANGES.get(key, (-math.inf, math.inf))
    if not low <= number <= high:
        raise _mistake(f"{key}={value!r}", f"allowed: {low:g} to {high:g}")
    return number


def _mistake(what: str, hint: str) -> DeviceError:
    return DeviceError("--fault", what, hint)


class FaultyInstrument:
    """An instrument whose line misbehaves as planned. Itself an Instrument.

    Attributes
    ----------
    unplugged : bool
        The port has vanished; whoever owns the plug follows this.
    """

    def __init__(self, instrument: Instrument, plan: FaultPlan) -> None:
        self._inner = instrument
        self._faults = plan.faults
        self._dice = random.Random(plan.seed)
        self._contact_s = math.inf
        self._replies = 0
        self._unplugged_until_s = -math.inf
        self._out: list[tuple[float, bytes]] = []
        self._done: set[Fault] = set()
        self._off = False
        self._powered_s = -math.inf
        self.unplugged = False

    @property
    def plant(self) -> Plant:
        """The mechanics, which no line fault touches."""
        return self._inner.plant

    @property
    def baud(self) -> int:
        """Symbols per second of its serial port."""
        return self._inner.baud

    @property
    def acknowledgement(self) -> bytes:
        """What the instrument answers to a command that it obeys."""
        return self._inner.acknowledgement

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes from the host, unless switched off."""
        if self._contact_s == math.inf:
            self._contact_s = now_s
            for fault in self._now("garbage", now_s):
                self._out.append((now_s, self._dice.randbytes(fault.count)))
        self._happen(now_s)
        if not self._is_dumb(now_s):
            self._inner.receive(self._spoil(data, "in", now_s), now_s)

    def take_output(self, now_s: float) -> bytes:
        """Give the next reply that is due, as it comes out of the line."""
        self._happen(now_s)
        while reply := self._inner.take_output(now_s):
            self._replies += 1
            self._out += self._spoiled(reply, now_s)
            self._out.sort(key=lambda item: item[0])
        self._follow_plug(now_s)
        stalled = any(self._now("stall", now_s))
        if not self._out or self._out[0][0] > now_s or stalled:
            return b""
        return self._out.pop(0)[1]

    def next_event_s(self, now_s: float) -> float:
        """When to look again."""
        edges = [
            edge
            for fault in self._faults
            for edge in (
                self._contact_s + fault.after,
                self._contact_s + fault.after + fault.lasting,
            )
            if edge > now_s
        ]
        late = [due_s for due_s, _ in self._out[:1] if due_s > now_s]
        unplugged = [self._unplugged_until_s] if self._unplugged_until_s > now_s else []
        return min([self._inner.next_event_s(now_s), *edges, *late, *unplugged])

    def switch_off(self, now_s: float) -> None:
        """Cut the power."""
        self._inner.switch_off(now_s)

    def switch_on(self, now_s: float) -> None:
        """Power up; the end of every lock-up."""
        self._inner.switch_on(now_s)
        self._powered_s = now_s

    def framing_error(self, now_s: float) -> None:
        """Receive a byte without its stop bit."""
        self._inner.framing_error(now_s)

    def touch(self, um: float, now_s: float) -> None:
        """Move it by hand."""
        self._inner.touch(um, now_s)

    def _happen(self, now_s: float) -> None:
        """Let what befalls the instrument itself befall it, once."""
        for fault in self._now("hand", now_s):
            if fault not in self._done:
                self._done.add(fault)
                self.touch(fault.um, now_s)
        off = any(self._now("power", now_s))
        if off != self._off:
            self._off = off
            (self.switch_off if off else self.switch_on)(now_s)

    def _is_dumb(self, now_s: float) -> bool:
        hangs = any(
            self._contact_s + fault.after > self._powered_s for fault in self._now("hang", now_s)
        )
        return hangs or self._off or any(self._now("silent", now_s))

    def _now(self, kind: str, now_s: float) -> Iterator[Fault]:
        for fault in self._faults:
            if fault.kind == kind and fault.active(now_s - self._contact_s):
                yield fault

    def _hit(self, kind: str, now_s: float) -> Iterator[Fault]:
        """Faults of a kind that strike the present reply."""
        for fault in self._now(kind, now_s):
            if fault.nth in (0, self._replies) and self._dice.random() < fault.p:
                yield fault

    def _spoiled(self, reply: bytes, now_s: float) -> list[tuple[float, bytes]]:
        if self._is_dumb(now_s):
            return []
        for fault in self._hit("truncate", now_s):
            reply = reply[: fault.keep]
        reply = self._spoil(reply, "out", now_s)
        due_s = now_s + sum(fault.by for fault in self._hit("delay", now_s))
        out = [(due_s, self.acknowledgement) for _ in self._hit("stale", now_s)]
        out += [(due_s, reply)] + [(due_s, reply) for _ in self._hit("duplicate", now_s)]
        return out

    def _spoil(self, data: bytes, way: str, now_s: float) -> bytes:
        """Drop and flip single bytes."""
        spoiled = bytearray()
        for position, byte in enumerate(data):
            kept = way == "out" or not self._is_misframed(now_s)
            for kind in ("flip", "drop"):
                for fault in self._now(kind, now_s):
                    if fault.way not in (way, "both") or fault.byte not in (-1, position):
                        continue
                    if way == "out" and fault.nth not in (0, self._replies):
                        continue
                    if self._dice.random() < fault.p:
                        kept = kept and kind != "drop"
                        byte ^= 1 << self._dice.randrange(8) if kind == "flip" else 0
            if kept:
                spoiled.append(byte)
        return bytes(spoiled)

    def _is_misframed(self, now_s: float) -> bool:
        struck = any(self._dice.random() < fault.p for fault in self._now("frame", now_s))
        if struck:
            self.framing_error(now_s)
        return struck

    def _follow_plug(self, now_s: float) -> None:
        for fault in self._faults:
            if fault.kind != "unplug" or now_s < self._unplugged_until_s:
                continue
            begin_s = self._contact_s + fault.after
            struck = self._replies >= fault.nth if fault.nth else now_s >= begin_s
            if struck and self._contact_s < math.inf and fault not in self._done:
                self._done.add(fault)
                self._unplugged_until_s = now_s + fault.lasting
        self.unplugged = now_s < self._unplugged_until_s
