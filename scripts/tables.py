"""Run the paper's tables again on the specimen; no cell is trained twice.

``python scripts/tables.py --out runs/tables`` takes an hour of one core; it may be stopped at any
time and started again. ``--tables I IV`` runs some of them; ``--minutes`` trains each cell so long.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run from the command line; 2 for a user's mistake."""
    sys.path.insert(0, str(ROOT))
    from models.errors import exit_code_of
    from models.training.tables.budget import Budget
    from models.training.tables.tables import NAMES, Tables, check_names

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "tables")
    parser.add_argument("--tables", nargs="+", default=NAMES, metavar="NAME", help=" ".join(NAMES))
    for field in fields(Budget):
        kind = float if field.name == "minutes" else int
        flag = "--" + field.name.replace("_", "-")
        parser.add_argument(flag, type=kind, default=field.default)
    given = vars(parser.parse_args())
    out, names = given.pop("out"), given.pop("tables")
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begin:6.0f} s  {text}", file=sys.stderr, flush=True)

    def run() -> None:
        check_names(names)
        print(Tables(out, Budget(**given), say).run(names))

    return exit_code_of(run)


if __name__ == "__main__":
    raise SystemExit(main())
