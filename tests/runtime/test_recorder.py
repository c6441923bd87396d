"""The record thread: all that the camera gave is in the film, with the pose of its own time."""

from __future__ import annotations

import csv
import errno
import time
from pathlib import Path

import numpy as np
import pytest

from app.records.video import RecordingWriter
from app.runtime import recorder
from app.runtime.recorder import Recorder
from drivers.types import Frame, Pose
from drivers.video_file import VideoFile


class Board:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.faults: list[str] = []

    def fault(self, source: str, error: Exception | str) -> None:
        self.faults.append(str(error))

    def clear(self, source: str) -> None: ...

    def tell(self, text: str, severity: str = "info", **details: str) -> None:
        self.told.append((text, severity))


def frame(number: int, time_s: float) -> Frame:
    rng = np.random.default_rng(number)
    return Frame(rng.integers(0, 256, (48, 64), np.uint8), number, time_s, 0.005, time_s)


def make(path: Path, board: Board) -> Recorder:
    return Recorder(
        path / "film",
        lambda: 30.0,
        lambda time_s: None if time_s < 0 else np.array((time_s * 10, 2.0)),
        lambda: Pose(0.0, 1.0, 2.0, 3.0, False),
        board,
    )


def test_what_waits_when_the_session_ends_is_written_with_its_own_pose(tmp_path: Path) -> None:
    board = Board()
    made = make(tmp_path, board)
    now_s = time.perf_counter()
    frames = [frame(k, now_s + 60.0 + k / 30) for k in (0, 1, 2, 5, 6)]  # none is due yet
    made.start()
    for one in frames:
        made.put(one)
    made.halt()
    made.join(5.0)
    assert (made.frames, made.lost, board.told, board.faults) == (5, 0, [], [])
    seen = list(VideoFile(tmp_path / "film.mkv", realtime=False).frames())
    for one, kept in zip(frames, seen, strict=True):
        np.testing.assert_array_equal(one.image, kept.image)
    with (tmp_path / "film.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["device_counter"]) for row in rows] == [0, 1, 2, 5, 6]
    for one, row in zip(frames, rows, strict=True):
        assert float(row["stage_x_um"]) == pytest.approx(one.time_s * 10, abs=1e-4)
        assert float(row["pipette_z_um"]) == 3.0


def test_a_full_disk_ends_the_film_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Board()
    made = make(tmp_path, board)
    write = RecordingWriter.write

    def until_it_is_full(self: RecordingWriter, *frame_and_poses: object) -> None:
        if self.frames == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, *frame_and_poses)  # type: ignore[arg-type]

    monkeypatch.setattr(RecordingWriter, "write", until_it_is_full)
    made.start()
    for k in range(5):
        made.put(frame(k, time.perf_counter() + 60.0))
    made.halt()
    made.join(5.0)
    assert (made.frames, made.lost) == (2, 3)
    assert board.faults == []  # the stage goes on
    ((text, severity),) = board.told
    assert severity == "fault"
    assert "film has ended" in text
    assert "check the disk" in text
    assert len(list(VideoFile(tmp_path / "film.mkv", realtime=False).frames())) == 2


def test_what_finds_no_room_is_counted_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "RING_BYTES", 2 * 48 * 64)
    board = Board()
    made = make(tmp_path, board)
    for k in range(5):
        made.put(frame(k, 0.0))
    assert made.lost == 3
    ((text, severity),) = board.told
    assert severity == "warning"
    assert "from frame 2 on" in text
    made.close()
    assert made.frames == 2
