"""The command line: one function per verb.

Every verb has ``--json``: the last line on standard output is then one JSON object. Exit code 0
only on success; a user's mistake gives one line on standard error and exit code 2.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from app.argument_types import count, positive, seed
from app.config import ConfigError, RigConfig, load_rig, simulated_rig, with_network
from calibration.errors import CalibrationError
from drivers.errors import DeviceError
from models.errors import ModelError

Result = dict[str, object]
Verb = Callable[[argparse.Namespace], Result]

USER_ERRORS = (ConfigError, CalibrationError, DeviceError, ModelError)
VARIANTS = ("lite", "r50")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, not the whole usage."""
        print(f"{self.prog}: {message}; see '{self.prog} --help'", file=sys.stderr)
        raise SystemExit(2)


def _rig(options: argparse.Namespace) -> RigConfig:
    return load_rig(options.rig) if options.rig else simulated_rig()


def live(options: argparse.Namespace) -> Result:
    """Run the rig: the simulated one unless ``--rig`` names a file."""
    from app.ui.live import run_live

    return run_live(
        _rig(options),
        headless_s=options.headless,
        follow=options.follow,
        out=options.out,
        variant=options.variant,
        device=options.device,
        record=options.record,
    )


def analyze(options: argparse.Namespace) -> Result:
    """Turn recordings into tables and an overlay video."""
    from app.runtime.analysis import analyze as run

    return run(
        options.paths,
        options.out,
        um_per_px=options.um_per_px,
        fps=options.fps,
        overlay=options.overlay,
        labelme=options.labelme,
        criteria=options.criteria,
        workers=options.workers,
    )


def track(options: argparse.Namespace) -> Result:
    """Turn a table of detections into tracks, without pictures."""
    from app.runtime.analysis import track as run

    return run(
        options.detections,
        options.out,
        um_per_px=options.um_per_px,
        fps=options.fps,
        online=options.online,
        criteria=options.criteria,
    )


def specimen(options: argparse.Namespace) -> Result:
    """Write a labelled synthetic recording."""
    from models.specimen.recording import write_recording

    return write_recording(
        options.out,
        profile=options.profile,
        frames=options.frames,
        seed=options.seed,
        modality=options.modality,
        density=options.density,
        objective=options.objective,
        fps=options.fps,
        labelme=options.labelme,
    )


def train(options: argparse.Namespace) -> Result:
    """Train the network."""
    from models.training.train import train as run

    return run(
        options.task,
        options.data,
        options.out,
        preset=options.preset,
        init=options.init,
        resume=options.resume,
        device=options.device,
        skip_bad=options.skip_bad,
        minutes=options.minutes,
        held_out=options.hold_out,
    )


def evaluate(options: argparse.Namespace) -> Result:
    """Score a detector on labelled data; print it in the paper's layout."""
    from models.detector import Detector
    from models.training.evaluation import evaluate as run
    from models.training.evaluation import evaluate_fitted
    from models.training.paper_layout import beside_the_paper

    detector: Detector
    if options.detector == "threshold":
        from models.threshold import ThresholdDetector

        detector = ThresholdDetector()
    elif options.detector == "threshold-specimen":
        from models.training.specimen_threshold import specimen_threshold

        detector = specimen_threshold()
    else:
        from models.sfcnet.manifest import shipped_archive
        from models.sfcnet.runtime import SFCNetDetector

        # Average precision needs the whole curve: far more boxes than are shown to a person.
        archive = options.weights or shipped_archive(options.variant)
        detector = SFCNetDetector(archive, device=options.device, score_threshold=0.02)
    common = {"um_per_px": options.um_per_px, "skip_bad": options.skip_bad}
    if options.fit_box_scale:
        scores = evaluate_fitted(detector, options.data, options.fit_box_scale, **common)
    else:
        scores = run(detector, options.data, box_scale=options.box_scale, **common)
    print(beside_the_paper(scores))
    return scores


