"""What a verb says, where it says it, and the exit code that goes with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app import cli
from app.arguments import EXIT_CODES, build_parser
from app.records.journal import Journal

RIG = 'version = 1\n[network]\ndetector = "threshold"\n'
NO_STAGE = RIG + '[stage]\nurl = "socket://127.0.0.1:9"\n'


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    path = tmp_path / "rig.toml"
    path.write_text(RIG, encoding="utf-8")
    return path


def words_of_every_verb() -> list[list[str]]:
    """The shortest command of each verb."""
    return [
        ["live"], ["doctor"], ["verify", "s"], ["emulate", "proscan", "--tcp", "127.0.0.1:0"],
        ["calibrate", "pixel"], ["analyze", "a.mp4", "--out", "o"],
        ["track", "d.csv", "--out", "o"], ["edit", "o", "--delete", "3"],
        ["specimen", "--out", "o"],
        ["train", "joint", "--out", "o"], ["evaluate", "--data", "d"],
        ["convert", "--data", "d", "--out", "o", "--to", "coco"],
        ["export", "--weights", "w", "--out", "o"], ["bench", "network"], ["bench", "tracker"],
        ["bench", "specimen"], ["bench", "live"], ["bench", "servo"],
    ]  # fmt: skip


def test_every_verb_has_a_function_and_json() -> None:
    parser = build_parser()
    chosen = [parser.parse_args([*words, "--json"]) for words in words_of_every_verb()]
    assert {options.verb for options in chosen} == set(cli.VERBS)
    assert all(options.json for options in chosen)


def test_the_exit_codes_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    assert EXIT_CODES in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["bench", "servo", "--runs", "0"],
        ["bench", "tracker", "--targets", "-3"],
        ["specimen", "--out", "o", "--frames", "many"],
        ["live", "--headless", "inf"],
        ["specimen", "--out", "o", "--seed", "-1"],
        ["track", "d.csv", "--out", "o", "--um-per-px", "1e300"],
        ["analyze", "a.mp4", "--out", "o", "--um-per-px", "1e-300"],
        ["track", "d.csv", "--out", "o", "--fps", "1e9"],
        ["track", "d.csv", "--out", ""],
        ["analyse"],
        [],
    ],
)
def test_a_wrong_word_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("sfcscope")
    assert line.endswith("--help'")


def test_the_doctor_says_each_thing_once(rig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--rig", str(rig), "--out", str(rig.parent)]) == 0
    said, beside = capsys.readouterr()
    assert beside == ""
    assert [line[:5] for line in said.splitlines()] == ["ok   "] * 4
    assert cli.main(["doctor", "--rig", str(rig), "--out", str(rig.parent), "--json"]) == 0
    out, beside = capsys.readouterr()
    assert beside == said
    (document,) = out.splitlines()
    checks = json.loads(document)["checks"]
    assert [check["name"] for check in checks] == ["camera", "detector", "calibration", "disk"]
    assert set(checks[0]) == {"name", "ok", "detail", "hint"}


def test_what_the_doctor_finds_is_1_and_what_it_was_told_wrongly_is_2(
    rig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.write_text(NO_STAGE, encoding="utf-8")
    assert cli.main(["doctor", "--rig", str(rig), "--out", str(rig.parent)]) == 1
    told = capsys.readouterr().out.splitlines()
    (failed,) = [line for line in told if line.startswith("FAIL stage port: ")]
    # A list of serial ports would not help somebody whose server does not listen.
    assert "socket://127.0.0.1:9" in failed
    assert "ports found" not in failed
    assert "listens" in failed
    assert cli.main(["doctor", "--rig", str(rig.with_name("none.toml"))]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_doctor_looks_at_the_disk_that_the_sessions_go_to(
    rig: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rig.parent)
    cli.main(["doctor", "--rig", str(rig)])
    assert f"free for {rig.parent / 'runs'}" in capsys.readouterr().out
    below = rig.parent / "not" / "there" / "yet"
    assert cli.main(["doctor", "--rig", str(rig), "--out", str(below)]) == 0
    assert f"free for {below}" in capsys.readouterr().out
    assert not below.exists()
    assert cli.main(["doctor", "--rig", str(rig), "--out", str(rig / "below")]) == 1
    assert f"FAIL disk: {rig} is a file -> choose a folder" in capsys.readouterr().out


def test_what_is_not_calibrated_yet_is_one_finding_and_not_three(
    rig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.write_text('calibration = "none.toml"\n' + RIG, encoding="utf-8")
    assert cli.main(["doctor", "--rig", str(rig), "--out", str(rig.parent)]) == 1
    (failed,) = [line for line in capsys.readouterr().out.splitlines() if line[:2] != "ok"]
    assert failed.startswith(f"FAIL calibration: {rig.with_name('none.toml')}: no such file -> ")
    assert "sfcscope calibrate" in failed


@pytest.mark.parametrize(
    "words",
    [
        ["live", "--headless", "9", "--device", "cuda", "--rig"],
        ["doctor", "--device", "cuda", "--rig"],
        ["doctor", "--variant", "r50", "--rig"],
        ["evaluate", "--detector", "threshold", "--device", "cuda", "--data"],
        ["evaluate", "--detector", "threshold-specimen", "--device", "cuda:1", "--data"],
        ["evaluate", "--detector", "threshold", "--weights", "w.pt", "--data"],
    ],
)
def test_thresholding_has_no_device_and_no_variant(
    words: list[str], rig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*words, str(rig)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "leave" in line


def test_a_factor_on_the_boxes_is_named_or_fitted(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "--data", "d", "--box-scale", "1.2", "--fit-box-scale", "film"]
    assert cli.main(words) == 2
    assert "--box-scale 1.2: --fit-box-scale finds it" in capsys.readouterr().err


def test_thresholding_on_a_gpu_is_refused_in_a_rig_file(
    rig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.write_text(RIG + 'device = "cuda"\n', encoding="utf-8")
    assert cli.main(["doctor", "--rig", str(rig)]) == 2
    assert 'rig.toml:4: network.device = "cuda" is not allowed' in capsys.readouterr().err


def test_a_journal_is_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for k in range(3):
        journal.write("note", float(k), {"text": f"entry {k}"})
    journal.close()
    for asked in (tmp_path, tmp_path / "journal.jsonl"):
        assert cli.main(["verify", str(asked), "--json"]) == 0
        good = json.loads(capsys.readouterr().out)
        assert good == {"ok": True, "entries": 3, "first_bad": None}
    text = (tmp_path / "journal.jsonl").read_text(encoding="utf-8")
    (tmp_path / "journal.jsonl").write_text(text.replace("entry 1", "entry 7"), encoding="utf-8")
    assert cli.main(["verify", str(tmp_path)]) == 1
    assert capsys.readouterr().out.split() == "ok no entries 1 first_bad 2".split()
    assert cli.main(["verify", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: cannot be read" in capsys.readouterr().err
