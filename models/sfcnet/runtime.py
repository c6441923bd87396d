"""SFCNet as a Detector: an archive in TorchScript, any size of frame, processor or GPU."""

from __future__ import annotations

import warnings
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import WeightsError
from models.sfcnet.cost import BOXES, SPERM, Cost, count
from models.sfcnet.enlarge import enlarged, enlarged_size, in_frame
from models.sfcnet.finish import class_and_part_maps
from models.sfcnet.fold import fuse_activations
from models.sfcnet.manifest import shipped_archive, trusted_entry
from models.sfcnet.memory import keep_freed_memory
from models.sfcnet.unfold import parts_of
from models.sfcnet.variant import variant
from models.sfcnet.whole_sperm import head_labels, owners, pass_on
from models.types import Detections, Float32, Perception, SpermClass, UInt8

STRIDE_PX = 32
WARM_UP_FRAMES = 6
WEAK_SCORE = 0.2  # in 99 of 100 frames a faint head that is followed scores this or more


def best_precision(device: torch.device) -> torch.dtype:
    """Return the precision a device computes fastest in without losing sperm.

    Half on a GPU; bfloat16 on a processor with instructions for it, else float32.
    """
    if device.type == "cuda":
        return torch.float16
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    quick = capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")
    return torch.bfloat16 if quick else torch.float32


