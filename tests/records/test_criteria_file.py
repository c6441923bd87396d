"""Criteria by name or from a file of one's own."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from app.config import RigConfig, load_rig
from app.records.criteria import load_criteria
from app.runtime.analysis import analyze
from models.errors import ModelError

TEXT = resources.files("models.measure").joinpath("profiles", "pvp.toml").read_text("utf-8")


def test_a_name_or_a_file(tmp_path: Path) -> None:
    assert load_criteria("paper").name == "paper"
    assert load_criteria(RigConfig().criteria).name == "who6_wet"
    mine = tmp_path / "mine.toml"
    mine.write_text(TEXT.replace('name = "pvp"', 'name = "mine"').replace("13.5", "14.5", 1))
    assert load_criteria(str(mine)).name == "mine"
    capitals = tmp_path / "MINE.TOML"
    capitals.write_bytes(b"\xef\xbb\xbf" + mine.read_bytes())  # as Windows' editors write it
    assert load_criteria(str(capitals)).name == "mine"


def test_no_other_criteria_take_the_name_of_those_that_come_with_the_program(
    tmp_path: Path,
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(TEXT, encoding="utf-8")
    assert load_criteria(str(mine)).name == "pvp"  # it says the same: no harm
    mine.write_text(TEXT.replace("13.5", "14.5"), encoding="utf-8")
    with pytest.raises(ModelError, match="'pvp' is a profile that comes with the program"):
        load_criteria(str(mine))


@pytest.mark.parametrize(
    ("change", "message"),
    [(("low = 2.5", "low = 9.5"), "worst_low < low"), (("weight", "wieght"), "wieght")],
)
def test_a_bad_file_gets_one_line_with_its_name(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(TEXT.replace(*change))
    with pytest.raises(ModelError, match=message) as caught:
        load_criteria(str(mine))
    assert "mine.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_told_before_any_work(tmp_path: Path) -> None:
    for name in ("best", str(tmp_path / "none.toml")):
        with pytest.raises(ModelError, match=r"no such (profile|file)"):
            load_criteria(name)
    with pytest.raises(ModelError, match="no such profile"):
        load_criteria("")


def test_a_rig_names_its_criteria_relative_to_its_file(tmp_path: Path) -> None:
    rig = tmp_path / "rig.toml"
    rig.write_text('version = 1\ncriteria = "mine.toml"\n')
    assert Path(load_rig(rig).criteria) == tmp_path / "mine.toml"
    rig.write_text('version = 1\ncriteria = "MINE.TOML"\n')
    assert Path(load_rig(rig).criteria) == tmp_path / "MINE.TOML"
    rig.write_text('version = 1\ncriteria = "pvp"\n')
    assert load_rig(rig).criteria == "pvp"


def test_analyze_refuses_unknown_criteria(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such profile"):
        analyze([tmp_path / "a.mkv"], tmp_path, criteria="best")
