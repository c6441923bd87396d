"""What an edit rests on is checked before anything is written, and is kept with the analysis."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pyarrow.parquet as pa_parquet
import pytest
from small_analysis import sperm, table, three_sperm

from app.cli import main
from app.records.edit import Edit, edit_analysis, undo_edits
from app.records.export import SPERM
from models.errors import DataError, ModelError

TEXT = resources.files("models.measure").joinpath("profiles", "pvp.toml").read_text("utf-8")
MINE = TEXT.replace('name = "pvp"', 'name = "mine"')
DELETE = Edit("delete", (1,))


def rewritten(path: Path, change: Callable[[list[str], list[dict[str, str]]], None]) -> None:
    """Change a table's names and rows."""
    rows = table(path)
    names = list(rows[0])
    change(names, rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def without(*gone: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        def drop(names: list[str], _rows: list[dict[str, str]]) -> None:
            names[:] = [name for name in names if name not in gone]

        rewritten(folder / "tracks.csv", drop)

    return damage


def with_cell(name: str, value: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        def put(_names: list[str], rows: list[dict[str, str]]) -> None:
            rows[4][name] = value

        rewritten(folder / "tracks.csv", put)

    return damage


def about(**values: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "analysis.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return damage


def masks(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "masks.json").write_text(text) and None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("state"), "no column state"),
        (without("w_px"), "no column w_px"),
        (with_cell("frame", ""), "line 6: frame is empty"),
        (with_cell("frame", "2.5"), "line 6: frame is 2.5; a whole number"),
        (with_cell("frame", "1700000000000"), "number the frames"),
        (with_cell("track_id", "0"), "line 6: track_id is 0; names count from 1"),
        (with_cell("time_s", ""), "line 6: time_s is empty"),
        (with_cell("time_s", "9"), r"time_s is .* in another row of frame \d+; correct it"),
        (without("x_px"), "no column x_px"),
        (with_cell("x_px", ""), "line 6: x_px is empty"),
        (with_cell("x_raw_px", ""), "line 6: one of x_raw_px, y_raw_px"),
        (about(um_per_px="abc"), 'um_per_px is "abc"'),
        (about(width_px=None), "width_px is null"),
        (about(options={}), r"options\.criteria is missing"),
        (about(options=[]), r"options\.criteria is missing"),
        (about(edits=[{"kind": "delete"}]), "edits are damaged"),
        (about(criteria_profile={"text": TEXT}), "criteria_profile is damaged"),
        (
            about(criteria_profile={"source": "pvp", "sha256": "0", "text": TEXT}),
            "criteria_profile was changed",
        ),
        (masks("[]"), "holds no annotations"),
        (masks("{}"), "holds no annotations"),
        (masks('{"annotations": [{"track_id": "one"}]}'), "annotation 0 is damaged"),
        (masks("{"), "damaged"),
    ],
)
def test_a_damaged_analysis_is_told_in_one_line_and_left_as_it_is(
    tmp_path: Path,
    damage: Callable[[Path], None],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = three_sperm(tmp_path)
    damage(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(DataError, match=message) as told:
        edit_analysis(folder, [DELETE])
    assert "\n" not in str(told.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    capsys.readouterr()
    assert main(["edit", str(folder), "--delete", "1"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_an_analysis_is_judged_by_the_criteria_that_it_was_made_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (home / "mine.toml").write_text(MINE)
    monkeypatch.chdir(home)
    folder = three_sperm(home, "mine.toml")
    before = sperm(folder)
    kept = json.loads((folder / "analysis.json").read_text())["criteria_profile"]
    assert (kept["name"], kept["text"]) == ("mine", MINE)
    assert kept["sha256"] == hashlib.sha256(MINE.encode()).hexdigest()
    assert kept["source"] == str((home / "mine.toml").resolve())
    # Another file of that name, where the edit is made from, is not asked.
    (elsewhere / "mine.toml").write_text("version = 1")
    monkeypatch.chdir(elsewhere)
    assert edit_analysis(folder, [DELETE])["notice"] == ""
    # Nor are the changes that were made to the file, but they are told.
    (home / "mine.toml").write_text(MINE.replace("progressive_um_s = ", "progressive_um_s = 2"))
    capsys.readouterr()
    result = edit_analysis(folder, [Edit("delete", (2,))])
    assert "mine.toml have changed since this analysis" in str(result["notice"])
    assert str(result["notice"]) in capsys.readouterr().err
    for name, row in sperm(folder).items():
        for column in ("grade", "motility_normal", "reasons"):
            assert row[column] == before[name][column]
    (home / "mine.toml").unlink()
    assert edit_analysis(folder, [Edit("split", (3,), 60)])["notice"] == ""


def of_an_earlier_version(folder: Path) -> None:
    """Take away what analyses did not have: the criteria, and what the numbers rest on."""

    def drop(names: list[str], _rows: list[dict[str, str]]) -> None:
        names[names.index("reasons") + 1 :] = []

    rewritten(folder / "sperm.csv", drop)
    path = folder / "analysis.json"
    document = json.loads(path.read_text())
    del document["criteria_profile"]
    path.write_text(json.dumps(document))


def test_an_analysis_of_an_earlier_version_is_edited_and_brought_back(tmp_path: Path) -> None:
    folder = three_sperm(tmp_path)
    of_an_earlier_version(folder)
    before = (folder / "sperm.csv").read_bytes()
    assert edit_analysis(folder, [DELETE])["tracks"] == 3
    assert list(table(folder / "sperm.csv")[0]) == SPERM.names
    undo_edits(folder)
    assert (folder / "sperm.csv").read_bytes() == before
    assert pa_parquet.read_table(folder / "sperm.parquet").column_names[-1] == "reasons"


def test_without_kept_criteria_the_file_must_still_have_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(MINE)
    folder = three_sperm(tmp_path, "mine.toml")
    of_an_earlier_version(folder)
    Path("mine.toml").write_text(TEXT)
    with pytest.raises(ModelError, match="judged by criteria 'mine'"):
        edit_analysis(folder, [DELETE])
    Path("mine.toml").write_text(MINE)
    assert "did not keep its criteria" in str(edit_analysis(folder, [DELETE])["notice"])
    Path("mine.toml").unlink()  # from now on they are kept
    assert edit_analysis(folder, [Edit("delete", (2,))])["notice"] == ""