def chosen_device(name: str) -> torch.device:
    """Return the device called ``name``; WeightsError where there is none."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise WeightsError(f"device '{name}': unknown; use cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise WeightsError(f"device '{name}': unknown; use cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise WeightsError(
            f"device '{name}': this torch sees no CUDA device; use cpu, or install the CUDA "
            "build of torch"
        )
    return device


def memory_is_full(error: RuntimeError) -> bool:
    """Tell whether an error means that a GPU has no memory left.

    TorchScript raises what goes wrong inside it as plain RuntimeError, whose words alone tell
    (https://github.com/pytorch/pytorch/issues/148642); so do cuBLAS and cuDNN.
    """
    words = str(error)
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(
        sign in words for sign in ("CUDA out of memory", "CUDA error: out of memory",
                                   "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
    )  # fmt: skip


class SFCNetDetector:
    """Finds heads and segments sperm with an exported network.

    Parameters
    ----------
    archive : Path
        TorchScript archive; its sha256 must stand in the manifest.
    device : str
        'cpu' or 'cuda'.
    dtype : torch.dtype, optional
        Precision; the device's best when left out.
    score_threshold : float, optional
        The manifest's when left out.
    segmentation : Path, optional
        A second archive that segments, where ``archive`` only detects.
    whole_sperm : bool
        Every sperm has one class, its head's; else each pixel its own.

    Raises
    ------
    WeightsError
        Missing, unknown or damaged archive; device that is not there.
    """

    def __init__(
        self,
        archive: Path,
        *,
        device: str = "cpu",
        dtype: torch.dtype | None = None,
        score_threshold: float | None = None,
        segmentation: Path | None = None,
        whole_sperm: bool = True,
    ) -> None:
        self.whole_sperm = whole_sperm
        self._archives = [Path(archive)] + ([Path(segmentation)] if segmentation else [])
        entries = self._entries = [trusted_entry(path) for path in self._archives]
        # What the archives have: names of the network's modules.
        self.parts: set[str] = set()
        self.entry = entries[0]
        self.finds_heads = any(entry.task != "segment" for entry in entries)
        # Of each archive, the short side that it wants frames to have; 0 takes them as they are.
        self._short_sides_px = [
            variant(entry.variant).short_side_px if entry.task == "detect" else 0
            for entry in entries
        ]
        self.score_threshold = (
            self.entry.score_threshold if score_threshold is None else score_threshold
        )
        self.device = chosen_device(device)
        self.dtype = dtype or best_precision(self.device)
        self._models = self._loaded()

    @cached_property
    def _costs(self) -> list[Cost]:
        return [
            count(variant(e.variant), e.task, height_px=480, width_px=640, parts=self.parts)
            for e in self._entries
        ]

    @property
    def gmacs(self) -> float:
        """Multiply-adds at 640x480, billions, of as many boxes and sperm as ``gmacs_of`` says."""
        return sum(cost.gmacs for cost in self._costs)

    @property
    def gmacs_of(self) -> dict[str, int]:
        """What the multiply-adds are of: boxes and, with a class head, sperm."""
        judged = {"sperm": SPERM} if "class_head" in self.parts else {}
        return ({"boxes": BOXES} if self.finds_heads else {}) | judged

    @property
    def params_m(self) -> float:
        """Parameters, millions, as ``cost.Cost``: of all that the archives have."""
        return sum(cost.params_m for cost in self._costs)

    def _loaded(self) -> list[torch.jit.ScriptModule]:
        """Load all archives; on the processor where the GPU has no room for them."""
        try:
            return [self._load(path) for path in self._archives]
        except RuntimeError as error:
            if not memory_is_full(error):
                raise
            self._leave_the_gpu()
            return [self._load(path) for path in self._archives]

    def _load(self, path: Path) -> torch.jit.ScriptModule:
        try:
            model = torch.jit.load(str(path), map_location=self.device)
        except RuntimeError as error:
            if memory_is_full(error):
                raise
            reason = str(error).splitlines()[0]
            raise WeightsError(
                f"{path}: torch {torch.__version__} cannot load it ({reason}); export it again"
            ) from error
        self.parts |= parts_of(model.state_dict())
        model = model.to(self.dtype).to(memory_format=torch.channels_last).eval()
        frozen: torch.jit.ScriptModule = torch.jit.freeze(model)
        if self.device.type == "cpu":
            keep_freed_memory()
            fuse_activations(frozen)
        return frozen

    @property
    def name(self) -> str:
        """Variant, first digits of the sha256, device and precision."""
        precision = str(self.dtype).removeprefix("torch.")
        return (
            f"SFCNet {self.entry.variant} {self.entry.sha256[:8]} ({self.device.type}, {precision})"
        )

    def warm_up(self, height_px: int, width_px: int) -> None:
        """Run realistic and empty frames, so that the first real one is as fast as the others."""
        rng = np.random.default_rng(0)
        empty = np.full((height_px, width_px), 128, np.uint8)
        grainy = (128 + 8 * rng.standard_normal((height_px, width_px))).astype(np.uint8)
        for _ in range(40):
            y, x = int(rng.integers(height_px)), int(rng.integers(width_px))
            grainy[max(y - 3, 0) : y + 4, max(x - 4, 0) : x + 5] = 60
        for k in range(WARM_UP_FRAMES):
            self.detect(empty if k % 3 == 2 else grainy)

    def detect(self, image: UInt8) -> Perception:
        """Find heads and pixels in a grey frame (H, W) uint8."""
        if image.ndim != 2 or image.dtype != np.uint8 or min(image.shape) < STRIDE_PX:
            raise ValueError(
                f"detect: a grey picture (H, W) uint8 of at least {STRIDE_PX} px a side is needed, "
                f"not {image.dtype} {image.shape}"
            )
        height, width = image.shape
        spare = (-height % STRIDE_PX, -width % STRIDE_PX)
        padded = np.pad(image, ((0, spare[0]), (0, spare[1])), "reflect") if any(spare) else image
        rows, logits, to_head = self._run(np.ascontiguousarray(padded))
        rows, weak = self._reported(rows, height, width)
        boxes = np.ascontiguousarray(rows[:, :4])
        scores = np.ascontiguousarray(rows[:, 4])
        if not logits.size:
            unlabelled = np.zeros(len(rows), np.int8)
            return Perception(Detections(boxes, scores, unlabelled), weak=weak)
        class_map, part_map = class_and_part_maps(logits, *padded.shape)
        labels = head_labels(boxes, logits, class_map, part_map)
        if rows.shape[1] > 5:
            # The class head's vote, of heads that it was asked about.
            judged = rows[:, 5] != 0.0
            labels[judged] = np.where(rows[judged, 5] > 0.0, SpermClass.NORMAL, SpermClass.ABNORMAL)
        # Weak boxes, asked for to draw a whole precision curve, do not speak for a sperm; best
        # first, so that the others' rows are those of all.
        sure = int((scores >= self.entry.score_threshold).sum())
        if self.whole_sperm:
            pointers = to_head[0] if to_head.size else None
            owner = owners(boxes[:sure], class_map, part_map, pointers)
            pass_on(owner, labels[:sure], class_map)
        if any(spare):
            class_map = np.ascontiguousarray(class_map[:height, :width])
            part_map = np.ascontiguousarray(part_map[:height, :width])
        found = Detections(boxes, scores, labels)
        per_px = logits.shape[2] / padded.shape[1]
        return Perception(found, class_map, part_map, logits, per_px, weak)

    def _reported(
        self, rows: NDArray[np.float32], height: int, width: int
    ) -> tuple[NDArray[np.float32], Detections]:
        """Return the rows above the threshold whose centre lies inside the frame, and weak ones."""
        inside = (
            (rows[:, 0] > -0.5)
            & (rows[:, 0] < width - 0.5)
            & (rows[:, 1] > -0.5)
            & (rows[:, 1] < height - 0.5)
        )
        sure = rows[:, 4] >= self.score_threshold
        weak = rows[inside & ~sure & (rows[:, 4] >= WEAK_SCORE)]
        no_label = np.zeros(len(weak), np.int8)
        boxes, scores = np.ascontiguousarray(weak[:, :4]), np.ascontiguousarray(weak[:, 4])
        return rows[inside & sure], Detections(boxes, scores, no_label)

    def _run(self, image: UInt8) -> tuple[Float32, Float32, Float32]:
        try:
            return self._forward(image)
        except RuntimeError as error:
            if not memory_is_full(error):
                raise
        self._leave_the_gpu()
        self._models = self._loaded()
        return self._forward(image)

    def _leave_the_gpu(self) -> None:
        """Compute on the processor from now on, and say so."""
        warnings.warn(
            "SFCNet: the GPU's memory is full; the network goes on, slower, on the processor",
            RuntimeWarning,
            stacklevel=4,
        )
        self.device = torch.device("cpu")
        self.dtype = best_precision(self.device)

    def _forward(self, image: UInt8) -> tuple[Float32, Float32, Float32]:
        """Return rows, logits (planes, h, w) and head pointers (1, 2, h, w); empty is not known."""
        rows = np.zeros((0, 5), np.float32)
        logits, to_head = np.zeros((0, 0, 0), np.float32), np.zeros((0, 0, 0, 0), np.float32)
        # A read-only frame is not written to; the copy silences no warning but torch's.
        source = torch.from_numpy(image if image.flags.writeable else image.copy())
        with torch.inference_mode():
            tensor = source[None, None].to(self.device)
            for model, short_side_px in zip(self._models, self._short_sides_px, strict=True):
                if short_side_px:
                    height, width = image.shape
                    size = enlarged_size(height, width, short_side_px)
                    found, maps, *pointers = model(enlarged(tensor, size))
                    found = in_frame(found, size, (height, width))
                else:
                    # An archive of before the head pointers gives two.
                    found, maps, *pointers = model(tensor)
                if found.numel():
                    rows = found.cpu().numpy()
                if maps.numel():
                    logits = maps[0].cpu().numpy()
                if pointers and pointers[0].numel():
                    to_head = pointers[0].cpu().numpy()
        return rows, logits, to_head


def use_threads(count: int) -> None:
    """Let ``count`` threads of the processor work on one frame, in this process."""
    torch.set_num_threads(count)


def load_shipped(variant: str = "lite", device: str = "cpu") -> SFCNetDetector:
    """Return the detector with the weights that come with the program."""
    return SFCNetDetector(shipped_archive(variant), device=device)
