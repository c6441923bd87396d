"""The record: whatever is changed afterwards is found, and nothing is overwritten."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config import load_rig, simulated_rig
from app.records.journal import Journal, JournalError, verify_journal
from app.records.store import Session


def wall() -> datetime:
    return datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def written(path: Path, count: int = 20) -> Path:
    journal = Journal(path, wall)
    for k in range(count):
        journal.write("event", k * 0.1, {"text": f"number {k} µm", "value": k})
    journal.close()
    return path


def test_what_is_written_can_be_verified(tmp_path: Path) -> None:
    path = written(tmp_path / "j.jsonl")
    verdict = verify_journal(path)
    assert (verdict.ok, verdict.entries, verdict.first_bad) == (True, 20, None)
    first = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    assert first["wall"] == "2026-05-04T03:02:01.000+00:00"
    assert first["data"] == {"text": "number 0 µm", "value": 0}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_byte_that_is_changed_is_found(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "j.jsonl"
    if not path.exists():
        written(path)
    good = path.read_bytes()
    place = data.draw(st.integers(0, len(good) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda v: v != good[place]))
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(good[:place] + bytes([value]) + good[place + 1 :])
    verdict = verify_journal(bad)
    assert not verdict.ok
    assert verdict.first_bad is not None
    assert abs(verdict.first_bad - (good[:place].count(b"\n") + 1)) <= 1


def test_who_writes_does_not_wait_for_the_disk_and_what_is_written_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, reached = threading.Event(), threading.Semaphore(0)

    def slow(_: int) -> None:
        disk.wait(10.0)
        reached.release()

    monkeypatch.setattr("app.records.journal.os.fsync", slow)
    journal = Journal(tmp_path / "j.jsonl", wall)
    for k in range(3):  # returns, while nothing has reached the disk
        journal.write("event", k * 0.1, {"value": k})
    disk.set()
    assert reached.acquire(timeout=5.0)
    journal.write("event", 1.0, {"value": 3})  # the last for a long time
    assert reached.acquire(timeout=5.0)
    journal.close()
    assert verify_journal(tmp_path / "j.jsonl").entries == 4


def test_a_disk_that_fails_behind_ones_back_is_told_at_the_next_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    journal = Journal(tmp_path / "j.jsonl", wall)
    with monkeypatch.context() as patch:
        patch.setattr("app.records.journal.os.fsync", full)
        journal.write("event", 0.0, {})
        journal._syncer.join(5.0)
        with pytest.raises(OSError, match="No space left"):
            journal.write("event", 0.1, {})
    journal.close()


def test_a_line_that_is_missing_or_twice_is_found(tmp_path: Path) -> None:
    lines = written(tmp_path / "j.jsonl").read_bytes().splitlines(keepends=True)
    for changed in (lines[:5] + lines[6:], [*lines[:5], lines[4], *lines[5:]], lines[1:]):
        (tmp_path / "bad.jsonl").write_bytes(b"".join(changed))
        assert not verify_journal(tmp_path / "bad.jsonl").ok


def test_a_journal_cut_short_is_good_up_to_the_last_whole_line(tmp_path: Path) -> None:
    data = written(tmp_path / "j.jsonl").read_bytes()
    (tmp_path / "cut.jsonl").write_bytes(data[:-30])
    verdict = verify_journal(tmp_path / "cut.jsonl")
    assert (verdict.ok, verdict.entries, verdict.first_bad) == (False, 19, 20)


def test_many_threads_make_one_chain(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    threads = [
        threading.Thread(target=lambda: [journal.write("x", 0.0, {"k": k}) for k in range(100)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    journal.close()
    journal.write("late", 0.0, {})
    verdict = verify_journal(tmp_path / "j.jsonl")
    assert (verdict.ok, verdict.entries) == (True, 400)


def test_a_session_never_overwrites_another(tmp_path: Path) -> None:
    sessions = [Session(tmp_path, simulated_rig(), {"detector": "none"}, wall) for _ in range(3)]
    assert len({session.folder for session in sessions}) == 3
    assert sessions[0].folder.name == "2026-05-04T03-02-01"
    assert load_rig(sessions[0].folder / "rig.toml") == simulated_rig()
    for session in sessions:
        session.close({"frames": 3})
    summary = json.loads((sessions[2].folder / "summary.json").read_text(encoding="utf-8"))
    assert summary == {"frames": 3}


def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(JournalError, match="choose a folder"):
        Session(tmp_path / "file", simulated_rig(), {}, wall)
    with pytest.raises(JournalError, match="cannot be read"):
        verify_journal(tmp_path / "none.jsonl")
