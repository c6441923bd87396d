"""Which criteria a person asked for: a name that comes with the program, or a file of one's own."""

from __future__ import annotations

from pathlib import Path

from models.errors import ModelError
from models.measure.profile import CriteriaProfile, named_profile, parse_profile, profile_names


def load_criteria(name: str) -> CriteriaProfile:
    """Return the profile of that name, or read the TOML file ``name``.

    Raises
    ------
    ModelError
        No such profile, a file that is none, or one that takes the name of a profile that comes
        with the program and says something else; one line.
    """
    if not name.lower().endswith(".toml"):
        return named_profile(name)
    try:
        text = Path(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModelError(f"{name}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{name}: cannot be read ({error}); check the file") from error
    found = parse_profile(text, name)
    # The name is what the record of an analysis says: it must not stand for two things.
    if found.name in profile_names() and found != named_profile(found.name):
        raise ModelError(
            f"{name}: name: '{found.name}' is a profile that comes with the program, and this one "
            "says something else; give it a name of its own"
        )
    return found