def convert(options: argparse.Namespace) -> Result:
    """Turn labelled data of one kind into another."""
    from models.training.convert import convert as run

    return run(
        options.data,
        options.out,
        to=options.to,
        hold_out=options.hold_out,
        skip_bad=options.skip_bad,
    )


def export(options: argparse.Namespace) -> Result:
    """Write weights as a TorchScript archive with its manifest."""
    from models.sfcnet.export import export as run

    return run(options.weights, options.out, half=options.half)


def bench_network(options: argparse.Namespace) -> Result:
    """Time the exported network."""
    from models.sfcnet.bench import bench_network as run

    return run(options.variant, options.device, half=options.half)


def bench_tracker(options: argparse.Namespace) -> Result:
    """Time association and the tracker's whole step."""
    from models.tracking.bench import bench_tracker as run

    return run(options.targets, versus=options.versus)


def bench_specimen(options: argparse.Namespace) -> Result:
    """Time frames of the specimen."""
    from models.specimen.bench import bench_specimen as run

    return run(options.sperm, options.modality)


def bench_live(options: argparse.Namespace) -> Result:
    """Run the loop under load and watch the processor and the memory."""
    from app.ui.live import bench_live as run

    return run(_rig(options), seconds=options.seconds)


def bench_servo(options: argparse.Namespace) -> Result:
    """Follow a sperm of known speed on the simulated rig, in virtual time."""
    from app.rig.bench_servo import bench_servo as run

    return run(_rig(options), options.speed, options.seconds, options.runs)


def emulate(options: argparse.Namespace) -> Result:
    """Serve an emulated instrument to any client until interrupted."""
    from drivers.emulators.serve import main as serve

    where = ["--pty", options.pty] if options.pty else ["--tcp", options.tcp]
    extra = [
        word
        for name in ("variant", "fault")
        if (value := getattr(options, name))
        for word in (f"--{name}", value)
    ]
    code = serve([options.instrument, *where, *extra, "--until-interrupted"])
    if code:
        raise SystemExit(code)
    return {"endpoint": options.pty or options.tcp}


def calibrate(options: argparse.Namespace) -> Result:
    """Measure the rig, or a picture of a micrometer; keep what an operator accepts."""
    from app.rig.calibrate import calibrate as run

    return run(
        _rig(options),
        options.procedure,
        image=options.image,
        division_um=options.division,
        line_px=options.line,
        length_um=options.length,
        plausible=options.rig is not None,
        operator=options.operator,
        out=options.out,
        picture=options.picture,
        ask=not options.json and sys.stdin is not None and sys.stdin.isatty(),
    )


def doctor(options: argparse.Namespace) -> Result:
    """Check camera, ports, device, weights, calibration and disk: one line each."""
    from app.rig import doctor as run

    config = with_network(_rig(options), options.variant, options.device)
    checks = run(config)["checks"]
    for check in checks:
        mark = "ok  " if check["ok"] else "FAIL"
        hint = "" if check["ok"] or not check["hint"] else f" -> {check['hint']}"
        print(f"{mark} {check['name']}: {check['detail']}{hint}", file=sys.stderr)
    return {"ok": all(check["ok"] for check in checks), "checks": [dict(c) for c in checks]}


