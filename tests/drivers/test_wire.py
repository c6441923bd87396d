"""Bytes with deadlines, over a real socket and a real terminal line."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import serial

from drivers.devices import make_wire
from drivers.errors import BadReply, PortError, ReplyTimeout
from drivers.guardian_messages import GuardianSettings
from drivers.transcript import Transcript
from drivers.wire import Preempted, Wire


@contextmanager
def peer(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A host at the other end that behaves as told; its url."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        end, _ = listener.accept()
        with end:
            behave(end)

    thread = threading.Thread(target=run, name="sfcscope peer")
    thread.start()
    try:
        yield f"socket://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join(5.0)
        listener.close()


@contextmanager
def wire(behave: Callable[[socket.socket], None]) -> Iterator[Wire]:
    with peer(behave) as url:
        line = Wire(url, device="stage")
        line.open()
        try:
            yield line
        finally:
            line.close()


def until_closed(end: socket.socket) -> None:
    while end.recv(100):
        pass


def answer(*parts: bytes, pause_s: float = 0.0) -> Callable[[socket.socket], None]:
    def behave(end: socket.socket) -> None:
        end.recv(100)
        for part in parts:
            time.sleep(pause_s)
            end.sendall(part)
        until_closed(end)

    return behave


def test_reads_lines_and_exact_counts_however_they_are_cut():
    with wire(answer(b"1,2", b",3\rAB\r", b"CDEF", pause_s=0.01)) as line:
        line.write(b"P\r")
        assert line.read_until(b"\r", 1.0) == b"1,2,3\r"
        assert line.read_exactly(5, 1.0) == b"AB\rCD"
        assert line.read_exactly(2, 1.0) == b"EF"


def test_a_deadline_is_kept_and_says_what_came():
    with wire(answer(b"1,2")) as line:
        line.write(b"P\r")
        start_s = time.perf_counter()
        with pytest.raises(
            ReplyTimeout, match=r"no complete reply to b'P\\r' within 80 ms"
        ) as caught:
            line.read_until(b"\r", 0.08, request=b"P\r")
        assert 0.08 <= time.perf_counter() - start_s < 0.13 + 0.2
        assert caught.value.partial == b"1,2"
        assert "stage at socket://" in str(caught.value)


def test_endless_noise_is_a_bad_reply():
    with wire(answer(b"x" * 300)) as line:
        line.write(b"?\r")
        with pytest.raises(BadReply, match="256 bytes without an end") as caught:
            line.read_until(b"\r", 1.0)
        assert len(caught.value.reply) >= 256


def test_discard_takes_everything_up_to_the_silence():
    with wire(answer(b"late\r", b"later\r", pause_s=0.02)) as line:
        line.write(b"P\r")
        assert line.discard(0.2) == b"late\rlater\r"
        assert line.clear() == b""


def test_clear_takes_what_is_there_and_waits_for_nothing():
    with wire(answer(b"stale\r")) as line:
        line.write(b"P\r")
        end_s = time.perf_counter() + 5.0
        got = b""
        while not got and time.perf_counter() < end_s:
            start_s = time.thread_time()
            got += line.clear()
            assert time.thread_time() - start_s < 0.01
        assert got == b"stale\r"


def test_a_stop_cuts_waiting_short():
    with wire(answer()) as line:
        line.write(b"P\r")
        start_s = time.perf_counter()
        threading.Timer(0.05, line.urgent.set).start()
        with pytest.raises(Preempted):
            line.read_until(b"\r", 5.0)
        assert time.perf_counter() - start_s < 1.0


def test_a_reply_on_its_way_is_still_taken_when_a_stop_is_due():
    with wire(answer(b"R\r", pause_s=0.01)) as line:
        line.urgent.set()
        line.write(b"VS,1,1\r")
        assert line.read_until(b"\r", 1.0) == b"R\r"


def test_a_port_that_vanishes_says_so():
    def behave(end: socket.socket) -> None:
        end.recv(100)

    with wire(behave) as line:
        line.write(b"P\r")
        with pytest.raises(PortError, match=r"the port has vanished.*plug the cable in again"):
            line.read_until(b"\r", 2.0)
        with pytest.raises(PortError, match="vanished"):
            line.clear()
        line.close()
        line.close()
        with pytest.raises(PortError, match="the port is not open"):
            line.write(b"P\r")


@pytest.mark.parametrize("url", ["/dev/no-such-port", "socket://127.0.0.1:1", "socket://nonsense"])
def test_a_missing_port_is_one_clear_line(url):
    with pytest.raises(PortError) as caught:
        Wire(url, device="stage").open()
    text = str(caught.value)
    assert text.startswith(f"stage at {url}: cannot open the port: ")
    assert ("what listens there" if url.startswith("socket") else "ports found:") in text
    assert ("not socket://HOST:PORT" in text) == url.endswith("nonsense")
    assert "\n" not in text


def test_everything_is_in_the_transcript(tmp_path):
    path = tmp_path / "wire.txt"
    with peer(answer(b"R\r")) as url:
        line = Wire(url, device="stage", transcript=Transcript(path))
        line.open()
        line.write(b"VS,1,2\r")
        line.read_until(b"\r", 1.0)
        entries = line.transcript.entries()
        line.close()
        line.transcript.close()
    assert [(way, data) for _, way, data in entries] == [(">", b"VS,1,2\r"), ("<", b"R\r")]
    assert entries[0][0] < entries[1][0] <= time.perf_counter()
    written = path.read_text().splitlines()
    assert written[0].endswith(r" > b'VS,1,2\r'")
    assert len(written) == 2


@pytest.mark.parametrize("turns", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_s9_threads_that_hold_the_wire_never_mix_their_exchanges(turns):
    def echo(end: socket.socket) -> None:
        while data := end.recv(1000):
            end.sendall(data)

    with wire(echo) as line:
        mixed = []

        def hammer(number: int) -> None:
            for turn in range(turns):
                request = b"%d-%d\r" % (number, turn)
                with line:
                    line.write(request)
                    if line.read_until(b"\r", 5.0) != request:
                        mixed.append(request)

        threads = [threading.Thread(target=hammer, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not mixed
        ways = [way for _, way, _ in line.transcript.entries()]
        assert ways == [">", "<"] * (len(ways) // 2)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_terminal_line_has_one_owner():
    import os

    master, slave = os.openpty()
    try:
        first = Wire(os.ttyname(slave), device="stage")
        first.open()
        with pytest.raises(PortError, match="cannot open the port"):
            Wire(os.ttyname(slave), device="stage").open()
        first.write(b"P\r")
        assert os.read(master, 10) == b"P\r"
        os.write(master, b"0,0,0\r")
        assert first.read_until(b"\r", 1.0) == b"0,0,0\r"
        first.close()
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize("rtscts", [True, False])
def test_a_hardware_handshake_is_asked_of_the_port_where_the_settings_want_it(
    rtscts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []

    def refuse(url: str, **options: object) -> None:
        asked.append({"url": url, **options})
        raise serial.SerialException("not here")

    monkeypatch.setattr("drivers.wire.serial.serial_for_url", refuse)
    settings = GuardianSettings("mp285", "COM7", "pipette", (0.0,) * 3, (1.0,) * 3, 1.0)
    line = make_wire(replace(settings, rtscts=rtscts, baud=9600))
    with pytest.raises(PortError):
        line.open()
    assert asked[0]["url"] == "COM7"
    assert asked[0]["rtscts"] is rtscts
    assert asked[0]["exclusive"] is True
