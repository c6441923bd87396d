"""The verb edit: a person's corrections of a finished analysis."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from models.errors import DataError

_Parser = TypeVar("_Parser", bound=argparse.ArgumentParser)


class _Correction(argparse.Action):
    """Keeps the corrections in the order in which they are asked for."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        """Add one to those before."""
        numbers = [one for one in values or () if isinstance(one, int)]
        namespace.edits = [*namespace.edits, (self.dest, numbers)]


def add_edit(verbs: argparse._SubParsersAction[_Parser], common: _Parser) -> None:
    """Add the words of the verb."""
    parser = verbs.add_parser("edit", parents=[common], help="correct tracks; tables follow")
    parser.add_argument("analysis", type=Path, help="folder that analyze or track wrote")
    known: dict[str, tuple[int | str, tuple[str, ...], str]] = {
        "delete": ("+", ("ID",), "no sperm"),
        "join": ("+", ("ID",), "one sperm, which keeps the first name"),
        "split": (2, ("ID", "FRAME"), "another sperm from that frame on, with a new name"),
    }
    for name, (count, metavar, said) in known.items():
        parser.add_argument(
            f"--{name}", action=_Correction, type=int, nargs=count, help=said,
            metavar=metavar if len(metavar) > 1 else metavar[0],
        )  # fmt: skip
    parser.add_argument("--undo", action="store_true", help="as it was before the first edit")
    parser.set_defaults(verb="edit", edits=[])


def edit(options: argparse.Namespace) -> dict[str, object]:
    """Delete, join and split tracks of a finished analysis, in the order given."""
    from app.records.edit import Edit, edit_analysis, undo_edits

    if options.undo and options.edits:
        raise DataError("edit: --undo goes alone")
    if options.undo:
        return undo_edits(options.analysis)
    if not options.edits:
        raise DataError("edit: nothing asked; give --delete, --join, --split or --undo")
    edits = [
        Edit(kind, (ids[0],), ids[1]) if kind == "split" else Edit(kind, tuple(ids))
        for kind, ids in options.edits
    ]
    return edit_analysis(options.analysis, edits)
