"""Tracks of a finished analysis are deleted, joined and split, and all tables follow."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pa_parquet
import pytest
from small_analysis import FPS, FRAMES, rows_of, sperm, table, three_sperm

from app.cli import main
from app.records.edit import Edit, edit_analysis, undo_edits
from app.records.export import write_table
from app.records.shape_table import SHAPES, read_shapes, record_of, shape_columns
from models.errors import DataError
from models.measure.shape_record import ShapeRecord
from models.measure.shapes import Flag, Shapes
from models.types import Tracks


@pytest.fixture
def analysis(tmp_path: Path) -> Path:
    return three_sperm(tmp_path)


def split_one(folder: Path) -> tuple[int, int]:
    """The two names of the sperm that was lost: those not seen in all frames."""
    short = [name for name, row in sperm(folder).items() if int(row["frames"]) < FRAMES]
    first, second = sorted(short, key=lambda name: int(sperm(folder)[name]["first_frame"]))
    return first, second


def test_a_false_object_is_deleted_from_all_tables(analysis: Path) -> None:
    before = sperm(analysis)
    gone = next(name for name, row in before.items() if row["grade"] == "immotile")
    result = edit_analysis(analysis, [Edit("delete", (gone,))])
    assert result["tracks"] == 3
    assert gone not in sperm(analysis)
    assert rows_of(analysis, gone) == []
    for name in ("tracks", "sperm"):
        rows = pa_parquet.read_table(analysis / f"{name}.parquet")
        assert gone not in rows["track_id"].to_pylist()
        assert rows.num_rows == len(table(analysis / f"{name}.csv"))
    about = json.loads((analysis / "analysis.json").read_text())
    assert about["tracks"] == 3
    assert about["edits"] == [{"kind": "delete", "track_id": [gone], "frame": None}]
    # What was not touched says what it said before.
    for name, row in sperm(analysis).items():
        for column in ("vsl_um_s", "vcl_um_s", "vap_um_s", "lin"):
            if before[name][column]:
                was = float(before[name][column])
                assert float(row[column]) == pytest.approx(was, rel=1e-3, abs=1e-2)


def test_two_tracks_of_one_sperm_become_one_without_holes(analysis: Path) -> None:
    first, second = split_one(analysis)
    edit_analysis(analysis, [Edit("join", (first, second))])
    rows = rows_of(analysis, first)
    assert [int(row["frame"]) for row in rows] == list(range(FRAMES))
    assert {row["state"] for row in rows[52:78]} == {"coasting"}
    assert {row["x_raw_px"] for row in rows[52:78]} == {""}
    place = np.array([[float(row["x_px"]), float(row["y_px"])] for row in rows])
    true = np.array([300.0, 300.0]) + np.arange(FRAMES)[:, None] * np.array([-1.0, 0.4])
    assert np.hypot(*(place - true).T).max() < 4.0
    assert [float(row["time_s"]) for row in rows] == pytest.approx(
        (np.arange(FRAMES) / FPS).tolist(), abs=1e-3
    )
    one = sperm(analysis)[first]
    assert second not in sperm(analysis)
    assert float(one["duration_s"]) == pytest.approx((FRAMES - 1) / FPS, abs=1e-3)
    assert float(one["vsl_um_s"]) == pytest.approx(np.hypot(1.0, 0.4) * 0.5 * FPS, rel=0.05)


def test_a_split_track_gets_a_new_name_and_joining_brings_it_back(analysis: Path) -> None:
    whole = next(n for n, row in sperm(analysis).items() if row["frames"] == str(FRAMES))
    before = sperm(analysis)[whole]
    result = edit_analysis(analysis, [Edit("split", (whole,), 45)])
    assert result["new_tracks"] == [5]
    assert int(sperm(analysis)[whole]["frames"]) == 45
    assert int(sperm(analysis)[5]["first_frame"]) == 45
    edit_analysis(analysis, [Edit("join", (whole, 5))])
    after = sperm(analysis)[whole]
    assert after.keys() == before.keys()
    for name in ("frames", "first_frame", "grade", "quality"):
        assert after[name] == before[name]
    assert float(after["vcl_um_s"]) == pytest.approx(float(before["vcl_um_s"]), rel=1e-3, abs=0.01)
    # A name is never given twice.
    again = edit_analysis(analysis, [Edit("split", (whole,), 60)])
    assert again["new_tracks"] == [6]


def test_a_head_that_the_border_cuts_was_seen_too(analysis: Path) -> None:
    path = analysis / "tracks.csv"
    _, second = split_one(analysis)
    rows = table(path)
    for row in rows:
        if row["track_id"] == str(second):  # found in each frame, its middle not known
            row["x_raw_px"] = row["y_raw_px"] = ""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    whole = [n for n, row in sperm(analysis).items() if int(row["frames"]) == FRAMES]
    with pytest.raises(DataError, match="both seen in frame 80: they are two sperm"):
        edit_analysis(analysis, [Edit("join", (whole[0], second))])
    # An edit of another leaves its rows alone, also those from before it was confirmed.
    before = rows_of(analysis, second)
    assert before[0]["state"] == "tentative"
    edit_analysis(analysis, [Edit("delete", (whole[0],))])
    assert [r["frame"] for r in rows_of(analysis, second)] == [r["frame"] for r in before]
    # Nor is a piece of it lost that was not confirmed yet.
    edit_analysis(analysis, [Edit("split", (second,), int(before[2]["frame"]))])
    assert len(rows_of(analysis, second)) == 2


def test_edits_can_be_undone(analysis: Path) -> None:
    kept = {name: (analysis / name).read_bytes() for name in ("tracks.csv", "sperm.csv")}
    edit_analysis(analysis, [Edit("delete", (1,))])
    edit_analysis(analysis, [Edit("delete", (2,))])
    undo_edits(analysis)
    for name, text in kept.items():
        assert (analysis / name).read_bytes() == text
    assert not (analysis / "unedited").exists()
    assert "edits" not in json.loads((analysis / "analysis.json").read_text())
    with pytest.raises(DataError, match="nothing to undo"):
        undo_edits(analysis)


def test_what_makes_no_sense_is_refused_and_changes_nothing(analysis: Path) -> None:
    kept = (analysis / "tracks.csv").read_bytes()
    whole = [n for n, row in sperm(analysis).items() if row["frames"] == str(FRAMES)]
    for edits, said in (
        ([Edit("delete", (99,))], "no track 99"),
        ([Edit("delete", (1,)), Edit("delete", (1,))], "no track 1"),
        ([Edit("join", (whole[0], whole[1]))], "both seen in frame 0"),
        ([Edit("split", (whole[0],), 0)], "split it between"),
        ([Edit("split", (whole[0],), FRAMES)], "split it between"),
    ):
        with pytest.raises(DataError, match=said):
            edit_analysis(analysis, edits)
    for kind, ids, frame in (
        ("join", (1,), None), ("split", (1,), None), ("mend", (1,), None),
        # 0 stands for the deleted: they are nobody's frames any more.
        ("join", (1, 0), None), ("split", (0,), 20), ("delete", (-1,), None),
    ):  # fmt: skip
        with pytest.raises(DataError, match="edit"):
            Edit(kind, ids, frame)
    assert (analysis / "tracks.csv").read_bytes() == kept
    assert not (analysis / "unedited").exists()
    with pytest.raises(DataError, match=r"analysis\.json"):
        edit_analysis(analysis.parent, [Edit("delete", (1,))])


def test_the_command_line_edits_in_the_order_given(
    analysis: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = split_one(analysis)
    words = ["edit", str(analysis), "--json"]
    asked = ["--join", str(first), str(second), "--split", str(first), "90", "--delete", "5"]
    assert main([*words, *asked]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["tracks"] == 3
    assert [one["kind"] for one in result["edits"]] == ["join", "split", "delete"]
    assert int(sperm(analysis)[first]["frames"]) == 90
    assert main([*words, "--undo"]) == 0
    assert sorted(sperm(analysis)) == [1, 2, 3, 4]
    capsys.readouterr()
    for wrong in ([], ["--delete", "77"], ["--undo", "--delete", "1"]):
        assert main([*words, *wrong]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_masks_follow_their_tracks(analysis: Path) -> None:
    first, second = split_one(analysis)
    gone = next(n for n, row in sperm(analysis).items() if row["grade"] == "immotile")
    masks = {
        "categories": [{"id": 1, "name": "normal"}],
        "annotations": [
            {"id": 1, "image_id": 3, "track_id": first}, {"id": 2, "image_id": 3, "track_id": gone},
            {"id": 3, "image_id": 90, "track_id": second}, {"id": 4, "image_id": 90},
        ],
        "images": [{"id": 3}, {"id": 90}],
    }  # fmt: skip
    (analysis / "masks.json").write_text(json.dumps(masks))
    edit_analysis(analysis, [Edit("join", (first, second)), Edit("delete", (gone,))])
    after = json.loads((analysis / "masks.json").read_text())
    told = [(one["id"], one.get("track_id")) for one in after["annotations"]]
    assert told == [(1, first), (3, first), (4, None)]
    assert after["images"] == masks["images"]


def with_masks(folder: Path, names: list[int]) -> None:
    masks = [{"id": k + 1, "image_id": 3, "track_id": name} for k, name in enumerate(names)]
    (folder / "masks.json").write_text(json.dumps({"annotations": masks, "images": []}))


def test_names_of_tracks_that_were_never_confirmed_can_be_deleted(analysis: Path) -> None:
    with_masks(analysis, [1, 10])
    for edit in (Edit("join", (1, 10)), Edit("split", (10,), 3)):
        with pytest.raises(DataError, match="10 was never confirmed"):
            edit_analysis(analysis, [edit])
    assert edit_analysis(analysis, [Edit("delete", (10,))])["tracks"] == 4
    left = json.loads((analysis / "masks.json").read_text())["annotations"]
    assert [one["track_id"] for one in left] == [1]
    with pytest.raises(DataError, match="no track 10"):
        edit_analysis(analysis, [Edit("delete", (10,))])


def test_a_new_name_is_nobodys_not_even_a_mask_alone(analysis: Path) -> None:
    with_masks(analysis, [1, 5])
    whole = next(n for n, row in sperm(analysis).items() if row["frames"] == str(FRAMES))
    assert edit_analysis(analysis, [Edit("split", (whole,), 45)])["new_tracks"] == [6]


def test_shapes_are_kept_frame_by_frame(tmp_path: Path) -> None:
    rng, record, rows = np.random.default_rng(1), ShapeRecord(0.5), []
    for k in range(0, 60, 3):
        n = 3
        values = np.array([40.0, 9.0, 6.0, 1.5, 10.0, 90.0]) * rng.normal(1.0, 0.05, (n, 6))
        values[rng.random((n, 6)) < 0.1] = np.nan
        flags = rng.choice([0, 0, 0, int(Flag.BORDER), int(Flag.TAIL_CROSSED)], n)
        shapes = Shapes(
            values, np.zeros((n, 2)), np.zeros((n, 2)), flags, np.zeros((n, 1, 2)), np.zeros(n, int)
        )
        tracks = Tracks(
            k / 30.0, np.array([4, 7, 9, 11]), *(np.zeros((4, 2)),) * 2, np.zeros((4, 4, 4)),
            *(np.zeros((4, 2)),) * 2, *(np.ones(4),) * 2, *(np.ones(4, np.int8),) * 2,
            np.array([2, -1, 0, 1]),
        )  # fmt: skip
        record.add(tracks.track_id, tracks.detection, shapes)
        rows.append(shape_columns(k, tracks, shapes))
    joined = {name: np.concatenate([np.asarray(one[name]) for one in rows]) for name in rows[0]}
    write_table(tmp_path / "shapes.csv", SHAPES, joined, decimals=9)
    again = record_of(read_shapes(tmp_path / "shapes.csv"), 0.5)
    for name in (4, 7, 9, 11):
        one, other = record.shape(name), again.shape(name)
        np.testing.assert_allclose(one.values, other.values, rtol=1e-6)
        np.testing.assert_array_equal(one.frames, other.frames)
        assert one.why_not == other.why_not
