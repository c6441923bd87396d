"""Who answers on this port, and at which rate? Asked before anything is set or moved."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.errors import BadReply, DeviceError, ReplyTimeout, WrongDevice
from drivers.prior import codec
from drivers.prior.line import QUIET_S, Line

_REPORTS = 6


def find(line: Line, bauds: Sequence[int]) -> None:
    """Make sure that a ProScan answers; on a tty, find the rate at which it does.

    The first byte sent is a carriage return, which ends whatever half a line a predecessor left
    behind. Half a line may be a whole command: where the answer is not the position that a lone
    carriage return asks for, a stop follows at once.

    Raises
    ------
    WrongDevice
        With what was read.
    ReplyTimeout
        Nothing was.
    """
    wire = line.wire
    heard = b""
    rates = [wire.baud]
    if not wire.is_socket:
        rates += [baud for baud in bauds if baud != wire.baud]
    for attempt, baud in enumerate(rates if len(rates) > 1 else rates * 2):
        if attempt:
            wire.set_baud(baud)
        wire.write(codec.END)
        answer = wire.discard(QUIET_S, 0.3)
        if b"R\r" in answer:
            wire.write(codec.encode("I"))
            answer += wire.discard(QUIET_S, 0.3)
        heard += answer
        try:
            lines = line.report("?", tries=1)
        except ReplyTimeout:
            continue
        except BadReply as error:
            heard += error.reply
        else:
            if any(b"PROSCAN" in text or b"OPTISCAN" in text for text in lines):
                return
            heard += codec.END.join(lines)
    tried = ", ".join(map(str, rates))
    if heard:
        raise WrongDevice(
            wire.device,
            f"what answers is no ProScan (read {heard[:60]!r}, asked at {tried} baud)",
            "check the port in the rig file",
        )
    raise ReplyTimeout(wire.device, f"no answer at {tried} baud", "check power, cable and port")


def identify_stage(line: Line) -> tuple[str, float]:
    """Read name and scale (microsteps per um) of the stage, until two reports say the same.

    Raises
    ------
    DeviceError
        No stage is connected, or the reports make no sense.
    """
    device = line.wire.device
    seen: set[tuple[str, str]] = set()
    for _ in range(_REPORTS):
        report = codec.decode_block(line.report("STAGE"))
        stage = report.get("STAGE", ""), report.get("MICROSTEPS/MICRON", "25")
        if stage in seen:
            break
        seen.add(stage)
    else:
        raise BadReply(device, f"the reports of the stage differ: {seen}", "check the cable")
    name, microsteps_per_um = stage
    if name in ("", "NONE"):
        raise DeviceError(
            device,
            "the controller answers, but no stage is connected to it",
            "switch it off, plug the stage in, switch it on",
        )
    try:
        return name, float(microsteps_per_um)
    except ValueError as error:
        raise BadReply(device, f"odd scale of the stage: {stage}", "check the cable") from error
