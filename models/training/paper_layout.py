"""The paper's tables (SFCNet, Tables I, II, IV and V), and ours set in their layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Row = tuple[str, Sequence[float | None]]

SEGMENTATION_COLUMNS = ("Dice", "mIoU", "E-measure", "Sensitivity", "Precision")
DETECTION_COLUMNS = ("AP", "AP50", "AP75", "FPS", "GMAC", "Parameters/M")
# Table I: three classes with background, %.
TABLE_I: dict[str, tuple[float, ...]] = {
    "OCRNet": (35.75, 34.65, 30.84, 35.15, 56.46),
    "DeepLabV3+": (47.76, 41.49, 71.79, 45.06, 57.37),
    "CFANet": (54.22, 45.83, 92.79, 53.36, 59.08),
    "UNet": (55.17, 47.16, 94.74, 54.46, 64.63),
    "UNet++": (55.43, 47.34, 93.74, 54.71, 65.21),
    "PraNet": (56.26, 47.26, 91.63, 53.48, 61.41),
    "HRNet": (59.95, 50.39, 97.13, 58.49, 63.43),
    "SFCNet": (64.14, 53.53, 97.93, 63.46, 65.67),
}
# Table II. What the paper calls GFLOPS counts a multiplication and an addition as one.
TABLE_II: dict[str, tuple[float, ...]] = {"SFCNet": (40.14, 92.10, 21.65, 318.0, 249.30, 49.56)}
# Table IV: (guide start stage, resize stage) to Dice and AP50, %.
TABLE_IV: dict[tuple[int, int], tuple[float, float]] = {
    (4, 1): (47.60, 90.29),
    (3, 1): (56.25, 90.80),
    (2, 1): (62.88, 91.66),
    (1, 5): (37.63, 90.15),
    (1, 4): (49.80, 90.54),
    (1, 3): (59.59, 91.13),
    (1, 2): (63.11, 91.78),
    (1, 1): (64.14, 92.10),
}
# Table V: magnification to Dice and AP50, %.
TABLE_V: dict[int, tuple[float, float]] = {
    20: (60.43, 92.59),
    40: (64.03, 93.09),
    100: (66.93, 97.11),
}
# Figs. 6 and 8: mean errors of head area, length, width, ellipticity, angle and tail length, and of
# VSL, VCL, VAP, ALH, MAD, LIN, WOB and STR; %.
FIG_6 = (11.3, 0.65, 5.6, 5.1, 0.6, 14.9)
FIG_8 = (6.5, 9.5, 8.0, 12.9, 37.3, 2.0, 5.9, 2.0)
_SEGMENTATION_KEYS = ("dice", "miou", "e_measure", "sensitivity", "precision")
_DETECTION_KEYS = ("ap", "ap50", "ap75", "fps", "gmacs", "params_m")


def laid_out(title: str, columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Set a table in columns of plain text; what is not known is a dash."""
    first = max(len(title), *(len(name) for name, _ in rows))
    lines = [title.ljust(first) + "".join(column.rjust(14) for column in columns)]
    for name, values in rows:
        cells = ("-" if v is None else f"{v:.2f}" for v in values)
        lines.append(name.ljust(first) + "".join(cell.rjust(14) for cell in cells))
    return "\n".join(lines)


def markdown(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Set a table in Markdown."""
    lines = ["| " + " | ".join(("", *columns)) + " |", "|" + "---|" * (len(columns) + 1)]
    lines += ["| " + " | ".join((name, *cells)) + " |" for name, cells in rows]
    return "\n".join(lines)


def beside_the_paper(scores: Mapping[str, object]) -> str:
    """Set the scores of ``evaluation.evaluate`` beside the paper's row, in its layout.

    The paper's data are its own, so the rows say how far, not who wins.
    """
    name = str(scores.get("detector") or "this detector")
    parts = []
    if scores.get("dice") is not None:
        rows: list[Row] = [
            ("SFCNet in the paper", TABLE_I["SFCNet"]),
            (name, _values(scores, _SEGMENTATION_KEYS)),
        ]
        for key, words in (("foreground", "  without background"), ("binary", "  sperm or not")):
            part = scores.get(key)
            if isinstance(part, Mapping):
                rows.append((words, _values(part, _SEGMENTATION_KEYS)))
        mean, adaptive = scores.get("e_measure_mean"), scores.get("e_measure_adaptive")
        for words, value in (("  mean over thresholds", mean), ("  adaptive", adaptive)):
            rows.append((words, (None, None, _number(value), None, None)))
        parts.append(laid_out("Segmentation, %", SEGMENTATION_COLUMNS, rows))
    rows = [
        ("SFCNet in the paper", TABLE_II["SFCNet"]),
        (name, _values(scores, _DETECTION_KEYS)),
    ]
    table = laid_out("Detection, %", DETECTION_COLUMNS, rows)
    counted = scores.get("gmacs_of")
    if isinstance(counted, Mapping) and counted:
        told = " and ".join(f"{number} {name}" for name, number in counted.items())
        table += f"\nGMAC of {told} at 640x480"
    parts.append(table)
    parts.append(_centres(scores, name))
    return "\n\n".join(parts)


def _centres(scores: Mapping[str, object], name: str) -> str:
    """Set how well centres are found: at the threshold that serves best, and at the archive's."""
    columns = ("threshold", "F1/%", "precision/%", "recall/%", "error/px", "error/um")
    keys = ("score_threshold", "f1_10px", "precision_10px", "recall_10px")
    best = (*keys, "centre_error_px", "centre_error_um")
    rows: list[Row] = [(name, _values(scores, best))]
    own = scores.get("at_threshold")
    if isinstance(own, Mapping):
        rows.append(("  at its own threshold", (*_values(own, keys), None, None)))
    return laid_out("Centres within 10 px", columns, rows)


def _values(scores: Mapping[str, object], keys: Sequence[str]) -> tuple[float | None, ...]:
    return tuple(_number(scores.get(key)) for key in keys)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
