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
    with (
        pa_csv.open_csv(path, convert_options=options) as rows,
        pa_parquet.ParquetWriter(scratch, schema.with_metadata(dict(about or {}))) as table,
    ):
        for batch in rows:
            table.write_batch(batch.cast(table.schema))
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
        Missing file, missing column, or a field that is not what its column holds.
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
    return {
        name: table.column(name).to_numpy() for name in schema.names if name in table.column_names
    }
