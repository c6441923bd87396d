"""Everything that can be set about a tracker, with its unit."""

from __future__ import annotations

from dataclasses import dataclass
from math import log


@dataclass(frozen=True, slots=True)
class SwimmingMode:
    """One way to swim.

    Attributes
    ----------
    acceleration_um_s2 : float
        Random acceleration of the mean path, root mean square, if it is held for
        ``TrackerSettings.acceleration_hold_s``. Linear swimmers turn with 50 to 100, hyperactive
        ones 300 to 500.
    yaw_um : float
        Lateral amplitude of the head's yawing about the mean path. It is counted as measurement
        noise (A^2 / 2 per axis): the filter is to follow the mean path, not the beat.
    speed_um_s : float
        Standard deviation per axis of the speed of a sperm that has been seen once.
    prior : float
        Share of the sperm that swim so.
    """

    acceleration_um_s2: float
    yaw_um: float
    speed_um_s: float
    prior: float


STILL = SwimmingMode(acceleration_um_s2=10.0, yaw_um=0.2, speed_um_s=10.0, prior=0.3)
LINEAR = SwimmingMode(acceleration_um_s2=200.0, yaw_um=0.8, speed_um_s=50.0, prior=0.5)
HYPERACTIVE = SwimmingMode(acceleration_um_s2=100.0, yaw_um=3.0, speed_um_s=60.0, prior=0.2)
TURNING = SwimmingMode(acceleration_um_s2=1500.0, yaw_um=1.0, speed_um_s=60.0, prior=0.05)


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """Settings of the tracker. The defaults suit human sperm at 15 to 60 frames a second.

    Attributes
    ----------
    modes : tuple of SwimmingMode
        A track may be in any of them; with one only, each track is a plain Kalman filter.
    mode_s : float
        Mean time in a mode.
    acceleration_hold_s : float
        Only the product a^2 hold enters, so the model is the same at every frame rate.
    localisation_um : float
        Standard deviation of a detected head centre, per axis.
    coast_decay_s : float
        Time constant with which a track that is not seen loses its speed.
    detection_probability : float
        That a visible sperm, alone and away from the border, is detected in one frame.
    gate_probability : float
        That the detection of a sperm lies inside its gate.
    clutter_per_um2 : float
        False detections per square micrometre and frame, at the start.
    clutter_adapt_s : float
        Time constant with which that density follows what no track explains.
    clutter_range : float
        The density stays within this factor of the start, either way.
    resolution_um : float
        Two heads this close are often found as one; both may then be missed at little cost.
    merged_um : float
        Two established tracks this close may have one detection for both, which then corrects both
        (5 suits heads that are found as one below 4 um). Zero turns that off.
    head_um : float
        Length of a head; detection fades out over the half of it at the border of the picture.
    hidden_after_s, hidden_for_s : float
        Mean time after which a sperm becomes undetectable (defocus, overlap), and for how long.
    lifetime_s : float
        Mean time after which a sperm vanishes otherwise than across the border.
    birth_existence : float
        Existence probability of a sperm that has been seen once.
    birth_score : float
        A detection below this score starts no track.
    birth_clearance_um : float
        A detection this close to a track that was seen in the same frame starts no track.
    confirm_existence : float
        A tentative track is confirmed above this, with ``confirm_hits`` of the last
        ``confirm_steps`` frames seen.
    confirm_hits, confirm_steps : int
    delete_tentative, delete_confirmed : float
        Existence probability below which a track ends.
    coast_s : float
        Longest time unseen.
    coast_steps : int
        At low frame rates: at least this many frames unseen.
    gate_side_um : float
        A gate with a larger area than this square ends the track.
    outside_um, chosen_outside_um : float
        A track this far outside the field of view ends; the chosen one later, as the stage goes
        after it.
    merge_um, merge_s : float
        Two tracks closer than this for this time, with one detection between them, are one
        sperm: the younger ends.
    established_hits : int
        A track with so many detections of its own within ``recall_s`` is not such a second one.
    faint, moved_um, moved_um_s : float
        Weak detections may continue a track whose smoothed score is below the first, whose oldest
        and newest detection of late are so far apart, and which is so fast: what rests may be
        debris, and a track on it have been led astray.
    score_s : float
        Time constant of that score.
    weak_weight : float
        A weak detection weighs so many times as much as another at the same place.
    associated : float
        Association probability above which a detection is the track's own.
    label_s : float
        Time constant of the vote on normal or abnormal.
    meet_um : float
        Two tracks this near have an encounter: their heads may be found as one.
    contested_share : float
        So have two tracks at any distance that both may have the same detection with this
        probability or more: while one is not seen, another may take its sperm from afar.
    unresolved_s, unresolved_doubt : float
        Two tracks that have had one detection between them for longer are exchanged with this
        probability.
    recall_s : float
        How much of a track before an encounter is remembered.
    lost_um, missed_s : float
        A track that begins this near to one that has met another, or was missed for this long,
        may follow what that one had followed.
    decide_frames, watch_s : int, float
        Detections of each track, and time, after they have parted, that decide who is who.
    decide_s : float
        It is decided then at the latest.
    path_trust, look_trust : float
        Share of the log likelihood ratio of paths and of looks (box size, class) that counts.
    kept_prior : float
        Log odds that the tracks have kept their sperm, before anything is compared.
    exchange_above : float
        Probability that they have exchanged their sperm above which they get them back.
    doubt_s : float
        For how long an encounter lowers ``Tracks.identity``.
    doubtful_identity : float
        A track with an identity below this may follow another sperm than it did.
    coalesce_um_s, coalesce_sigma, coalesce_s : float
        Two tracks whose speeds differ by less than the first, and which are nearer than so many
        standard deviations, for so long, are associated without averaging over who is who.
        A ``coalesce_sigma`` of zero turns that off.
    kernel : str
        ``textbook`` weighs a pair by its normal density, detection probability and the clutter;
        ``paper`` by one over its Mahalanobis distance, for comparison.
    negligible : float
        A detection whose weight is below this share of the weight of a miss is left out.
    max_steps : float
        Overload guard: bound on the steps of exact association in one cluster; 300 000 are a
        few milliseconds at most.
    narrow_gate_probability : float
        Gate of a cluster that needs more than that.
    """

    modes: tuple[SwimmingMode, ...] = (STILL, LINEAR, HYPERACTIVE, TURNING)
    mode_s: float = 1.0
    acceleration_hold_s: float = 1.0 / 30.0
    localisation_um: float = 0.4
    coast_decay_s: float = 0.5
    detection_probability: float = 0.92
    gate_probability: float = 0.997
    clutter_per_um2: float = 8e-5
    clutter_adapt_s: float = 5.0
    clutter_range: float = 10.0
    resolution_um: float = 3.0
    merged_um: float = 0.0
    head_um: float = 5.0
    hidden_after_s: float = 4.0
    hidden_for_s: float = 0.15
    lifetime_s: float = 10.0
    birth_existence: float = 0.2
    birth_score: float = 0.0
    birth_clearance_um: float = 2.5
    confirm_existence: float = 0.95
    confirm_hits: int = 3
    confirm_steps: int = 5
    delete_tentative: float = 0.05
    delete_confirmed: float = 0.01
    coast_s: float = 0.5
    coast_steps: int = 2
    gate_side_um: float = 60.0
    outside_um: float = 10.0
    chosen_outside_um: float = 25.0
    merge_um: float = 4.0
    merge_s: float = 0.3
    established_hits: int = 10
    moved_um: float = 4.0
    moved_um_s: float = 4.0
    faint: float = 0.9
    score_s: float = 0.3
    weak_weight: float = 0.02
    associated: float = 0.5
    label_s: float = 1.0
    meet_um: float = 5.0
    contested_share: float = 0.02
    unresolved_s: float = 1.2
    unresolved_doubt: float = 0.2
    recall_s: float = 1.0
    lost_um: float = 12.0
    missed_s: float = 0.08
    decide_frames: int = 6
    watch_s: float = 0.2
    decide_s: float = 0.6
    path_trust: float = 0.33
    look_trust: float = 0.2
    kept_prior: float = 0.6
    exchange_above: float = 0.75
    doubt_s: float = 1.0
    doubtful_identity: float = 0.9
    coalesce_um_s: float = 25.0
    coalesce_sigma: float = 2.0
    coalesce_s: float = 0.15
    kernel: str = "textbook"
    negligible: float = 1e-3
    max_steps: float = 3e5
    narrow_gate_probability: float = 0.95

    def __post_init__(self) -> None:
        for name in (
            "detection_probability", "gate_probability", "narrow_gate_probability",
            "birth_existence", "confirm_existence", "associated", "exchange_above",
        ):  # fmt: skip
            if not 0.0 < getattr(self, name) < 1.0:
                raise ValueError(f"TrackerSettings.{name}: {getattr(self, name)}, not in (0, 1)")
        for name in (
            "mode_s", "acceleration_hold_s", "localisation_um", "coast_decay_s", "clutter_per_um2",
            "clutter_adapt_s", "resolution_um", "head_um",
            "hidden_after_s", "hidden_for_s", "lifetime_s", "coast_s", "gate_side_um", "label_s",
            "score_s", "meet_um", "recall_s", "lost_um", "missed_s", "watch_s", "decide_s",
            "doubt_s",
        ):  # fmt: skip
            if not getattr(self, name) > 0.0:
                raise ValueError(f"TrackerSettings.{name}: {getattr(self, name)}, not above 0")
        if self.associated < 0.5:
            raise ValueError(f"TrackerSettings.associated: {self.associated}, below 0.5")
        if self.kernel not in ("textbook", "paper"):
            raise ValueError(f"TrackerSettings.kernel: {self.kernel!r}, not textbook or paper")
        if not self.modes:
            raise ValueError("TrackerSettings.modes: one at least is needed")
        if not 1 <= self.confirm_hits <= self.confirm_steps <= 32:
            raise ValueError("TrackerSettings: 1 <= confirm_hits <= confirm_steps <= 32 is needed")
        if not 1.0 <= self.max_steps <= 1e9:
            raise ValueError(f"TrackerSettings.max_steps: {self.max_steps}, not 1 to 1e9")

    @property
    def gate(self) -> float:
        """Squared Mahalanobis distance at the gate: chi-square of 2 degrees, in closed form."""
        return -2.0 * log(1.0 - self.gate_probability)

    @property
    def narrow_gate(self) -> float:
        """The same, for a cluster that is too wide."""
        return -2.0 * log(1.0 - self.narrow_gate_probability)
