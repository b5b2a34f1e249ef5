"""Hostile input: strategies that damage good files and messages, and what must survive them.

A target takes one case and either returns or raises InputError; anything else that comes out is a fault.
"""

import json
import logging
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import cv2
import numpy as np
import torch
from hypothesis import strategies as st
from safetensors.torch import save as serialise

from distill_vo import settings, student, trajectory
from distill_vo.bags import kitti_to_bag
from distill_vo.camera import DISTORTION_MODELS, Camera
from distill_vo.errors import InputError
from distill_vo.frame import CanonicalView
from distill_vo.networks import NetworkSettings, PoseRegressor
from distill_vo.sources import open_source
from distill_vo.sources.decode import ENCODINGS, decode
from distill_vo.student import Student, StudentSettings

BYTES = [b"\0", b"\xff", b"\0" * 8, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\1"]
# A few lines of YAML that stand for 9**8 numbers.
LAUGHS = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
WORDS = [word.encode() for word in (
    "nan", ".nan", ".inf", "-.inf", "-1", "0", "-0.0", "1e999", "9" * 400, "0x10", "1_000", "12:30:45",
    "2001-99-99", "~", "true", "[", "{", "}", "[" * 2000, "\n", "\t", " ", ",", ": ", "- ", "'", "#", "&x ",
    "*x", "<<: *x", "\0", "é", "!!python/object/apply:os.abort []", "!!binary x", f"\n{LAUGHS}\ndata: *i\n")]
SIZES = st.sampled_from([0, 1, 2, 3, 4, 7, 16, 33, 640, 16384, 16385, 2**16, 2**31 - 1, 2**31, 2**32 - 1])
NUMBERS = st.one_of(st.floats(width=64), st.sampled_from(
    [0.0, 1.0, 380.0, 3.8e5, 1e10, 5e-324, 1e-300, 1e300, np.inf, np.nan]))


@dataclass(frozen=True)
class Target:
    """Cases, and what each is given to."""

    cases: st.SearchStrategy
    run: Callable[[object], None]

    def survives(self, case) -> None:
        """Raises what it must not: all but InputError."""
        logging.disable(logging.CRITICAL)
        try:
            with warnings.catch_warnings(), suppress(InputError), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                self.run(case)
        finally:
            logging.disable(logging.NOTSET)


@st.composite
def damaged(draw, seed: bytes, pieces: list[bytes] = BYTES) -> bytes:
    """A good file with some edits: many near its ends, where headers and indices are."""
    data = bytearray(seed)
    for _ in range(draw(st.integers(1, 5))):
        reach = draw(st.sampled_from([32, 256, len(data)]))
        at = draw(st.integers(0, max(0, min(reach, len(data)) - 1)))
        if draw(st.booleans()):
            at = max(0, len(data) - 1 - at)
        length = draw(st.sampled_from([0, 1, 4, 40]))
        piece = draw(st.one_of(st.sampled_from(pieces), st.binary(max_size=8)))
        edit = draw(st.sampled_from(["overwrite", "insert", "repeat", "cut"]))
        if edit == "overwrite":
            data[at:at + len(piece)] = piece
        elif edit == "insert":
            data[at:at + length] = piece
        elif edit == "repeat":
            data[at:at] = data[at:at + length] * 3
        else:
            del data[at:]
    return bytes(data)


def as_file(read: Callable[[Path], object], name: str) -> Callable[[bytes], None]:
    """A target that reads the case as a file of this name."""
    def run(data: bytes) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder, name)
            path.write_bytes(data)
            read(path)
    return run


# -- messages --------------------------------------------------------------------------------------
HEADERS = st.builds(SimpleNamespace, frame_id=st.sampled_from(["camera_optical", "", "/", "é", "x" * 1000]),
                    sec=st.sampled_from([-2**31, -1, 0, 1, 2, 3, 2**31 - 1]),
                    nanosec=st.sampled_from([0, 1, 10**8, 2 * 10**8, 999_999_999, 2**32 - 1]))
IMAGES = st.builds(
    SimpleNamespace, header=HEADERS, width=SIZES, height=SIZES, step=SIZES, is_bigendian=st.integers(0, 1),
    encoding=st.one_of(st.sampled_from(sorted(ENCODINGS)), st.text(max_size=20)),
    data=st.one_of(st.sampled_from([0, 1, 48, 640 * 192, 640 * 192 * 4]).map(bytes), st.binary(max_size=300)))
CAMERA_INFOS = st.builds(
    SimpleNamespace, header=HEADERS, width=SIZES, height=SIZES,
    k=st.one_of(st.just([380.0, 0.0, 319.5, 0.0, 380.0, 91.0, 0.0, 0.0, 1.0]),
                st.lists(NUMBERS, min_size=9, max_size=9)),
    d=st.one_of(st.just([]), st.lists(NUMBERS, max_size=15)),
    distortion_model=st.one_of(st.sampled_from(["", *DISTORTION_MODELS]), st.text(max_size=20)),
    binning_x=SIZES, binning_y=SIZES,
    roi=st.builds(SimpleNamespace, x_offset=SIZES, y_offset=SIZES, width=SIZES, height=SIZES))


