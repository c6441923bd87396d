"""The host's end of a guardian: requests, heartbeats, and the rescue if the guardian dies."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import replace

from drivers.devices import make_device, make_wire
from drivers.errors import DeviceError, FrameLost, GuardianError
from drivers.guarded_device import GuardedDevice
from drivers.guardian_messages import GuardianSettings, Json, decode, decode_error, encode
from drivers.process import ask_to_end, end_process, leave_behind, start_module
from drivers.wire import Wire

_DIED = "the guardian has died; the instrument was stopped"
_ANSWER_S = 3.0
STEER_S = 1.5
"""For an answer to a velocity: a guardian that takes longer is frozen, and the stage runs on."""
_CONNECT_S = 8.0
_STOP_S = 3.0
_LEAVE_S = 2.0
_TRY_S = 3.0  # one try on a line that is silent, and what is between two
_EVENTS = 100
_RESCUE_S = 30.0
_RESCUE_RETRY_S = 0.1
_REST_S = 2.0


class GuardianClient:
    """Starts a guardian process and talks to it. All methods from any thread.

    Heartbeats go out on a thread of their own, three to a dead man's patience. If the guardian
    dies, the port is opened here and the instrument is stopped; requests raise GuardianError from
    then on, until ``restart``.
    """

    def __init__(self, settings: GuardianSettings) -> None:
        self.settings = settings
        self.identity = ""
        self._events: deque[tuple[str, str]] = deque(maxlen=_EVENTS)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._dead = ""
        self._lost = ""  # why positions mean nothing: the next guardian has to know it too
        self.rescued = threading.Event()
        self._left = False  # alone, to go on trying to stop
        self._start()

    @property
    def pid(self) -> int:
        """Of the guardian process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the guardian is there."""
        return not self._dead and self._process.poll() is None

    def events(self) -> list[tuple[str, str]]:
        """Take what the guardian had to say unasked, oldest first: ('deadman' or 'fault', why)."""
        taken = []
        while self._events:
            taken.append(self._events.popleft())
        return taken

    def connect(self, *, new_frame: bool = False) -> Json:
        """Connect or, after a fault, reconnect. Moves nothing. Raises DeviceError."""
        if new_frame:
            self._lost = ""
        answer = self.ask("connect", timeout_s=_CONNECT_S, new_frame=new_frame, lost=self._lost)
        self.identity = str(answer["identity"])
        # the rescue must not have to look for the rate that has been found
        self.settings = replace(self.settings, baud=int(str(answer["baud"])))
        return answer

    def ask(self, do: str, *, timeout_s: float = _ANSWER_S, **fields: object) -> Json:
        """Send a request and wait for its answer. Raises the DeviceError that it ends with.

        A guardian that does not answer in time is ended, and the instrument stopped from here.
        """
        future: Future[Json] = Future()
        number = next(self._numbers)
        with self._lock:
            self._waiting[number] = future
        try:
            self._send({"n": number, "do": do, **fields})
            return future.result(timeout_s)
        except FutureTimeout:
            what = f"the guardian has not answered within {timeout_s:g} s and is ended"
            self._process.kill()
            raise GuardianError(self._name, what, "reconnect") from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def stop(self) -> None:
        """Stop the instrument: through the guardian or, if that has died, directly."""
        if self.alive:
            try:
                self.ask("stop", timeout_s=_STOP_S)
                return
            except GuardianError:
                if self.alive:
                    raise
        if not self.rescued.wait(_STOP_S):
            raise GuardianError(self._name, "the stop is not confirmed", "switch it off")

    def restart(self, *, new_frame: bool = False) -> Json:
        """Start a new guardian in place of a dead one, and connect. Moves nothing."""
        self.close()
        self._closing.clear()
        self.rescued.clear()
        self._dead = ""
        self._start()
        return self.connect(new_frame=new_frame)

    def close(self) -> None:
        """Let the guardian stop what moves, release the port and end. Safe to call twice.

        One that cannot confirm its stop, as the cable is out, is left to go on trying by itself for
        half a minute. One that does not end and says nothing is ended, and the instrument stopped
        from here.
        """
        if self._left:
            return
        self._closing.set()
        if not ask_to_end(self._process, _LEAVE_S) and self._still_tries():
            self._left = True
            self._reader.join()
            self._heart.join()
            leave_behind(self._process)
            return
        ended = end_process(self._process, 0.0)
        self._reader.join()
        self._heart.join()
        if ended != 0 and not self.rescued.is_set():
            self._rescue()

    def _still_tries(self) -> bool:
        """Whether a guardian whose host has gone is alive, and only its stop is not confirmed."""
        return time.perf_counter() - self._tried_s < _TRY_S

    @property
    def _name(self) -> str:
        return f"{self.settings.name} at {self.settings.url}"

    def _start(self) -> None:
        self._waiting: dict[int, Future[Json]] = {}
        self._tried_s = -math.inf
        self._left = False
        self._process = start_module(
            "drivers.guardian", ["--device", self.settings.device, "--url", self.settings.url]
        )
        self._reader = threading.Thread(
            target=self._read, name="sfcscope guardian-reader", daemon=True
        )
        self._heart = threading.Thread(
            target=self._beat, name="sfcscope guardian-heart", daemon=True
        )
        self._send(self.settings.to_json())
        self._reader.start()
        self._heart.start()

    def _send(self, message: Json) -> None:
        pipe = self._process.stdin
        try:
            with self._lock:
                if self._dead or pipe is None or pipe.closed:
                    raise BrokenPipeError
                pipe.write(encode(message))
                pipe.flush()
        except OSError as error:
            why = self._dead or "the guardian has ended"
            raise GuardianError(self._name, why, "reconnect") from error

    def _beat(self) -> None:
        while not self._closing.wait(self.settings.deadman_s / 3.5):
            try:
                self._send({"do": "beat"})
            except GuardianError:
                return

    def _read(self) -> None:
        pipe = self._process.stdout
        while pipe is not None and (line := pipe.readline()):
            self._dispatch(decode(line))
            if self._closing.is_set() and self._still_tries():
                return  # whatever else it says, nobody waits for it
        if not self._closing.is_set():
            self._dead = self._dead or "the guardian has died"
            self._fail_all()
            self._rescue()
        self._fail_all()

    def _dispatch(self, message: Json) -> None:
        if message.get("event") == "trying":
            self._tried_s = time.perf_counter()
            return
        if "event" in message:
            if message["event"] == "refused":
                self._dead = str(decode_error(_object(message["error"])))
            self._lost = str(message.get("lost", self._lost))
            self._events.append((str(message["event"]), str(message.get("why", self._dead))))
            return
        error = decode_error(_object(message["error"])) if "error" in message else None
        if isinstance(error, FrameLost):
            self._lost = error.what
        with self._lock:
            future = self._waiting.get(int(str(message.get("n"))))
        if future is None:
            return
        if error is not None:
            future.set_exception(error)
        else:
            ok = message.get("ok")
            future.set_result(ok if isinstance(ok, dict) else {"value": ok})

    def _fail_all(self) -> None:
        with self._lock:
            waiting = list(self._waiting.values())
        for future in waiting:
            if not future.done():
                why = self._dead or "the guardian has ended"
                future.set_exception(GuardianError(self._name, why, "reconnect"))

    def _rescue(self) -> None:
        """Stop the instrument without a guardian: open the port, stop, let go."""
        if not self.identity:
            self.rescued.set()  # never connected: nothing has been moved
            self._events.append(("died", self._dead))
            return
        wire = make_wire(self.settings)
        try:
            device = make_device(self.settings, wire)
            if self._stopped(wire, device):
                self._report(_DIED)
                self.rescued.set()
                with suppress(DeviceError):
                    _see_to_rest(device)
                    if self.settings.window is None:  # with the pipette down hands stay off
                        device.disconnect()
            if doubt := device.doubt():
                self._lost = doubt
                self._report(f"{self._dead}; it {doubt}")
        finally:
            wire.close()
            wire.transcript.close()

    def _stopped(self, wire: Wire, device: GuardedDevice) -> bool:
        """Open and stop until that is confirmed; give up after 30 s, or when closed."""
        end_s = time.perf_counter() + _RESCUE_S
        while time.perf_counter() < end_s:
            try:
                wire.open()
                device.stop()
            except DeviceError as error:
                wire.close()
                self._report(f"the guardian has died, and the stop is not confirmed: {error}")
                if self._closing.wait(_RESCUE_RETRY_S):
                    return False
            else:
                return True
        return False

    def _report(self, why: str) -> None:
        if why != self._dead:
            self._dead = why
            self._events.append(("died", why))


def _see_to_rest(device: GuardedDevice) -> None:
    """After a stop that was confirmed: wait until it stands still, and stop again if it does not.

    Raises DeviceError.
    """
    end_s = time.perf_counter() + _REST_S
    while device.moving is not False and time.perf_counter() < end_s:
        try:
            device.service()
        except DeviceError:
            device.stop()
        time.sleep(0.005)


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}