def _add_rig(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rig", type=Path, help="rig file (TOML); default: the simulated rig")


def _add_scale(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--um-per-px", type=positive, help="pixel size, micrometres")
    parser.add_argument("--fps", type=positive, help="frame rate, where the file's is wrong")


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
    parser.add_argument("--out", type=Path, help="folder for the session's records")
    parser.add_argument("--record", action="store_true", help="keep the film, too (lossless)")
    parser.set_defaults(verb=live)

    parser = verbs.add_parser("doctor", parents=[common], help="check the rig")
    _add_rig(parser)
    parser.add_argument("--variant", choices=VARIANTS)
    parser.add_argument("--device", help="cpu or cuda")
    parser.set_defaults(verb=doctor)

    parser = verbs.add_parser("emulate", parents=[common], help="serve an emulated instrument")
    parser.add_argument("instrument", choices=("proscan", "mp285"))
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--tcp", metavar="HOST:PORT", help="loopback only; port 0: any free one")
    where.add_argument("--pty", metavar="LINK", help="a terminal device, not on Windows")
    parser.add_argument("--variant", help="model of the instrument")
    parser.add_argument("--fault", metavar="SPEC", help="fault schedule")
    parser.set_defaults(verb=emulate)


def _add_calibrate(verbs: argparse._SubParsersAction[_Parser], common: _Parser) -> None:
    parser = verbs.add_parser("calibrate", parents=[common], help="measure the rig")
    known = ("pixel", "stage", "latency", "pipette", "check", "drift", "touch-down")
    parser.add_argument("procedure", choices=known)
    _add_rig(parser)
    parser.add_argument("--image", type=Path, help="picture of a micrometer, instead of a camera")
    parser.add_argument("--division", type=positive, default=10.0, help="of the micrometer, um")
    parser.add_argument(
        "--line", type=float, nargs=4, metavar="PX", help="by hand: x0 y0 x1 y1 in the picture"
    )
    parser.add_argument("--length", type=positive, help="what that line measures, um")
    parser.add_argument("--operator", default="", help="who accepts the result; saves it")
    parser.add_argument("--out", type=Path, help="calibration file, instead of the rig's own")
    parser.add_argument("--picture", type=Path, help="write what was detected")
    parser.set_defaults(verb=calibrate)


def _add_analysis(verbs: argparse._SubParsersAction[_Parser], common: _Parser) -> None:
    parser = verbs.add_parser("analyze", parents=[common], help="recordings to tables")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--out", type=Path, required=True)
    _add_scale(parser)
    _add_criteria(parser)
    parser.add_argument("--overlay", action="store_true", help="write an overlay video")
    parser.add_argument("--labelme", action="store_true", help="write predictions to correct")
    parser.add_argument("--workers", type=count, default=1, help="recordings at the same time")
    parser.set_defaults(verb=analyze)

    parser = verbs.add_parser("track", parents=[common], help="detections.csv to tracks.csv")
    parser.add_argument("detections", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    _add_scale(parser)
    _add_criteria(parser)
    parser.add_argument("--online", action="store_true", help="filtered, not smoothed")
    parser.set_defaults(verb=track)

    parser = verbs.add_parser("specimen", parents=[common], help="labelled synthetic recording")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--profile", choices=("exam", "train"), default="exam")
    parser.add_argument("--frames", type=count, default=60)
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument("--modality", choices=("brightfield", "phase"), default="brightfield")
    parser.add_argument("--density", type=positive, help="sperm in view")
    parser.add_argument("--objective", type=int, choices=(20, 40, 100), default=20)
    parser.add_argument("--fps", type=positive, default=30.0, help="frame rate")
    parser.add_argument("--labelme", action="store_true", help="labelme JSON for every frame, too")
    parser.set_defaults(verb=specimen)


def _add_network(verbs: argparse._SubParsersAction[_Parser], common: _Parser) -> None:
    parser = verbs.add_parser("train", parents=[common], help="train the network")
    parser.add_argument("task", choices=("detect", "segment", "joint"))
    parser.add_argument("--data", type=Path, nargs="+", default=[])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", choices=("paper", "lite", "tune"), default="lite")
    start = "weights to start from: a file, 'lite' as shipped, or a ResNet50"
    parser.add_argument("--init", type=Path, metavar="WEIGHTS", help=start)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--minutes", type=positive, help="end after this time")
    parser.add_argument("--hold-out", type=float, metavar="SHARE",
                        help="take scores on this share of the recordings")  # fmt: skip
    parser.add_argument("--skip-bad", action="store_true", help="leave out what cannot be read")
    parser.add_argument("--device", default="cpu")
    parser.set_defaults(verb=train)

    parser = verbs.add_parser("evaluate", parents=[common], help="score a detector")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--weights", type=Path, help="TorchScript archive; default: as shipped")
    parser.add_argument("--variant", choices=VARIANTS, default="lite")
    detectors = ("sfcnet", "threshold", "threshold-specimen")
    said = "thresholding is tuned on recordings, or on the specimen alone"
    parser.add_argument("--detector", choices=detectors, default="sfcnet", help=said)
    parser.add_argument("--um-per-px", type=positive, help="pixel size, micrometres")
    parser.add_argument("--skip-bad", action="store_true", help="leave out what cannot be read")
    parser.add_argument("--box-scale", type=positive, default=1.0)
    parser.add_argument("--fit-box-scale", metavar="RECORDING",
                        help="fit it on this recording, and score on all others")  # fmt: skip
    parser.add_argument("--device", default="cpu")
    parser.set_defaults(verb=evaluate)

    parser = verbs.add_parser("convert", parents=[common], help="labels of one kind to another")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True, help="a new or empty folder")
    kinds = ("labelme", "coco", "voc", "mot", "specimen")
    parser.add_argument("--to", choices=kinds, required=True)
    parser.add_argument("--hold-out", type=float, default=0.0, metavar="SHARE",
                        help="this share of the frames, by recording, into 'test'")  # fmt: skip
    parser.add_argument("--skip-bad", action="store_true", help="leave out what cannot be read")
    parser.set_defaults(verb=convert)

    parser = verbs.add_parser("export", parents=[common], help="TorchScript archive, manifest")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--half", action="store_true")
    parser.set_defaults(verb=export)

    bench = verbs.add_parser("bench", help="measure speed").add_subparsers(
        dest="what", required=True
    )
    parser = bench.add_parser("network", parents=[common], help="both tasks at 640x480")
    parser.add_argument("--variant", choices=VARIANTS, default="lite")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--half", action="store_true")
    parser.set_defaults(verb=bench_network)

    parser = bench.add_parser("tracker", parents=[common], help="association and whole step")
    parser.add_argument("--targets", type=int, default=50)
    parser.add_argument("--versus", choices=["stonesoup"], help="compare with it")
    parser.set_defaults(verb=bench_tracker)

    parser = bench.add_parser("specimen", parents=[common], help="a frame of the specimen")
    parser.add_argument("--sperm", type=int, default=40, help="in view")
    parser.add_argument("--modality", choices=("brightfield", "phase"), default="brightfield")
    parser.set_defaults(verb=bench_specimen)

    parser = bench.add_parser("live", parents=[common], help="the loop under load")
    _add_rig(parser)
    parser.add_argument("--seconds", type=positive, default=30.0)
    parser.set_defaults(verb=bench_live)

    parser = bench.add_parser("servo", parents=[common], help="following, in virtual time")
    _add_rig(parser)
    parser.add_argument("--speed", type=positive, default=50.0, help="of the sperm, um/s")
    parser.add_argument("--seconds", type=positive, default=30.0, help="of each run")
    parser.add_argument("--runs", type=int, default=20)
    parser.set_defaults(verb=bench_servo)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all verbs."""
    parser = _Parser(
        prog="sfcscope",
        description="Real-time microscope control for sperm selection. Research use only.",
    )
    common = _Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="last line: one JSON object")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _add_live(verbs, common)
    _add_calibrate(verbs, common)
    _add_analysis(verbs, common)
    _add_network(verbs, common)
    return parser


def _finite(value: object) -> object:
    """Replace what JSON cannot say (NaN, infinity) by null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _print(result: Result, as_json: bool) -> None:
    clean = _finite(result)
    if as_json:
        print(json.dumps(clean))
    else:
        print(json.dumps(clean, indent=2))


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return its exit code: 0, 1 for a failed check, 2 for a user's mistake."""
    if os.name != "nt":
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    options = build_parser().parse_args(argv)
    try:
        result = options.verb(options)
    except USER_ERRORS as error:
        print(f"sfcscope: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"sfcscope: {error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sfcscope: interrupted", file=sys.stderr)
        return 130
    _print(result, options.json)
    return 1 if result.get("ok") is False else 0


if __name__ == "__main__":
    raise SystemExit(main())
