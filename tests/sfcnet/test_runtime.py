"""Archives: written, refused, loaded, and what comes out of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from models.detector import Detector
from models.errors import WeightsError
from models.sfcnet.bench import bench_frame
from models.sfcnet.enlarge import enlarged_size, in_frame
from models.sfcnet.export import export, export_random, largest_difference, write_archive
from models.sfcnet.fold import fuse_activations
from models.sfcnet.manifest import MANIFEST, read_manifest, shipped_archive
from models.sfcnet.network import SFCNet
from models.sfcnet.runtime import WEAK_SCORE, SFCNetDetector, best_precision, load_shipped
from models.sfcnet.variant import LITE
from models.sfcnet.whole_sperm import head_labels, owners, pass_on

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return export_random(tmp_path_factory.mktemp("weights") / "random.pt")


@pytest.fixture(scope="module")
def shipped():
    return SFCNetDetector(shipped_archive("lite"), dtype=torch.float32)


def test_exported_agrees_with_eager(tmp_path):
    torch.manual_seed(3)
    network = SFCNet(LITE).eval()
    done = write_archive(network, tmp_path / "a.pt")
    assert done["max_abs_difference"] <= 1e-3
    assert read_manifest(tmp_path)[0].sha256 == done["sha256"]
    # Eager against itself, broken by a thousandth, is told apart.
    changed = SFCNet(LITE).eval()
    changed.load_state_dict(network.state_dict())
    changed.encoder.stem[0].weight.data *= 1.5
    loaded = torch.jit.load(str(tmp_path / "a.pt")).eval()
    assert largest_difference(changed, loaded) > 1e-3


def test_half_precision_that_breaks_the_promise_says_so(tmp_path, caplog):
    done = export(shipped_archive("lite"), tmp_path / "half.pt", half=True)
    assert done["max_abs_difference"] > 1e-3
    assert done["within_promise"] is False
    (line,) = [r.getMessage() for r in caplog.records]
    assert "half.pt: differs from its network by" in line
    assert "more than the 0.001 that is promised; leave --half out" in line


def test_an_archive_can_be_exported_again(archive, tmp_path):
    done = export(archive, tmp_path / "again.pt")
    (first,), (second,) = read_manifest(archive.parent), read_manifest(tmp_path)
    kept = {**first.provenance, "exported_from": first.sha256}
    assert second.provenance == {**second.provenance, **kept}
    assert second.provenance["params_m"] == pytest.approx(1.379, abs=1e-3)
    assert done["within_promise"]
    assert second.score_threshold == first.score_threshold
    assert done["max_abs_difference"] <= 1e-3
    frame = bench_frame()[:224, :256]
    old, new = (
        SFCNetDetector(path, dtype=torch.float32, score_threshold=0.0).detect(frame)
        for path in (archive, tmp_path / "again.pt")
    )
    assert np.allclose(old.logits, new.logits, atol=1e-3)


def test_merged_activations_change_nothing(archive):
    image = torch.from_numpy(bench_frame()[:224, :256])[None, None]
    plain = torch.jit.freeze(torch.jit.load(str(archive)).eval())
    merged = torch.jit.freeze(torch.jit.load(str(archive)).eval())
    fuse_activations(merged)
    if torch.backends.mkldnn.is_available():
        assert str(merged.graph).count("_convolution_pointwise") > 40
    with torch.inference_mode():
        expected, found = plain(image), merged(image)
    assert torch.allclose(expected[1], found[1], rtol=1e-4, atol=1e-3)
    assert torch.allclose(expected[0][:, 4], found[0][:, 4], atol=1e-4)


def test_one_changed_byte_is_refused_in_one_line(archive, tmp_path):
    copy = tmp_path / "copy.pt"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    (tmp_path / MANIFEST).write_text((archive.parent / MANIFEST).read_text())
    with pytest.raises(WeightsError, match=r"copy.pt: sha256 .* is not in .*manifest.json") as told:
        SFCNetDetector(copy)
    assert "\n" not in str(told.value)


def test_an_archive_without_a_manifest_is_refused(archive, tmp_path):
    stray = tmp_path / "stray.pt"
    stray.write_bytes(archive.read_bytes())
    with pytest.raises(WeightsError, match="not loaded"):
        SFCNetDetector(stray)


def test_missing_archive_damaged_manifest_and_absent_device(archive, tmp_path):
    with pytest.raises(WeightsError, match=r"nothing\.pt: no such archive"):
        SFCNetDetector(tmp_path / "nothing.pt")
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(WeightsError, match="damaged manifest"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_text(json.dumps({"format": 99, "archives": []}))
    with pytest.raises(WeightsError, match="format 99"):
        read_manifest(tmp_path)
    with pytest.raises(WeightsError, match=r"abacus.*unknown"):
        SFCNetDetector(archive, device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(WeightsError, match="sees no CUDA device"):
            SFCNetDetector(archive, device="cuda")


def test_what_is_no_weights_file_is_not_exported(tmp_path):
    (tmp_path / "text.pt").write_text("no weights")
    for name in ("text.pt", "missing.pt"):
        with pytest.raises(WeightsError, match=f"{name}: no weights of a training"):
            export(tmp_path / name, tmp_path / "out.pt")


def full_inside(image):
    """Run out of memory within TorchScript, which makes a plain RuntimeError of it."""
    raise RuntimeError(
        "The following operation failed in the TorchScript interpreter.\n"
        "Traceback of TorchScript, serialized code (most recent call last):\n"
        "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total"
    )


def test_torchscript_hides_what_kind_of_error_it_met():
    # Why a full memory is told by its words: a GPU's error goes the way of this one.
    class Inverse(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.inv(x)

    for network, kind in ((Inverse(), torch.linalg.LinAlgError),
                          (torch.jit.script(Inverse()), RuntimeError)):  # fmt: skip
        with pytest.raises(RuntimeError, match="singular") as met:
            network(torch.zeros(2, 2))
        assert type(met.value) is kind


def test_full_memory_of_the_gpu_goes_on_the_processor(archive):
    frame = bench_frame()[:64, :96]
    plain = SFCNetDetector(archive).detect(frame)
    detector = SFCNetDetector(archive)
    detector._models = [full_inside]
    with pytest.warns(RuntimeWarning, match="goes on, slower, on the processor") as told:
        seen = detector.detect(frame)
    assert sum(w.category is RuntimeWarning for w in told) == 1
    assert detector.device.type == "cpu"
    assert np.array_equal(seen.logits, plain.logits)
    detector.detect(frame)  # and no word more


def test_other_errors_within_the_network_are_not_taken_for_a_full_memory(archive):
    detector = SFCNetDetector(archive)
    detector._models = [torch.jit.script(torch.nn.Conv2d(3, 4, 3))]
    with pytest.raises(RuntimeError):
        detector.detect(np.full((64, 64), 120, np.uint8))


def test_a_gpu_that_is_full_when_an_archive_is_loaded(archive, monkeypatch):
    load = torch.jit.load

    def full(path, map_location):
        if map_location.type == "cuda":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return load(path, map_location=map_location)

    monkeypatch.setattr("models.sfcnet.runtime.chosen_device", torch.device)
    monkeypatch.setattr("models.sfcnet.runtime.torch.jit.load", full)
    with pytest.warns(RuntimeWarning, match="GPU's memory is full"):
        detector = SFCNetDetector(archive, device="cuda")
    assert (detector.device.type, detector.dtype) == ("cpu", best_precision(detector.device))
    assert "(cpu, " in detector.name
    detector.detect(np.full((64, 64), 120, np.uint8))


def test_a_head_has_the_class_that_its_logits_favour():
    class_map, part_map = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    class_map[2:6, 2:12] = 1
    part_map[2:6, 2:6], part_map[2:6, 6:12] = 1, 3
    logits = np.zeros((7, 10, 10), np.float32)
    logits[1, :, :3], logits[2, :, 3:] = 1.0, 9.0
    boxes = np.array([[4, 3.5, 6, 6], [9, 3.5, 2, 4], [15, 15, 4, 4]], np.float32)
    # By its head pixels; by its sperm pixels where there is no head; unknown without either.
    assert head_labels(boxes, logits, class_map, part_map).tolist() == [1, 2, 0]


def test_a_tail_takes_the_class_of_the_head_that_is_nearest_along_it():
    class_map = np.zeros((12, 40), np.uint8)
    class_map[5, 2:38] = [1, 2] * 18  # one line between two heads
    class_map[10, 20:25] = 2  # a piece that no head reaches
    boxes = np.array([[2, 5, 3, 3], [37, 5, 3, 3]], np.float32)
    part_map = np.where(class_map > 0, 3, 0).astype(np.uint8)
    pass_on(owners(boxes, class_map, part_map), np.array([2, 1], np.int8), class_map)
    assert (class_map[5, 2:19] == 2).all()
    assert (class_map[5, 21:38] == 1).all()
    assert (class_map[10, 20:25] == 2).all()
    assert (class_map > 0).sum() == 41


def test_where_tails_cross_each_pixel_is_the_head_s_that_it_points_at():
    class_map = np.zeros((64, 64), np.uint8)
    class_map[32, 4:60] = class_map[4:60, 32] = 1  # two tails that cross in the middle
    part_map = np.where(class_map > 0, 3, 0).astype(np.uint8)
    boxes = np.array([[4, 32, 6, 6], [32, 4, 6, 6], [60, 60, 6, 6]], np.float32)
    middle = 4.0 * np.arange(16) + 1.5
    to_head = np.stack(np.broadcast_arrays(4.0 - middle[None], 32.0 - middle[:, None]))
    down = np.stack(np.broadcast_arrays(32.0 - middle[None], 4.0 - middle[:, None]))
    to_head = np.where(np.abs(middle[:, None] - 32) > np.abs(middle[None] - 32), down, to_head)
    owner = owners(boxes, class_map, part_map, to_head.astype(np.float32))
    assert (owner[32, 36:60] == 1).all()
    assert (owner[36:60, 32] == 2).all()
    assert not ((class_map == 0) & (owner > 0)).any()


def test_a_pixel_that_points_at_no_head_is_its_neighbour_s():
    class_map = np.zeros((32, 64), np.uint8)
    class_map[16, 4:40] = 1
    part_map = np.where(class_map > 0, 3, 0).astype(np.uint8)
    boxes = np.array([[6, 16, 6, 6], [56, 16, 6, 6]], np.float32)
    astray = np.full((2, 8, 16), 300.0, np.float32)
    assert (owners(boxes, class_map, part_map, astray)[16, 4:40] == 0).all()
    part_map[16, 4:9] = 1  # its own head
    assert (owners(boxes, class_map, part_map, astray)[16, 4:40] == 1).all()


def test_not_a_grey_picture(shipped):
    for wrong in (np.zeros((480, 640, 3), np.uint8), np.zeros((64, 64)), np.zeros((8, 8), "u1")):
        with pytest.raises(ValueError, match="a grey picture"):
            shipped.detect(wrong)


def test_any_size_of_frame(shipped):
    assert isinstance(shipped, Detector)
    frame = bench_frame()[:300, :333]
    frame.setflags(write=False)
    seen = shipped.detect(frame)
    assert seen.class_map.shape == seen.part_map.shape == (300, 333)
    boxes = seen.detections.box_px
    assert (boxes[:, 0] < 332.5).all()
    assert (boxes[:, 1] < 299.5).all()


def test_a_network_for_enlarged_frames_gets_them_and_its_boxes_come_back(tmp_path, monkeypatch):
    archive = export_random(tmp_path / "detect.pt", "lite", "detect")
    enlarging = LITE.with_changes(short_side_px=160)
    monkeypatch.setattr("models.sfcnet.runtime.variant", lambda name: enlarging)
    detector = SFCNetDetector(archive, dtype=torch.float32, score_threshold=0.5)
    frame = np.full((96, 128), 150, np.uint8)
    frame[40:44, 60:66] = 30
    seen = []

    def stands_in(picture):
        """Report the dark spot, bounded by where it is darker than half."""
        seen.append(tuple(picture.shape))
        rows, columns = torch.nonzero(picture[0, 0] < 90, as_tuple=True)
        low = torch.stack([columns.min(), rows.min()]).float()
        high = torch.stack([columns.max(), rows.max()]).float() + 1.0
        box = torch.cat([(low + high) / 2 - 0.5, high - low, torch.tensor([0.9])])
        return torch.cat([box[None], torch.zeros(299, 5)]), torch.zeros(0)

    detector._models = [stands_in]
    found = detector.detect(frame).detections
    assert seen == [(1, 1, 160, 224)]
    assert len(found) == 1
    # Columns 60 to 65 and rows 40 to 43: within a pixel of the enlarged picture.
    assert found.box_px[0] == pytest.approx([62.5, 41.5, 6.0, 4.0], abs=0.6)


@pytest.mark.parametrize(
    ("frame", "side", "size"),
    [((480, 640), 800, (800, 1056)), ((528, 698), 800, (800, 1056)), ((64, 64), 10, (32, 32))],
)
def test_the_way_back_from_an_enlarged_picture_is_exact(frame, side, size):
    assert enlarged_size(*frame, side) == size
    corners = torch.tensor([[-0.5, -0.5], [size[1] - 0.5, size[0] - 0.5]])
    rows = torch.cat([corners, corners * 0 + 2.0, torch.ones(2, 1)], 1)
    back = in_frame(rows, size, frame)
    edges = torch.tensor([[-0.5, -0.5], [frame[1] - 0.5, frame[0] - 0.5]])
    assert torch.allclose(back[:, :2], edges, atol=1e-3)
    assert torch.allclose(back[:, 2] / 2.0, torch.full((2,), frame[1] / size[1]))


def test_an_empty_frame_has_no_sperm(shipped):
    grain = np.random.default_rng(0).normal(0, 2, (480, 640))
    for level in (0, 150):
        seen = shipped.detect((level + grain * (level > 0)).clip(0, 255).astype(np.uint8))
        assert len(seen.detections) == 0
        assert not seen.class_map.any()


def test_the_number_of_heads_does_not_change_the_shapes_of_the_products(shipped):
    # oneDNN compiles and keeps a program for each shape: 2 MB that never come back.
    shapes = []
    for heads in range(0, 90, 9):
        frame = np.full((256, 256), 128, np.uint8)
        for k in range(heads):
            y, x = 12 + 25 * (k // 10), 12 + 25 * (k % 10)
            frame[y - 3 : y + 4, x - 5 : x + 6] = 60
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
            shipped.detect(frame)
        shapes.append({str(e.input_shapes) for e in seen.events() if e.name == "aten::addmm"})
    assert shapes[0]
    # The class head looks at sperm by sixteens, or, where there are more, by forty-eights.
    assert len(set().union(*shapes)) <= len(shapes[0]) + 1


def test_shipped_weights_load_and_name_themselves():
    detector = load_shipped("lite")
    assert detector.name.startswith("SFCNet lite ")
    # With class head and head pointers: what its card says.
    facts = detector.entry.provenance
    assert detector.params_m == pytest.approx(float(facts["params_m"]), abs=1e-3)
    assert detector.gmacs == pytest.approx(float(facts["gmacs_640x480"]), abs=1e-3)
    assert detector.gmacs_of == facts["gmacs_of"] == {"boxes": 100, "sperm": 30}
    held = torch.jit.load(str(shipped_archive("lite"))).state_dict()
    # The archive has the normalisation merged: a scale and a shift a plane became one bias.
    assert sum(v.numel() for v in held.values()) / 1e6 == pytest.approx(detector.params_m, rel=0.01)
    with pytest.raises(WeightsError, match="no weights of variant 'r50'"):
        load_shipped("r50")


def test_shipped_archives_are_small_and_have_provenance():
    folder = shipped_archive("lite").parent
    entries = read_manifest(folder)
    assert sum((folder / e.file).stat().st_size for e in entries) <= 12 * 2**20
    for entry in entries:
        assert entry.provenance["steps"] > 0
        assert entry.scores["brightfield"]["ap50"] > 0


def test_what_scores_too_low_is_told_apart_from_the_heads_found(shipped):
    image = bench_frame()
    seen = shipped.detect(image)
    everything = SFCNetDetector(
        shipped_archive("lite"), dtype=torch.float32, score_threshold=WEAK_SCORE
    ).detect(image)
    assert len(seen.weak) > 0
    assert (seen.detections.score >= shipped.score_threshold).all()
    assert (seen.weak.score < shipped.score_threshold).all()
    assert (seen.weak.score >= WEAK_SCORE).all()
    np.testing.assert_array_equal(
        everything.detections.box_px, np.concatenate((seen.detections.box_px, seen.weak.box_px))
    )
    assert len(everything.weak) == 0
