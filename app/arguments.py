"""The words of the command line: verbs, their options, and what each may be."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from app.argument_types import count, frame_rate, inner_share, output, pixel_size, positive, seed
from app.edit_verb import add_edit

VARIANTS = ("lite", "r50")
EXIT_CODES = """exit codes:
  0    done, and what was looked at is well
  1    doctor or verify found something wrong, or live --headless --follow followed nobody
  2    a mistake in what was asked (option, file, port, weights): one line says where and what to do
  130  interrupted"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, not the whole usage."""
        print(f"{self.prog}: {message}; see '{self.prog} --help'", file=sys.stderr)
        raise SystemExit(2)


def _add_rig(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rig", type=Path, help="rig file (TOML); default: the simulated rig")


def _add_scale(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--um-per-px", type=pixel_size, help="pixel size, micrometres")
    parser.add_argument("--fps", type=frame_rate, help="frame rate, where the file's is wrong")


def _add_criteria(parser: _Parser) -> None:
    parser.add_argument(
        "--criteria", default="who6_wet", metavar="PROFILE",
        help="what is normal: who6_wet, pvp, who6_stained, paper, or a TOML file",
    )  # fmt: skip


def _add_live(verbs: argparse._SubParsersAction[_Parser], common: _Parser) -> None:
    parser = verbs.add_parser("live", parents=[common], help="run the rig")
    _add_rig(parser)
    parser.add_argument("--headless", type=positive, metavar="SECONDS", help="without a display")
    parser.add_argument("--follow", default="none", help="best, none, or a track's number")
    parser.add_argument("--variant", choices=VARIANTS)
    parser.add_argument("--device", help="cpu or cuda")
    parser.add_argument("--out", type=output, help="folder for the session's records")
    parser.add_argument("--record", action="store_true", help="keep the film, too (lossless)")
    parser.set_defaults(verb="live")

    parser = verbs.add_parser("doctor", parents=[common], help="check the rig")
    _add_rig(parser)
    parser.add_argument("--variant", choices=VARIANTS)
    parser.add_argument("--device", help="cpu or cuda")
    parser.add_argument("--out", type=output, help="folder of the sessions; default: runs")
    parser.set_defaults(verb="doctor")

    parser = verbs.add_parser("verify", parents=[common], help="check a session's journal")
    parser.add_argument("session", type=Path, help="a session's folder, or its journal.jsonl")
    parser.set_defaults(verb="verify")

    parser = verbs.add_parser("emulate", parents=[common], help="serve an emulated instrument")
    parser.add_argument("instrument", choices=("proscan", "mp285"))
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--tcp", metavar="HOST:PORT", help="loopback only; port 0: any free one")
    where.add_argument("--pty", metavar="LINK", help="a terminal device, not on Windows")
    parser.add_argument("--variant", help="model of the instrument")
    parser.add_argument("--baud", help="rate of its line; the variant's own without")
    parser.add_argument("--fault", metavar="SPEC", help="fault schedule")
    parser.set_defaults(verb="emulate")


def _add_calibrate(verbs: argparse._SubParsersAction[_Parser], common: _Parser) -> None:
    parser = verbs.add_parser("calibrate", parents=[common], help="measure the rig")
    known = (
        "pixel", "stage", "latency", "check", "check-ruling", "check-beads", "pipette", "drift",
        "touch-down",
    )  # fmt: skip
    parser.add_argument("procedure", choices=known)
    _add_rig(parser)
    parser.add_argument("--image", type=Path, help="picture of a micrometer: pixel, check")
    parser.add_argument("--division", type=positive, default=10.0, help="of the micrometer, um")
    parser.add_argument(
        "--line", type=float, nargs=4, metavar="PX", help="by hand: x0 y0 x1 y1 in the picture"
    )
    parser.add_argument("--length", type=positive, help="what that line measures, um")
    parser.add_argument(
        "--bead", type=positive, metavar="UM", help="diameter of the beads: check-beads, check"
    )
    parser.add_argument("--objective", type=positive, help="of the picture: 20 for 20x")
    parser.add_argument(
        "--camera-pixel", type=positive, metavar="UM", help="of the picture, times the binning"
    )
    parser.add_argument("--operator", default="", help="who accepts the result; saves it")
    parser.add_argument("--out", type=output, help="calibration file, instead of the rig's own")
    parser.add_argument("--picture", type=Path, help="write what was detected")
    parser.set_defaults(verb="calibrate")


def _add_analysis(verbs: argparse._SubParsersAction[_Parser], common: _Parser) -> None:
    parser = verbs.add_parser("analyze", parents=[common], help="recordings to tables")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--out", type=output, required=True)
    _add_scale(parser)
    _add_criteria(parser)
    parser.add_argument("--overlay", action="store_true", help="write an overlay video")
    parser.add_argument("--labelme", action="store_true", help="write predictions to correct")
    parser.add_argument("--workers", type=count, default=1, help="recordings at the same time")
    parser.set_defaults(verb="analyze")

    parser = verbs.add_parser("track", parents=[common], help="detections.csv to tracks.csv")
    parser.add_argument("detections", type=Path)
    parser.add_argument("--out", type=output, required=True)
    _add_scale(parser)
    _add_criteria(parser)
    parser.add_argument("--online", action="store_true", help="filtered, not smoothed")
    parser.set_defaults(verb="track")

    parser = verbs.add_parser("specimen", parents=[common], help="labelled synthetic recording")
    parser.add_argument("--out", type=output, required=True)
    parser.add_argument("--profile", choices=("exam", "train"), default="exam")
    parser.add_argument("--frames", type=count, default=60)
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument("--modality", choices=("brightfield", "phase"), default="brightfield")
    parser.add_argument("--density", type=positive, help="sperm in view")
    parser.add_argument("--objective", type=int, choices=(20, 40, 100), default=20)
    parser.add_argument("--fps", type=frame_rate, default=30.0, help="frame rate")
    parser.add_argument("--labelme", action="store_true", help="labelme JSON for every frame, too")
    parser.set_defaults(verb="specimen")


def _add_network(verbs: argparse._SubParsersAction[_Parser], common: _Parser) -> None:
    parser = verbs.add_parser("train", parents=[common], help="train the network")
    parser.add_argument("task", choices=("detect", "segment", "joint"))
    parser.add_argument("--data", type=Path, nargs="+", default=[])
    parser.add_argument("--out", type=output, required=True)
    parser.add_argument("--preset", choices=("paper", "lite", "tune"), help="default: lite")
    start = "weights to start from: a file, 'lite' as shipped, or a ResNet50"
    parser.add_argument("--init", type=Path, metavar="WEIGHTS", help=start)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--minutes", type=positive, help="end after this time")
    parser.add_argument("--hold-out", type=float, metavar="SHARE",
                        help="take scores on this share of the recordings")  # fmt: skip
    parser.add_argument("--skip-bad", action="store_true", help="leave out what cannot be read")
    parser.add_argument("--device", default="cpu")
    parser.set_defaults(verb="train")

    parser = verbs.add_parser("evaluate", parents=[common], help="score a detector")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--weights", type=Path, help="TorchScript archive; default: as shipped")
    parser.add_argument("--variant", choices=VARIANTS, default="lite")
    detectors = ("sfcnet", "threshold", "threshold-specimen")
    said = "thresholding is tuned on recordings, or on the specimen alone"
    parser.add_argument("--detector", choices=detectors, default="sfcnet", help=said)
    parser.add_argument("--um-per-px", type=pixel_size, help="pixel size, micrometres")
    parser.add_argument("--skip-bad", action="store_true", help="leave out what cannot be read")
    parser.add_argument("--resample", type=positive, metavar="SCALE",
                        help="show frames at this size: 0.5 for 40x to weights of 20x")  # fmt: skip
    parser.add_argument("--box-scale", type=positive, help="factor on the boxes found; default: 1")
    parser.add_argument("--fit-box-scale", metavar="RECORDING",
                        help="fit it on this recording, and score on all others")  # fmt: skip
    parser.add_argument("--device", default="cpu")
    parser.set_defaults(verb="evaluate")

    parser = verbs.add_parser("convert", parents=[common], help="labels of one kind to another")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=output, required=True, help="a new or empty folder")
    kinds = ("labelme", "coco", "voc", "mot", "specimen")
    parser.add_argument("--to", choices=kinds, required=True)
    parser.add_argument("--hold-out", type=float, default=0.0, metavar="SHARE",
                        help="this share of the frames, by recording, into 'test'")  # fmt: skip
    parser.add_argument("--skip-bad", action="store_true", help="leave out what cannot be read")
    parser.set_defaults(verb="convert")

    parser = verbs.add_parser("export", parents=[common], help="TorchScript archive, manifest")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=output, required=True)
    parser.add_argument("--half", action="store_true", help="weights in half precision")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--threshold", type=inner_share, metavar="SCORE",
                        help="report no detection that scores less")  # fmt: skip
    chosen.add_argument("--data", type=Path, nargs="+", default=[], metavar="DIR",
                        help="choose it on these labelled frames")  # fmt: skip
    parser.add_argument("--skip-bad", action="store_true", help="leave out what cannot be read")
    parser.set_defaults(verb="export")

    bench = verbs.add_parser("bench", help="measure speed").add_subparsers(
        dest="what", required=True
    )
    parser = bench.add_parser("network", parents=[common], help="both tasks at 640x480")
    parser.add_argument("--variant", choices=VARIANTS, default="lite")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--half", action="store_true")
    parser.set_defaults(verb="bench_network")

    parser = bench.add_parser("tracker", parents=[common], help="association and whole step")
    parser.add_argument("--targets", type=count, default=50)
    parser.add_argument("--versus", choices=["stonesoup"], help="compare with it")
    parser.set_defaults(verb="bench_tracker")

    parser = bench.add_parser("specimen", parents=[common], help="a frame of the specimen")
    parser.add_argument("--sperm", type=count, default=40, help="in view")
    parser.add_argument("--modality", choices=("brightfield", "phase"), default="brightfield")
    parser.set_defaults(verb="bench_specimen")

    parser = bench.add_parser("live", parents=[common], help="the loop under load")
    _add_rig(parser)
    parser.add_argument("--seconds", type=positive, default=30.0)
    parser.set_defaults(verb="bench_live")

    parser = bench.add_parser("servo", parents=[common], help="following, in virtual time")
    _add_rig(parser)
    parser.add_argument("--speed", type=positive, default=50.0, help="of the sperm, um/s")
    parser.add_argument("--seconds", type=positive, default=30.0, help="of each run")
    parser.add_argument("--runs", type=count, default=20)
    parser.set_defaults(verb="bench_servo")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all verbs."""
    parser = _Parser(
        prog="sfcscope",
        description="Real-time microscope control for sperm selection. Research use only.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = _Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="last line: one JSON object")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _add_live(verbs, common)
    _add_calibrate(verbs, common)
    _add_analysis(verbs, common)
    add_edit(verbs, common)
    _add_network(verbs, common)
    return parser
