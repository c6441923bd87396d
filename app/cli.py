"""The command line: one function per verb.

Every verb has ``--json``: the last line on standard output is then one JSON object; without it
the same is said in plain text. Exit code 0 only on success; 1 where what was looked at is not well;
a user's mistake gives one line on standard error and exit code 2.
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
from typing import Final

from app.arguments import build_parser
from app.config import ConfigError, RigConfig, load_rig, simulated_rig, with_network
from app.edit_verb import edit
from app.plain_text import checks_text, plain_text
from calibration.errors import CalibrationError
from drivers.errors import DeviceError
from models.errors import ModelError

Result = dict[str, object]
Verb = Callable[[argparse.Namespace], Result]

USER_ERRORS = (ConfigError, CalibrationError, DeviceError, ModelError)


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
    if options.detector != "sfcnet" and options.device != "cpu":
        raise ConfigError(
            f"--device {options.device}: thresholding runs on the processor; leave --device out"
        )
    if options.detector != "sfcnet" and options.weights is not None:
        raise ConfigError(
            f"--weights {options.weights}: thresholding has none; leave --weights or --detector out"
        )
    if options.fit_box_scale and options.box_scale is not None:
        raise ConfigError(
            f"--box-scale {options.box_scale:g}: --fit-box-scale finds it; name one of the two"
        )
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
    if options.resample is not None:
        from models.resampled import ResampledDetector

        detector = ResampledDetector(detector, options.resample)
    common = {"um_per_px": options.um_per_px, "skip_bad": options.skip_bad}
    if options.fit_box_scale:
        scores = evaluate_fitted(detector, options.data, options.fit_box_scale, **common)
    else:
        box_scale = 1.0 if options.box_scale is None else options.box_scale
        scores = run(detector, options.data, box_scale=box_scale, **common)
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
    from models.training.archive_threshold import export_archive

    return export_archive(
        options.weights,
        options.out,
        half=options.half,
        threshold=options.threshold,
        data=options.data,
        skip_bad=options.skip_bad,
    )


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
    """Serve an emulated instrument to any client until interrupted; its place is said at once."""
    from drivers.emulators.serve import parse, say_ready, serve

    def ready(endpoint: str, baud: int, _handshake: str) -> None:
        print(json.dumps({"endpoint": endpoint, "baud": baud}), flush=True)

    where = ["--pty", options.pty] if options.pty else ["--tcp", options.tcp]
    extra = [
        word
        for name in ("variant", "baud", "fault")
        if (value := getattr(options, name))
        for word in (f"--{name}", value)
    ]
    arguments = [options.instrument, *where, *extra, "--until-interrupted"]
    try:
        serve(parse(arguments), ready if options.json else say_ready)
    except KeyboardInterrupt:
        pass  # how it is ended
    return {}


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
        bead_um=options.bead,
        rig_named=options.rig is not None,
        objective=options.objective,
        camera_pixel_um=options.camera_pixel,
        operator=options.operator,
        out=options.out,
        picture=options.picture,
        ask=not options.json and sys.stdin is not None and sys.stdin.isatty(),
    )


def doctor(options: argparse.Namespace) -> Result:
    """Check camera, ports, device, weights, calibration and disk: one line each."""
    from app.records.store import RUNS
    from app.rig import doctor as run

    config = with_network(_rig(options), options.variant, options.device)
    checks = run(config, options.out or RUNS)["checks"]
    print(checks_text(checks), file=sys.stderr if options.json else sys.stdout)
    return {"ok": all(check["ok"] for check in checks), "checks": [dict(c) for c in checks]}


def verify(options: argparse.Namespace) -> Result:
    """Follow the hash chain of a session's journal."""
    from app.records.journal import verify_journal

    path: Path = options.session
    verdict = verify_journal(path / "journal.jsonl" if path.is_dir() else path)
    return {"ok": verdict.ok, "entries": verdict.entries, "first_bad": verdict.first_bad}


VERBS: Final[dict[str, Verb]] = {
    verb.__name__: verb
    for verb in (
        live, doctor, emulate, calibrate, verify, analyze, track, edit, specimen, train, evaluate,
        convert, export, bench_network, bench_tracker, bench_specimen, bench_live, bench_servo,
    )
}  # fmt: skip
SAID_ALREADY: Final = {"doctor", "emulate", "evaluate"}
"""Verbs that have set out what they found before they return it."""


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


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return its exit code, one of ``arguments.EXIT_CODES``."""
    if os.name != "nt":
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    options = build_parser().parse_args(argv)
    try:
        result = VERBS[options.verb](options)
    except USER_ERRORS as error:
        print(f"sfcscope: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"sfcscope: {error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sfcscope: interrupted", file=sys.stderr)
        return 130
    if options.json:
        if result:
            print(json.dumps(_finite(result)))
    elif options.verb not in SAID_ALREADY:
        print(plain_text(result))
    return 1 if result.get("ok") is False else 0


if __name__ == "__main__":
    raise SystemExit(main())
