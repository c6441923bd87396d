"""Tables of an analysis: detections.csv, tracks.csv, sperm.csv, and the same as Parquet.

A table is streamed: each call of ``write`` reaches the file before it returns, so an interrupted
run loses nothing that it had come to. What is unknown is an empty field, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
from numpy.typing import NDArray

from models.errors import DataError
from models.types import SpermClass, TrackState

Column = NDArray[np.generic] | Sequence[object]

_INT, _FLOAT, _TEXT = pa.int64(), pa.float64(), pa.string()
# Frames up to this, an hour at 30 a second, may be empty; beyond, so many for each that is not.
_ANY_FRAMES, _MOST_EMPTY = 108_000.0, 20.0
_LARGEST = 2.0**53  # whole numbers beyond are not told apart in floating point


def _schema(**columns: object) -> pa.Schema:
    return pa.schema(list(columns.items()))


DETECTIONS = _schema(
    frame=_INT, time_s=_FLOAT, x_px=_FLOAT, y_px=_FLOAT, w_px=_FLOAT, h_px=_FLOAT, score=_FLOAT,
    label=_TEXT,
)  # fmt: skip
TRACKS = _schema(
    frame=_INT, time_s=_FLOAT, track_id=_INT, x_px=_FLOAT, y_px=_FLOAT, w_px=_FLOAT, h_px=_FLOAT,
    x_raw_px=_FLOAT, y_raw_px=_FLOAT, score=_FLOAT, p_exist=_FLOAT, state=_TEXT, x_um=_FLOAT,
    y_um=_FLOAT, label=_TEXT,
)  # fmt: skip
SPERM = _schema(
    track_id=_INT, first_frame=_INT, frames=_INT, duration_s=_FLOAT, quality=_TEXT,
    head_area_um2=_FLOAT, head_length_um=_FLOAT, head_width_um=_FLOAT, head_ellipticity=_FLOAT,
    head_angle_deg=_FLOAT, tail_length_um=_FLOAT, vsl_um_s=_FLOAT, vcl_um_s=_FLOAT,
    vap_um_s=_FLOAT, alh_um=_FLOAT, alh_max_um=_FLOAT, mad_deg=_FLOAT, bcf_hz=_FLOAT, lin=_FLOAT,
    wob=_FLOAT, str=_FLOAT, grade=_TEXT, morphology_normal=_INT, motility_normal=_INT,
    healthy=_INT, score=_FLOAT, rank=_INT, reasons=_TEXT,
    # What the numbers rest on; analyses made before these were told do not have them.
    motility_frames=_INT, motility_duration_s=_FLOAT, frame_rate_hz=_FLOAT, head_frames=_INT,
    head_angle_frames=_INT, tail_frames=_INT, tail_quality=_TEXT, head_image_angle_deg=_FLOAT,
    head_area_sd_um2=_FLOAT, head_length_sd_um=_FLOAT, head_width_sd_um=_FLOAT,
    head_ellipticity_sd=_FLOAT, head_angle_sd_deg=_FLOAT, head_image_angle_sd_deg=_FLOAT,
    tail_length_sd_um=_FLOAT, vsl_sd_um_s=_FLOAT, vcl_sd_um_s=_FLOAT, vap_sd_um_s=_FLOAT,
    alh_sd_um=_FLOAT, alh_max_sd_um=_FLOAT, mad_sd_deg=_FLOAT, bcf_sd_hz=_FLOAT, lin_sd=_FLOAT,
    wob_sd=_FLOAT, str_sd=_FLOAT, score_sd=_FLOAT,
)  # fmt: skip

_LABEL_TEXT = np.array(["", *(label.name.lower() for label in SpermClass if label)], dtype=object)
_STATE_TEXT = np.array([state.name.lower() for state in TrackState], dtype=object)


def label_text(label: NDArray[np.integer]) -> NDArray[np.object_]:
    """Name of each SpermClass; empty where the detector does not tell."""
    text: NDArray[np.object_] = _LABEL_TEXT[label]
    return text


def label_value(text: Sequence[object]) -> NDArray[np.int8]:
    """SpermClass of each name or number; BACKGROUND, that is unknown, for anything else."""
    known = {name: k for k, name in enumerate(_LABEL_TEXT)}
    known |= {str(int(one)): int(one) for one in SpermClass}
    return np.array([known.get(str(one).strip().lower(), 0) for one in text], dtype=np.int8)


def state_text(state: NDArray[np.integer]) -> NDArray[np.object_]:
    """Name of each TrackState."""
    text: NDArray[np.object_] = _STATE_TEXT[state]
    return text


def state_value(text: Sequence[object]) -> NDArray[np.int8]:
    """TrackState of each name; TENTATIVE for anything else."""
    known = {name: k for k, name in enumerate(_STATE_TEXT)}
    return np.array([known.get(str(one).strip().lower(), 0) for one in text], dtype=np.int8)


class TableWriter:
    """A CSV table that grows on disk, row group by row group.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    schema : pa.Schema
    decimals : int
        Of floating-point columns.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, decimals: int = 4) -> None:
        self.path = path
        self._schema = schema
        self._decimals = decimals
        # Unbuffered: a row that is written survives the end of this process.
        self._file = path.open("wb", buffering=0)
        self._file.write((",".join(schema.names) + "\n").encode())
        # Only free text can hold a comma; names need no quotes.
        quotes = "needed" if "reasons" in schema.names else "none"
        options = pa_csv.WriteOptions(include_header=False, quoting_style=quotes)
        self._writer = pa_csv.CSVWriter(self._file, schema, write_options=options)
        self.rows = 0

    def write(self, columns: Mapping[str, Column]) -> None:
        """Add rows; a column that is not given is empty.

        Raises
        ------
        KeyError
            A column that the table does not have.
        """
        batch = record_batch(self._schema, columns, self._decimals)
        if batch.num_rows:
            self._writer.write(batch)
            self.rows += batch.num_rows

    def close(self) -> None:
        """End the table. Safe to call twice."""
        if not self._file.closed:
            self._writer.close()
            self._file.close()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def record_batch(
    schema: pa.Schema, columns: Mapping[str, Column], decimals: int = 4
) -> pa.RecordBatch:
    """Rows of ``schema`` from columns of equal length; NaN becomes empty."""
    unknown = set(columns) - set(schema.names)
    if unknown:
        raise KeyError(f"no such column: {', '.join(sorted(unknown))}")
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"columns differ in length: {sorted(lengths)}")
    rows = lengths.pop() if lengths else 0
    arrays = []
    for field in schema:
        column = columns.get(field.name)
        if column is None:
            arrays.append(pa.nulls(rows, field.type))
        elif pa.types.is_floating(field.type):
            rounded = np.round(np.asarray(column, dtype=np.float64), decimals)
            arrays.append(pa.array(rounded + 0.0, field.type, from_pandas=True))
        elif pa.types.is_string(field.type):
            arrays.append(pa.array([str(one) or None for one in column], field.type))
        else:
            arrays.append(pa.array(column, field.type, from_pandas=True))
    return pa.record_batch(arrays, schema=schema)


