"""True tables of a recording: the columns of tracks.csv and sperm.csv, and some of its own."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.measure.motility import measure_path
from models.specimen.morphology import HeadKind, TailKind
from models.specimen.scene import Specimen
from models.specimen.swimming import Mode
from models.specimen.truth import Truth
from models.types import SpermClass

Float64 = NDArray[np.float64]
Row = dict[str, object]

RAPID_UM_S = 25.0
PROGRESSIVE_UM_S = 5.0


def track_rows(truths: Sequence[Truth]) -> list[Row]:
    """One row per sperm and frame whose head touches the picture."""
    rows: list[Row] = []
    for frame, truth in enumerate(truths):
        for k in range(len(truth)):
            x, y = truth.position_px[k]
            rows.append({
                "frame": frame, "time_s": truth.time_s, "track_id": int(truth.sperm_id[k]),
                "x_px": x, "y_px": y, "w_px": truth.box_px[k, 2], "h_px": truth.box_px[k, 3],
                "x_raw_px": x, "y_raw_px": y, "score": 1.0, "p_exist": 1.0, "state": "confirmed",
                "x_um": truth.position_um[k, 0], "y_um": truth.position_um[k, 1],
                "label": SpermClass(int(truth.label[k])).name.lower(),
                "mean_x_um": truth.mean_path_um[k, 0], "mean_y_um": truth.mean_path_um[k, 1],
                "z_um": truth.z_um[k], "mode": Mode(int(truth.mode[k])).name.lower(),
                "visible": int(truth.visible[k]), "whole": int(truth.whole[k]),
            })  # fmt: skip
    return rows


def sperm_rows(specimen: Specimen, truths: Sequence[Truth], fps: float) -> list[Row]:
    """One row per sperm that was ever in view; kinematics of the true head at the frame rate."""
    seen: dict[int, list[tuple[int, int]]] = {}
    for frame, truth in enumerate(truths):
        for k, sperm in enumerate(truth.sperm_id):
            seen.setdefault(int(sperm), []).append((frame, k))
    rows: list[Row] = []
    for sperm, places in sorted(seen.items()):
        first = places[0][0]
        count = places[-1][0] - first + 1
        path = np.full((count, 2), np.nan)
        for frame, k in places:
            path[frame - first] = truths[frame].position_um[k]
        times = np.arange(first, first + count) / fps
        motility = measure_path(times, path)
        last, k = places[-1]
        mode = Mode(int(truths[last].mode[k]))
        vap = motility.values["vap_um_s"]
        normal = int(truths[last].label[k]) == SpermClass.NORMAL
        grade = _grade(vap, mode)
        progressive = "" if not grade else int(grade in ("rapid", "slow"))
        rows.append(
            {
                "track_id": sperm, "first_frame": first, "frames": len(places),
                "duration_s": (count - 1) / fps, "quality": motility.quality,
                **_anatomy(specimen, sperm),
                **motility.values,
                "grade": grade,
                "morphology_normal": int(normal),
                "motility_normal": progressive,
                "healthy": "" if progressive == "" else int(normal and progressive == 1),
                "score": "", "rank": "", "reasons": "",
                "z_um": truths[last].z_um[k], "mode": mode.name.lower(),
                "visible": int(np.mean([truths[f].visible[i] for f, i in places]) > 0.5),
            }
        )  # fmt: skip
    return rows


def _anatomy(specimen: Specimen, sperm: int) -> Row:
    """Morphometry of one sperm, um, of the outline that the masks paint."""
    body = specimen.anatomy
    row = sperm - 1
    a, b, _, lobe2, lobe3, _ = body.head[row]
    turn = np.linspace(0, 2 * np.pi, 721)
    c, s = np.cos(turn), np.sin(turn)
    r = 1 + lobe2 * 2 * c * s + lobe3 * c * (4 * c * c - 3)
    egg = 1 + body.head[row, 2] * np.clip(r * c, -1, 1)
    u, v = a * r * c, b * egg * r * s
    area = 0.5 * abs(float(np.sum(u[:-1] * np.diff(v) - v[:-1] * np.diff(u))))
    length, width = float(np.ptp(u)), float(np.ptp(v))
    tail = float(body.tail_length_um[row])
    return {
        "head_area_um2": area, "head_length_um": length, "head_width_um": width,
        "head_ellipticity": length / width,
        "head_angle_deg": math.degrees(abs(body.bend_rad[row])) if tail > 0 else "",
        "tail_length_um": tail,
        "head_kind": HeadKind(int(body.head_kind[row])).name.lower(),
        "tail_kind": TailKind(int(body.tail_kind[row])).name.lower(),
    }  # fmt: skip


def _grade(vap_um_s: float, mode: Mode) -> str:
    """Grades of the WHO manual, 6th edition, by average path velocity."""
    if mode is Mode.IMMOTILE:
        return "immotile"
    if not math.isfinite(vap_um_s):
        return ""
    if vap_um_s >= RAPID_UM_S:
        return "rapid"
    return "slow" if vap_um_s >= PROGRESSIVE_UM_S else "nonprogressive"


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV; what is unknown is empty."""
    names = list(rows[0]) if rows else ["track_id"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(row[name]) for name in names})


def _cell(value: object) -> object:
    if isinstance(value, (float, np.floating)):
        return "" if not math.isfinite(value) else round(float(value), 4)
    return value
