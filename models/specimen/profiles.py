"""Profiles: what a specimen may look like and how it may move.

``exam`` is frozen: it is matched to real bright-field and phase-contrast films and is what
detectors are examined on. ``train`` draws every optical property anew for each specimen, and shows
heads that ``exam`` does not; ``recorded`` shows the same heads by optics about those of ``exam``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.errors import ModelError

Range = tuple[float, float]

MODALITIES = ("brightfield", "phase")
OBJECTIVES = {20: (0.495, 0.45), 40: (0.2475, 0.65), 100: (0.099, 1.25)}
"""Magnification to (pixel size um, numerical aperture), for a camera of 9.9 um pixels."""


@dataclass(frozen=True, slots=True)
class WetLimits:
    """Limits of the unstained wet profile: a sperm within them has a normal head and tail.

    WHO laboratory manual (stained heads 3.7-4.7 x 2.5-3.2 um), widened for unstained wet sperm,
    which are larger by about half a micrometre; tails under 30 um are short.
    """

    head_length_um: Range = (4.0, 5.5)
    head_width_um: Range = (2.5, 3.5)
    head_ellipticity: Range = (1.3, 2.0)
    tail_length_um: Range = (35.0, 60.0)
    midpiece_bend_deg: Range = (0.0, 45.0)


@dataclass(frozen=True, slots=True)
class Profile:
    """Ranges from which one specimen is drawn. A pair (low, high) is drawn uniformly.

    Attributes
    ----------
    um_per_px, numerical_aperture : pixel size on the object side; objective.
    density_per_field : sperm in a field of ``field_px`` (width, height) pixels of 0.495 um.
    density_range : sperm in 640x480 pixels whatever their size, even in its logarithm, in
        training samples; None: ``density_per_field``.
    abnormal_fraction : share of sperm with a head or tail outside the wet limits.
    specks, round_cells, bubbles, strands : clutter, number per field of view as above.
    pace : factor on speed and side to side motion; 0.2 to 0.4 in a viscous medium.
    drift_um_s : flow of the medium, highest speed.
    depth_sd_um : spread of the depth of sperm about the focal plane.
    blur_px : blur of the camera and film in focus, standard deviation.
    head_contrast : peak contrast of a head in focus (fraction of the background).
    head_spread : its lognormal spread from head to head.
    rim_ratio, rim_at_um, rim_width_um : the ring of opposite sign about a dark head, relative to
        the head's contrast; the halo about a bright one.
    tail_contrast, tail_spread : contrast of the tail's centre line and its spread.
    tail_width_um : apparent full width of the principal piece before blur.
    speck_contrast : median contrast of specks; spread is lognormal.
    little_specks : of the specks as dark as a head, the share that is smaller than one,
        ``little_um`` wide.
    background : grey level; tilt, vignette : relative change over the field.
    noise_sd, static_sd : grey levels, new in each frame, and fixed.
    noise_x, noise_y : autocorrelation of the noise at lags 0, 1, 2, 3, 4 px.
    field_gap_s : time between even and odd rows; 0 is progressive.
    interlaced_share : of the specimens drawn; the others are progressive.
    flicker : relative standard deviation of the lamp.
    jpeg_quality : compression of each frame; (0, 0) is none.
    jpeg_share : of the specimens drawn; the others are not compressed.
    pipette_probability : a training crop shows a micropipette.
    end_on : share of sperm seen end-on or steeply tilted, in training samples alone; as are
    dim_end_on : share of these that are paler than other heads;
    light_centre : share of heads lighter inside than at their outline;
    thick_neck : share of tails with cytoplasm left at the neck;
    clumped : share of sperm that stick to the head of another; and
    least_inside : share of a head's box in the picture from which it is asked for.
    """

    name: str
    modality: str = "brightfield"
    um_per_px: Range = (0.495, 0.495)
    numerical_aperture: float = 0.45
    density_per_field: float = 28.0
    density_range: Range | None = None
    abnormal_fraction: float = 0.58
    specks: Range = (150.0, 160.0)
    round_cells: Range = (0.0, 3.0)
    bubbles: Range = (0.0, 1.0)
    strands: Range = (0.0, 2.0)
    drift_um_s: Range = (0.0, 2.0)
    pace: Range = (0.82, 0.82)
    depth_sd_um: Range = (2.2, 2.2)
    blur_px: Range = (1.38, 1.38)
    head_contrast: Range = (0.74, 0.74)
    head_spread: float = 0.16
    rim_ratio: Range = (0.15, 0.15)
    rim_at_um: Range = (2.3, 2.3)
    rim_width_um: Range = (0.95, 0.95)
    tail_contrast: Range = (0.092, 0.092)
    tail_spread: float = 0.45
    tail_width_um: Range = (1.35, 1.35)
    speck_contrast: Range = (0.16, 0.16)
    speck_diameter_um: Range = (1.5, 5.0)
    little_specks: float = 0.85
    little_um: Range = (1.5, 2.6)
    background: Range = (152.0, 152.0)
    tilt: Range = (0.03, 0.03)
    vignette: Range = (0.02, 0.02)
    noise_sd: Range = (1.40, 1.40)
    static_sd: Range = (1.45, 1.45)
    noise_x: tuple[float, ...] = (1.0, 0.66, 0.25, 0.06, 0.01)
    noise_y: tuple[float, ...] = (1.0, 0.43, 0.16, 0.11, 0.09)
    field_gap_s: Range = (1 / 60, 1 / 60)
    interlaced_share: float = 1.0
    flicker: Range = (0.002, 0.002)
    jpeg_quality: Range = (0.0, 0.0)
    jpeg_share: float = 1.0
    pipette_probability: float = 0.0
    end_on: float = 0.0
    dim_end_on: float = 0.0
    light_centre: float = 0.0
    thick_neck: float = 0.0
    clumped: float = 0.0
    least_inside: float = 0.5
    wet: WetLimits = WetLimits()

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise ModelError(
                f"specimen profile {self.name}: modality {self.modality!r} is not one of "
                f"{', '.join(MODALITIES)}"
            )


FIELD_PX = (640, 480)
FIELD_UM2 = FIELD_PX[0] * FIELD_PX[1] * 0.495**2

_EXAM = Profile("exam")

_EXAM_PHASE = replace(
    _EXAM,
    modality="phase",
    density_per_field=14.0,
    specks=(290.0, 310.0),
    pace=(0.5, 0.5),
    depth_sd_um=(1.8, 1.8),
    blur_px=(0.6, 0.6),
    head_contrast=(0.92, 0.92),
    head_spread=0.08,
    rim_ratio=(0.25, 0.25),
    rim_width_um=(2.0, 2.0),
    tail_contrast=(0.28, 0.28),
    tail_width_um=(0.8, 0.8),
    speck_contrast=(0.24, 0.24),
    speck_diameter_um=(1.2, 3.2),
    background=(119.0, 119.0),
    tilt=(0.042, 0.042),
    vignette=(0.028, 0.028),
    noise_sd=(0.35, 0.35),
    static_sd=(2.35, 2.35),
    noise_x=(1.0, 0.65, 0.34, 0.13, 0.03),
    noise_y=(1.0, 0.65, 0.32, 0.13, 0.03),
    field_gap_s=(0.0, 0.0),
)

_TRAIN = replace(
    _EXAM,
    name="train",
    um_per_px=(0.24, 0.66),
    density_range=(8.0, 90.0),
    specks=(5.0, 220.0),
    round_cells=(0.0, 4.0),
    bubbles=(0.0, 2.0),
    strands=(0.0, 4.0),
    drift_um_s=(0.0, 5.0),
    pace=(0.2, 1.3),
    depth_sd_um=(0.5, 4.5),
    blur_px=(0.5, 1.8),
    head_contrast=(0.20, 0.85),
    head_spread=0.22,
    rim_ratio=(0.0, 0.3),
    rim_at_um=(1.5, 3.0),
    rim_width_um=(0.6, 1.5),
    tail_contrast=(0.06, 0.28),
    tail_width_um=(0.6, 1.3),
    speck_contrast=(0.06, 0.30),
    # A dark round body of a head's size is a head seen end-on: see end_on.
    little_specks=1.0,
    little_um=(1.5, 3.0),
    background=(70.0, 200.0),
    tilt=(0.0, 0.2),
    vignette=(0.0, 0.2),
    noise_sd=(0.4, 4.0),
    static_sd=(0.2, 3.0),
    field_gap_s=(1 / 60, 1 / 60),
    interlaced_share=0.4,
    flicker=(0.0, 0.01),
    jpeg_quality=(40.0, 98.0),
    jpeg_share=0.5,
    pipette_probability=0.12,
    end_on=0.20,
    dim_end_on=0.25,
    light_centre=0.4,
    thick_neck=0.15,
    clumped=0.08,
    least_inside=0.25,
)

_TRAIN_PHASE = replace(
    _TRAIN,
    modality="phase",
    head_contrast=(0.25, 1.1),
    rim_ratio=(0.1, 0.45),
    rim_width_um=(0.9, 2.4),
    tail_contrast=(0.08, 0.40),
    speck_contrast=(0.08, 0.40),
    # Measured in bright field. Round bright things of this size that rest in phase contrast are,
    # for the most part, what people leave unlabelled.
    little_specks=_EXAM.little_specks,
    little_um=_EXAM.little_um,
    end_on=0.0,
    dim_end_on=0.0,
    light_centre=0.0,
    thick_neck=0.0,
)


def _recorded(exam: Profile, train: Profile) -> Profile:
    """Return the heads and specks of ``train`` by optics about those of the recordings."""
    return replace(
        exam,
        name="recorded",
        um_per_px=(0.42, 0.56),
        specks=(20.0, exam.specks[1]),
        blur_px=(0.7 * exam.blur_px[0], 1.05 * exam.blur_px[1]),
        head_contrast=(0.8 * exam.head_contrast[0], 1.1 * exam.head_contrast[1]),
        rim_ratio=(0.6 * exam.rim_ratio[0], 2.2 * exam.rim_ratio[1]),
        little_specks=train.little_specks,
        little_um=train.little_um,
        end_on=train.end_on,
        dim_end_on=train.dim_end_on,
        light_centre=train.light_centre,
        thick_neck=train.thick_neck,
        clumped=train.clumped,
        least_inside=train.least_inside,
    )


_PROFILES = {
    ("exam", "brightfield"): _EXAM,
    ("exam", "phase"): _EXAM_PHASE,
    ("train", "brightfield"): _TRAIN,
    ("train", "phase"): _TRAIN_PHASE,
    ("recorded", "brightfield"): _recorded(_EXAM, _TRAIN),
    ("recorded", "phase"): _recorded(_EXAM_PHASE, _TRAIN_PHASE),
}


def profile(
    name: str,
    *,
    modality: str = "brightfield",
    density: float | None = None,
    objective: int | None = None,
) -> Profile:
    """Return a named profile.

    Parameters
    ----------
    name : 'exam', 'train' or 'recorded'
    modality : 'brightfield' or 'phase'
    density : sperm in view of 640x480 pixels at 20x; None keeps the profile's own
    objective : 20, 40 or 100; None keeps the profile's own pixel size

    Raises
    ------
    ModelError
        For a name, modality, density or objective that is not known.
    """
    try:
        chosen = _PROFILES[name, modality]
    except KeyError:
        raise ModelError(
            f"specimen: no profile {name!r} for modality {modality!r}; profiles are exam, "
            f"train and recorded, modalities {' and '.join(MODALITIES)}"
        ) from None
    if density is not None:
        if not 0 <= density <= 400:
            raise ModelError(f"specimen: density {density} is not within 0 to 400 sperm a frame")
        chosen = replace(chosen, density_per_field=density, density_range=None)
    if objective is not None:
        if objective not in OBJECTIVES:
            raise ModelError(f"specimen: objective {objective} is not one of 20, 40, 100")
        um, aperture = OBJECTIVES[objective]
        chosen = replace(chosen, um_per_px=(um, um), numerical_aperture=aperture)
    return chosen