@cache
def picture(suffix: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    return cv2.imencode(suffix, noise)[1].tobytes()


COMPRESSED_IMAGES = st.builds(
    SimpleNamespace, header=HEADERS,
    format=st.sampled_from(["jpeg", "png", "", "16UC1; compressedDepth", "é"]),
    data=st.sampled_from([".png", ".jpg"]).flatmap(lambda suffix: damaged(picture(suffix))))


def see(image) -> None:
    """An image message on its way to the front end."""
    array = decode(image)
    CanonicalView(Camera(array.shape[1], array.shape[0], 380.0, 380.0, 319.5, 91.0))(array)


def calibrate(info) -> None:
    CanonicalView(Camera.from_camera_info(info))


# -- files -----------------------------------------------------------------------------------------
NETWORK = NetworkSettings("dense_flow", ((2, 2, 4), (2, 2, 4)), (16, 16), hint_layer=2, input_scale=8.0)
CALIBRATION = b"""image_width: 640
image_height: 192
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [380.0, 0.0, 319.5, 0.0, 380.0, 91.0, 0.0, 0.0, 1.0]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0.0, 0.0, 0.0, 0.0]}
camera_height: 1.65
"""
TUM = b"".join(b"%d.5 %d 0 0 0 0 0 1\n" % (k, k) for k in range(5))
KITTI = b"".join(b"1 0 0 0 0 1 0 0 0 0 1 %d\n" % k for k in range(5))


@cache
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return PoseRegressor(NETWORK).state_dict()


def model_file(text: str, dtype: torch.dtype = torch.float32) -> bytes:
    """A student's file with these settings (JSON) and the digest that belongs to them."""
    cast = {name: tensor.to(dtype) for name, tensor in weights().items()}
    return serialise(cast, {"settings": text, "digest": student._digest(cast, text)})


GOOD_SETTINGS = asdict(StudentSettings(NETWORK))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2**40), NUMBERS, st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=4))


@st.composite
def other_settings(draw) -> bytes:
    """A model file that is whole and has its digest, but settings or weights are others."""
    changed = json.loads(json.dumps(GOOD_SETTINGS))
    section = draw(st.sampled_from([changed, changed["network"], changed["network"], changed["camera"]]))
    section[draw(st.sampled_from([*section, "other"]))] = draw(VALUES)
    text = draw(st.one_of(st.just(json.dumps(changed)), damaged(json.dumps(changed).encode(), WORDS).map(
        lambda data: data.decode(errors="replace"))))
    return model_file(text, draw(st.sampled_from([torch.float32, torch.float32, torch.bfloat16, torch.int8])))


MODELS = st.one_of(other_settings(), st.deferred(lambda: damaged(model_file(json.dumps(GOOD_SETTINGS)))))


def load_model(path: Path) -> None:
    loaded = Student.load(path, "cpu")
    loaded(np.zeros(loaded.front_end.shape, np.float32))


@cache
def bag_files(storage: str) -> dict[str, bytes]:
    """The files of a small whole bag, with truth."""
    with TemporaryDirectory() as folder:
        sequence = Path(folder, "sequences", "00")
        (sequence / "image_0").mkdir(parents=True)
        (sequence / "calib.txt").write_text("P0: 19 0 16 0 0 19 8 0 0 0 1 0\n")
        for k in range(3):
            cv2.imwrite(str(sequence / "image_0" / f"{k:06d}.png"), np.full((16, 32), 60 * k, np.uint8))
        Path(folder, "poses").mkdir()
        Path(folder, "poses", "00.txt").write_bytes(KITTI[:KITTI.index(b"3\n") - 22])
        kitti_to_bag(sequence, Path(folder, "bag"), storage)
        return {file.name: file.read_bytes() for file in Path(folder, "bag").iterdir()}


@st.composite
def bags(draw, storage: str) -> dict[str, bytes]:
    """A bag with one of its files damaged."""
    files = dict(bag_files(storage))
    name = draw(st.sampled_from(sorted(files)))
    pieces = BYTES + WORDS if name.endswith("yaml") else BYTES
    files[name] = draw(damaged(files[name], pieces))
    if draw(st.booleans()) and name != "metadata.yaml":
        del files["metadata.yaml"]  # its digest of the file would tell of the damage first
    return files


def read_bag(files: dict[str, bytes]) -> None:
    with TemporaryDirectory() as folder:
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        for _ in open_source(folder):
            pass


TARGETS = {
    "image": Target(IMAGES, see),
    "compressed_image": Target(COMPRESSED_IMAGES, see),
    "camera_info": Target(CAMERA_INFOS, calibrate),
    "model_file": Target(MODELS, as_file(load_model, "student.safetensors")),
    "calibration_file": Target(damaged(CALIBRATION, WORDS), as_file(Camera.from_yaml, "camera.yaml")),
    "settings_file": Target(
        damaged(b"frames: 300\nseed: 4\nstyle: {a: 1.5}\n", WORDS),
        as_file(lambda path: settings.load(Camera, path), "settings.yaml")),
    "trajectory_file": Target(
        st.sampled_from([TUM, KITTI]).flatmap(lambda seed: damaged(seed, WORDS)),
        as_file(lambda path: trajectory.read(path).poses, "trajectory.txt")),
    "bag_mcap": Target(bags("mcap"), read_bag),
    "bag_sqlite3": Target(bags("sqlite3"), read_bag),
}
