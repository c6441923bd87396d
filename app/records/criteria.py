"""Which criteria a person asked for: a name that comes with the program, or a file of one's own."""

from __future__ import annotations

from pathlib import Path

from calibration.toml_file import TomlError, read_toml
from models.errors import ModelError
from models.measure.profile import CriteriaProfile, named_profile


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
        return read_toml(Path(name), CriteriaProfile)
    except TomlError as error:
        raise ModelError(str(error)) from error
