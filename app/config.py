"""What a rig consists of, and how a recording is analysed: strict, versioned, TOML in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from calibration.toml_file import TomlError, read_toml, write_toml
from models.measure.profile import names_a_file
from models.tracking.settings import TrackerSettings

EMULATOR = "emulator"  # instead of a port: start the instrument's emulator
NOMINAL = "nominal"  # instead of a file: the shipped calibration of the simulated rig

Range = tuple[float, float]
Positive = Annotated[float, Field(gt=0)]


class ConfigError(Exception):
    """A setting that cannot be used. One line: file, key, value, what is allowed."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SceneCameraConfig(_Strict):
    """The simulated camera: renders the specimen at the true stage position."""

    kind: Literal["scene"] = "scene"
    profile: Literal["exam", "train"] = "exam"
    seed: int = Field(default=1, ge=0)
    modality: Literal["brightfield", "phase"] = "brightfield"
    sperm_in_view: int | None = Field(default=None, ge=0, le=200)
    width_px: int = Field(default=640, ge=64, le=4096)
    height_px: int = Field(default=480, ge=64, le=4096)
    frame_rate_hz: float = Field(default=30.0, gt=0, le=240)
    exposure_s: float = Field(default=0.008, gt=0, le=1)
    jitter_s: float = Field(default=0.0, ge=0, le=0.1)
    drop_rate: float = Field(default=0.0, ge=0, lt=1)
    vanish_after_s: float | None = Field(default=None, gt=0)
    pipette_tip_um: tuple[float, float, float] | None = (70.0, -40.0, 0.0)
    dish_z_um: float = Field(default=-6.0, description="bottom of the dish, above the focal plane")


class VideoCameraConfig(_Strict):
    """A recording instead of a camera: no stage can follow what is in it."""

    kind: Literal["video"]
    path: Path
    loop: bool = False
    um_per_px: Positive | None = None


class BaslerCameraConfig(_Strict):
    """A Basler camera by its serial number; empty takes the only one there is."""

    kind: Literal["basler"]
    serial: str = ""
    width_px: int | None = Field(default=None, ge=64)
    height_px: int | None = Field(default=None, ge=64)
    binning: Literal[1, 2, 4] = 1
    frame_rate_hz: float = Field(default=30.0, gt=0, le=500)
    exposure_s: float = Field(default=0.008, gt=0, le=1)
    gain_db: float = Field(default=0.0, ge=0, le=48)


CameraConfig = Annotated[
    SceneCameraConfig | VideoCameraConfig | BaslerCameraConfig, Field(discriminator="kind")
]


class _PortConfig(_Strict):
    url: str = Field(default=EMULATOR, min_length=1, description="COM3, /dev/ttyUSB0, socket://..")
    variant: str | None = Field(default=None, description="of the emulator")
    fault: str | None = Field(default=None, description="that the emulator plays")

    @model_validator(mode="after")
    def _emulator_only(self) -> Self:
        if self.url != EMULATOR and (self.variant is not None or self.fault is not None):
            raise ValueError(f'variant and fault are for url = "{EMULATOR}" only')
        return self

    @property
    def emulated(self) -> bool:
        """Whether the other end of the port is an emulator."""
        return self.url == EMULATOR


def _ascending(limits: Range) -> Range:
    if not limits[0] < limits[1]:
        raise ValueError("the lower limit comes first and is smaller than the upper one")
    return limits


class ProScanConfig(_PortConfig):
    """A Prior ProScan stage. Limits in the stage frame, micrometres."""

    kind: Literal["proscan"] = "proscan"
    name: str = Field(default="ProScan", min_length=1, description="as in the calibration")
    baud: Literal[9600, 19200, 38400, 115200] = 38400
    x_limits_um: Range = (-20_000.0, 20_000.0)
    y_limits_um: Range = (-20_000.0, 20_000.0)
    move_speed_um_s: float = Field(default=2000.0, gt=0, le=20_000)
    resolution_um: float = Field(default=0.1, ge=0.01, le=1, description="unit that is asked for")
    velocity_in_user_units: bool = Field(
        default=False, description="VS counts in that unit, not in um/s: see the report"
    )
    acceleration_um_s2: float = Field(
        default=50_000.0, ge=100, le=1e6, description="that a stop can count on, at SAS 100"
    )
    acceleration_percent: int | None = Field(default=None, ge=1, le=100, description="SAS")
    s_curve_percent: int | None = Field(default=None, ge=1, le=100, description="SCS")
    joystick: Literal["live", "locked"] = Field(
        default="live", description="whether a hand on it takes over while the program drives"
    )

    _order = field_validator("x_limits_um", "y_limits_um")(_ascending)


