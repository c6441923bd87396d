"""Which criteria a person asked for: a name that comes with the program, or a file of one's own.

An analysis keeps the text of its criteria, so that it can be judged by them at any later time and
in any place, whatever has become of the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from models.errors import DataError, ModelError
from models.measure.profile import (
    CriteriaProfile,
    named_profile,
    names_a_file,
    parse_profile,
    profile_names,
)


@dataclass(frozen=True, slots=True)
class Criteria:
    """A profile and where it comes from.

    Attributes
    ----------
    profile : CriteriaProfile
    source : str
        A name that comes with the program, or the absolute path of a file.
    text : str
        The TOML that the profile was read from.
    """

    profile: CriteriaProfile
    source: str
    text: str

    @property
    def sha256(self) -> str:
        """Of the text, as of the file's bytes."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()

    def record(self) -> dict[str, str]:
        """Say what analysis.json keeps of it, from which ``kept_criteria`` makes it again."""
        return {
            "name": self.profile.name, "source": self.source, "sha256": self.sha256,
            "text": self.text,
        }  # fmt: skip

    def changed(self) -> str:
        """Say how the source differs now; empty where it does not, or is not here any more."""
        if names_a_file(self.source) and not Path(self.source).is_file():
            return ""
        try:
            now = read_criteria(self.source).sha256
        except ModelError:
            now = ""
        if now == self.sha256:
            return ""
        return (
            f"criteria {self.source} have changed since this analysis; it is judged by those that "
            f"it was made with (sha256 {self.sha256[:12]}); analyse again to judge by the new ones"
        )


def load_criteria(name: str) -> CriteriaProfile:
    """Return the profile of that name, or read the TOML file ``name``.

    Raises
    ------
    ModelError
        No such profile, a file that is none, or one that takes the name of a profile that comes
        with the program and says something else; one line.
    """
    return read_criteria(name).profile


def read_criteria(name: str) -> Criteria:
    """Return the profile of that name, or of the TOML file ``name``, with its text.

    Raises
    ------
    ModelError
        As ``load_criteria`` does.
    """
    if not names_a_file(name):
        profile = named_profile(name)
        file = resources.files("models.measure").joinpath("profiles", f"{name}.toml")
        return Criteria(profile, name, file.read_text(encoding="utf-8"))
    try:
        text = Path(name).read_bytes().decode("utf-8")
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
    return Criteria(found, str(Path(name).resolve()), text)


def kept_criteria(record: object, where: Path) -> Criteria:
    """Make the criteria again from what ``Criteria.record`` said, found in the file ``where``.

    Raises
    ------
    DataError
        They are damaged.
    ModelError
        The program does not understand them any more.
    """
    if not isinstance(record, Mapping) or not all(
        isinstance(record.get(key), str) for key in ("source", "sha256", "text")
    ):
        raise DataError(f"{where}: criteria_profile is damaged; analyse the recording again")
    text = str(record["text"])
    if hashlib.sha256(text.encode("utf-8")).hexdigest() != record["sha256"]:
        raise DataError(
            f"{where}: criteria_profile was changed (its sha256 is another); analyse again with "
            "--criteria to judge otherwise"
        )
    return Criteria(parse_profile(text, f"{where}: criteria_profile"), str(record["source"]), text)
