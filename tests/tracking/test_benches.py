"""The commands of the README's table, where what they need is not there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tracking import analysed, films, recordings


@pytest.mark.parametrize("main", [recordings.main, films.main])
def test_data_that_are_not_there_are_one_line_and_exit_code_2(
    main: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("SFCSCOPE_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["bench", "--data", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as end:
        main()
    told = capsys.readouterr()
    assert end.value.code == 2
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert str(tmp_path / "none") in told.err
    assert "--data" in told.err


def test_folders_without_tables_are_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["analysed", str(tmp_path), str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        analysed.main()
    told = capsys.readouterr().err
    assert end.value.code == 2
    assert len(told.splitlines()) == 1
    assert "truth_tracks.csv" in told