class Mp285Config(_PortConfig):
    """A Sutter MP-285 manipulator. Limits in the pipette frame, micrometres."""

    kind: Literal["mp285"] = "mp285"
    baud: Literal[1200, 2400, 4800, 9600, 19200] = 9600
    rtscts: bool = Field(default=False, description="hardware handshake: some MP-285A want it")
    x_limits_um: Range = (-12_500.0, 12_500.0)
    y_limits_um: Range = (-12_500.0, 12_500.0)
    z_limits_um: Range = (-12_500.0, 12_500.0)
    speed_um_s: float = Field(default=200.0, gt=0, le=2900)
    speed_scale: float = Field(
        default=1.0, ge=0.1, le=2, description="true um/s for each of V's number: see the report"
    )
    verify_speed: bool = Field(default=True, description="read the speed back before a move")
    microsteps_per_um: float | None = Field(
        default=None, ge=1, le=1000, description="where the controller's own word is wrong"
    )
    poll_s: float | None = Field(default=None, ge=0, le=60, description="least, between looks")
    safe_z_um: float | None = Field(
        default=None, description="below it the stage is confined; absent: never driven down"
    )
    up: Literal[1, -1] = Field(default=1, description="sign of z that leads away from the dish")
    window_um: float = Field(default=200.0, gt=0, le=2000, description="half, of the stage")
    window_speed_um_s: float = Field(default=300.0, gt=0, le=1000)
    stands_at_um: tuple[float, float, float] = Field(
        default=(0.0, 0.0, 0.0), description="of the emulator, when it is switched on"
    )

    _order = field_validator("x_limits_um", "y_limits_um", "z_limits_um")(_ascending)


class NetworkConfig(_Strict):
    """Which detector finds the sperm, and where it computes."""

    detector: Literal["sfcnet", "threshold"] = "sfcnet"
    variant: Literal["lite", "r50"] = "lite"
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$")
    weights: Path | None = Field(default=None, description="archive; absent takes the shipped one")
    threads: int = Field(default=1, ge=1, le=64, description="of the processor, for one frame")
    lanes: int = Field(default=2, ge=1, le=8, description="frames in work at the same time")

    @field_validator("device")
    @classmethod
    def _network_only(cls, device: str, info: ValidationInfo) -> str:
        if device != "cpu" and info.data.get("detector") == "threshold":
            raise ValueError("the detector 'threshold' runs on the processor; cpu is allowed")
        return device


class ServoConfig(_Strict):
    """How the stage follows. The defaults are explained in app/core/README.md."""

    gain_1_s: float = Field(default=20.0, gt=0, le=25)
    top_speed_um_s: float = Field(default=1000.0, gt=0, le=5000)
    slew_um_s2: float = Field(default=5000.0, gt=0, le=100_000)
    deadband_um: float = Field(default=0.3, ge=0, le=5)
    jump_um: float = Field(default=15.0, gt=0, le=100)
    missed_frames: int = Field(default=2, ge=0, le=4)
    resume_s: float = Field(default=0.5, ge=0, le=2)
    sure_identity: float = Field(default=TrackerSettings().doubtful_identity, ge=0, lt=1)
    approach_um: float = Field(default=60.0, gt=0, le=1000)
    idle_s: float = Field(default=60.0, gt=0, le=3600)


class InjectionConfig(_Strict):
    """How the pipette goes about its work; see app/core/README.md. Needs its safe height."""

    park_um: tuple[float, float, float] = Field(description="pipette frame, at or above safe_z_um")
    oocyte_um: Range | None = Field(default=None, description="x, y, stage frame; can be taught")
    tail_um: float = Field(default=10.0, gt=4, le=40, description="behind the head's middle")
    beside_um: float = Field(default=200.0, gt=0, le=2000, description="of the field's middle")
    beside_deg: float = Field(default=0.0, ge=-360, le=360)
    near_um: float = Field(default=15.0, gt=0, le=200, description="above the dish: go slowly")
    sight_um: float = Field(default=10.0, gt=0, le=50, description="above the dish: look each time")
    depth_um: float = Field(default=8.0, ge=0, le=20, description="below the dish: give up")
    fast_um_s: float = Field(default=200.0, gt=0, le=400)
    slow_um_s: float = Field(default=25.0, gt=0, le=50)
    step_um: float = Field(default=1.0, gt=0, le=2)
    tap_um: float = Field(default=6.0, gt=0, le=8, description="to each side of the tail")
    carry_s: float = Field(default=20.0, gt=0, le=120)


