"""Tables: the columns that are promised, what is unknown, and what survives."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pa_parquet
import pytest

from app.records.export import (
    DETECTIONS,
    SPERM,
    TRACKS,
    TableWriter,
    label_text,
    label_value,
    read_columns,
    to_parquet,
    write_table,
)
from models.errors import DataError

PROMISED = {
    "detections": "frame, time_s, x_px, y_px, w_px, h_px, score, label",
    "tracks": "frame, time_s, track_id, x_px, y_px, w_px, h_px, x_raw_px, y_raw_px, score, p_exist,"
    " state, x_um, y_um, label",
    "sperm": "track_id, first_frame, frames, duration_s, quality, head_area_um2, head_length_um,"
    " head_width_um, head_ellipticity, head_angle_deg, tail_length_um, vsl_um_s, vcl_um_s,"
    " vap_um_s, alh_um, alh_max_um, mad_deg, bcf_hz, lin, wob, str, grade, morphology_normal,"
    " motility_normal, healthy, score, rank, reasons, motility_frames, motility_duration_s,"
    " frame_rate_hz, head_frames, head_angle_frames, tail_frames, tail_quality,"
    " head_image_angle_deg, head_area_sd_um2, head_length_sd_um, head_width_sd_um,"
    " head_ellipticity_sd, head_angle_sd_deg, head_image_angle_sd_deg, tail_length_sd_um,"
    " vsl_sd_um_s, vcl_sd_um_s, vap_sd_um_s, alh_sd_um, alh_max_sd_um, mad_sd_deg, bcf_sd_hz,"
    " lin_sd, wob_sd, str_sd, score_sd",
}


@pytest.mark.parametrize(
    ("name", "schema"), [("detections", DETECTIONS), ("tracks", TRACKS), ("sperm", SPERM)]
)
def test_the_columns_are_those_that_are_promised(tmp_path: Path, name: str, schema: object) -> None:
    path = tmp_path / f"{name}.csv"
    write_table(path, schema, {})
    assert path.read_text() == PROMISED[name].replace(", ", ",") + "\n"


def test_what_is_unknown_is_empty_and_not_zero(tmp_path: Path) -> None:
    path = tmp_path / "sperm.csv"
    columns = {
        "track_id": [3], "vsl_um_s": [np.nan], "vcl_um_s": [12.345678], "quality": ["ok"],
        "reasons": ["slow, bent"],
    }  # fmt: skip
    write_table(path, SPERM, columns)
    with path.open() as file:
        (row,) = csv.DictReader(file)
    assert row["vsl_um_s"] == row["head_area_um2"] == row["rank"] == ""
    assert (row["track_id"], row["vcl_um_s"], row["quality"]) == ("3", "12.3457", "ok")
    assert row["reasons"] == "slow, bent"


def test_rows_are_on_disk_as_soon_as_they_are_written(tmp_path: Path) -> None:
    table = TableWriter(tmp_path / "d.csv", DETECTIONS)
    for frame in range(5):
        table.write({"frame": [frame, frame], "x_px": [1.5, 2.5]})
        assert len((tmp_path / "d.csv").read_text().splitlines()) == 1 + 2 * (frame + 1)
    assert table.rows == 10
    table.close()
    table.close()


def test_bad_columns_are_refused(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "d.csv", DETECTIONS) as table:
        with pytest.raises(KeyError, match="colour"):
            table.write({"colour": [1]})
        with pytest.raises(ValueError, match="length"):
            table.write({"frame": [1, 2], "x_px": [1.0]})


def test_parquet_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "tracks.csv"
    columns = {
        "frame": np.arange(4), "x_px": [0.5, np.nan, 2.25, 3.0], "state": ["confirmed"] * 4,
        "label": label_text(np.array([0, 1, 2, 1], np.int8)),
    }  # fmt: skip
    write_table(path, TRACKS, columns)
    table = pa_parquet.read_table(to_parquet(path, TRACKS, {"um_per_px": "0.495"}))
    assert table.column_names == TRACKS.names
    assert table["x_px"].to_pylist() == [0.5, None, 2.25, 3.0]
    assert table["label"].to_pylist() == [None, "normal", "abnormal", "normal"]
    assert table["frame"].to_pylist() == [0, 1, 2, 3]
    assert table.schema.metadata[b"um_per_px"] == b"0.495"
    write_table(path, TRACKS, {})
    assert pa_parquet.read_table(to_parquet(path, TRACKS)).num_rows == 0


def test_labels_are_read_as_names_or_numbers() -> None:
    text = ["normal", " Abnormal ", "2", "1", "0", "", "sperm", None]
    assert label_value(text).tolist() == [1, 2, 2, 1, 0, 0, 0, 0]


def test_a_table_is_read_back_by_name(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("y_px,frame,x_px,label,more\n2.5,0,1,normal,x\n,1,3,,y\n")
    columns = read_columns(path, DETECTIONS, required=("frame", "x_px"))
    assert sorted(columns) == ["frame", "label", "x_px", "y_px"]
    np.testing.assert_array_equal(columns["y_px"].astype(float), [2.5, np.nan])
    assert columns["label"].tolist() == ["normal", ""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("frame,y_px\n0,1\n", "no column x_px"),
        ("frame,x_px\n0,left\n", "not a readable table"),
        ("frame,frame,x_px\n0,0,1\n", "column frame stands twice"),
        ("", "not a readable table"),
    ],
)
def test_a_bad_table_is_told_in_one_line(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "d.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=message) as error:
        read_columns(path, DETECTIONS, required=("frame", "x_px"))
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
