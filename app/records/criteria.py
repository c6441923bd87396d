"""Which criteria a person asked for: a name that comes with the program, or a file of one's own."""

from __future__ import annotations

from pathlib import Path

from models.errors import ModelError
from models.measure.profile import CriteriaProfile, named_profile, parse_profile


def load_criteria(name: str) -> CriteriaProfile:
    """Return the profile of that name, or read the TOML file ``name``.

    Raises
    ------
    ModelError
        No such profile, or a file that is none; one line.
    """
    if not name.endswith(".toml"):
        return named_profile(name)
    try:
        text = Path(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModelError(f"{name}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{name}: cannot be read ({error}); check the file") from error
    return parse_profile(text, name)