class RigConfig(_Strict):
    """One microscope: its instruments and the numbers that belong to them."""

    version: Literal[1] = 1
    name: str = Field(default="simulated rig", min_length=1)
    objective: str = Field(default="20x", pattern=r"^\d+x$")
    calibration: str = Field(default=NOMINAL, min_length=1, description="file, or 'nominal'")
    camera: CameraConfig = SceneCameraConfig()
    stage: ProScanConfig | None = None
    pipette: Mp285Config | None = None
    network: NetworkConfig = NetworkConfig()
    servo: ServoConfig = ServoConfig()
    injection: InjectionConfig | None = None
    criteria: str = Field(
        default="who6_wet", min_length=1, description="what is normal: a profile, or a TOML file"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        scene = isinstance(self.camera, SceneCameraConfig)
        if self.calibration == NOMINAL and isinstance(self.camera, BaslerCameraConfig):
            raise ValueError(
                f'calibration = "{NOMINAL}" describes the simulated rig; name the file that the '
                "calibration of this rig wrote"
            )
        if self.injection is not None:
            pipette = self.pipette
            if pipette is None or pipette.safe_z_um is None or self.stage is None:
                raise ValueError("injection needs a stage, and a pipette with safe_z_um")
            if pipette.up * (self.injection.park_um[2] - pipette.safe_z_um) < 0:
                raise ValueError("injection: park_um is below the pipette's safe_z_um")
        for port in (self.stage, self.pipette):
            if port is not None and port.emulated and not scene:
                raise ValueError(
                    f'{port.kind}: url = "{EMULATOR}" goes with camera.kind = "scene" only: '
                    "it would move nothing that this camera sees; name the port"
                )
        return self


class AnalysisConfig(_Strict):
    """How a recording is analysed (verbs ``analyze`` and ``track``)."""

    version: Literal[1] = 1
    um_per_px: Positive | None = None
    fps: Positive | None = None
    network: NetworkConfig = NetworkConfig()
    overlay: bool = False
    labelme: bool = False
    workers: int = Field(default=1, ge=1, le=64)


def simulated_rig() -> RigConfig:
    """Return the rig that needs no instrument: scene camera, emulated stage and manipulator."""
    return RigConfig(stage=ProScanConfig(), pipette=Mp285Config())


def load_rig(path: Path | str) -> RigConfig:
    """Read a rig file. Relative paths in it are relative to the file.

    Raises
    ------
    ConfigError
        In one line: file, line, key, value, what is allowed.
    """
    path = Path(path)
    try:
        rig = read_toml(path, RigConfig)
    except TomlError as error:
        raise ConfigError(str(error)) from error
    return _resolved(rig, path.parent)


def with_network(rig: RigConfig, variant: str | None, device: str | None) -> RigConfig:
    """Replace the network's variant and device where others are asked for.

    Raises
    ------
    ConfigError
        Neither the processor nor a CUDA device, or no network that could have or use it.
    """
    if rig.network.detector == "threshold" and (variant is not None or device not in (None, "cpu")):
        asked = f"--device {device}" if variant is None else f"--variant {variant}"
        raise ConfigError(
            f"{asked}: {rig.name} has the detector 'threshold', which is no network; leave it out, "
            "or take network.detector out of the rig file"
        )
    changes = {key: v for key, v in (("variant", variant), ("device", device)) if v is not None}
    try:
        network = NetworkConfig(**{**rig.network.model_dump(), **changes})
    except ValidationError as error:
        raise ConfigError(f"--device {device}: unknown; cpu, cuda or cuda:0 is allowed") from error
    return rig.model_copy(update={"network": network})


def save_rig(rig: RigConfig, path: Path) -> None:
    """Write ``rig`` so that ``load_rig`` reads it back equal."""
    write_toml(path, rig, "A rig of sfcscope. Unknown keys are errors.")


def _resolved(rig: RigConfig, folder: Path) -> RigConfig:
    changes: dict[str, object] = {}
    if rig.calibration != NOMINAL:
        changes["calibration"] = str(folder / rig.calibration)
    if names_a_file(rig.criteria):
        changes["criteria"] = str(folder / rig.criteria)
    if isinstance(rig.camera, VideoCameraConfig):
        changes["camera"] = rig.camera.model_copy(update={"path": folder / rig.camera.path})
    if rig.network.weights is not None:
        weights = folder / rig.network.weights
        changes["network"] = rig.network.model_copy(update={"weights": weights})
    return rig.model_copy(update=changes)