def write_table(
    path: Path, schema: pa.Schema, columns: Mapping[str, Column], *, decimals: int = 4
) -> None:
    """Write a whole table, or leave the one that is there untouched."""
    scratch = path.with_name(path.name + ".part")
    with TableWriter(scratch, schema, decimals=decimals) as table:
        table.write(columns)
    scratch.replace(path)


def to_parquet(path: Path, schema: pa.Schema, about: Mapping[str, str] | None = None) -> Path:
    """Write ``path``, a CSV table, as Parquet beside it, with notes; returns where."""
    out = path.with_suffix(".parquet")
    scratch = out.with_name(out.name + ".part")
    options = pa_csv.ConvertOptions(column_types=schema, strings_can_be_null=True)
    with pa_csv.open_csv(path, convert_options=options) as rows:
        # A table of an earlier version may not have all columns of now.
        there = pa.schema([field for field in schema if field.name in rows.schema.names])
        with pa_parquet.ParquetWriter(scratch, there.with_metadata(dict(about or {}))) as table:
            for batch in rows:
                table.write_batch(batch.select(there.names).cast(table.schema))
    scratch.replace(out)
    return out


def read_columns(
    path: Path, schema: pa.Schema, *, required: Sequence[str]
) -> dict[str, NDArray[np.generic]]:
    """Columns of a CSV table by name; numbers as float64, text as objects.

    Columns that the table does not have are left out, unless they are required.

    Raises
    ------
    DataError
        Missing file, a column that is missing or stands twice, or a field that is not what its
        column holds.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; a table with {', '.join(required)} is needed")
    numbers = {
        field.name: _FLOAT for field in schema if not pa.types.is_string(field.type)
    }  # an integer column may be written as 3.0, or be empty
    texts = {field.name: _TEXT for field in schema if pa.types.is_string(field.type)}
    try:
        table = pa_csv.read_csv(
            path,
            convert_options=pa_csv.ConvertOptions(
                column_types={**numbers, **texts}, strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: not a readable table ({reason}); export it again") from error
    missing = [name for name in required if name not in table.column_names]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; {', '.join(required)} are needed")
    twice = [name for name in schema.names if table.column_names.count(name) > 1]
    if twice:
        raise DataError(f"{path}: column {', '.join(twice)} stands twice; leave one of them out")
    return {
        name: table.column(name).to_numpy() for name in schema.names if name in table.column_names
    }


def whole_columns(
    path: Path, schema: pa.Schema, *, required: Sequence[str], whole: Sequence[str]
) -> dict[str, NDArray[np.generic]]:
    """Columns as of ``read_columns``; those named in ``whole`` (they are required) as int64.

    Raises
    ------
    DataError
        As there, or a field of ``whole`` that is empty or no whole number.
    """
    columns = read_columns(path, schema, required=required)
    for name in whole:
        values = np.asarray(columns[name], np.float64)
        refuse_unknown(path, name, values)
        bad = np.flatnonzero((values % 1.0 != 0.0) | (np.abs(values) > _LARGEST))
        if len(bad):
            raise DataError(
                f"{path}: line {bad[0] + 2}: {name} is {values[bad[0]]:g}; a whole number is needed"
            )
        columns[name] = values.astype(np.int64)
    return columns


def refuse_unknown(path: Path, name: str, values: NDArray[np.float64]) -> None:
    """Tell the first field (N,) of a column that is empty or infinite, with its line.

    Raises
    ------
    DataError
        There is one.
    """
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        what = "is infinite" if np.isinf(values[bad[0]]) else "is empty"
        raise DataError(f"{path}: line {bad[0] + 2}: {name} {what}; give a number")


def refuse_sparse(path: Path, frame: NDArray[np.float64]) -> None:
    """Refuse frame numbers (N,) that are time stamps or the like: every frame takes its place.

    Raises
    ------
    DataError
        They reach far beyond what so many frames with something in them can be part of.
    """
    known = len(np.unique(frame))
    if known and frame.max() >= max(_ANY_FRAMES, _MOST_EMPTY * known):
        raise DataError(
            f"{path}: frame reaches {frame.max():.0f}, with rows for {known} frames; number the "
            "frames 0, 1, 2, ..., and write times to time_s"
        )
