"""Image messages and files as arrays: every encoding, and nothing that contradicts itself."""

import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from distill_vo.errors import InputError
from distill_vo.sources.decode import decode, decode_bytes

NOISE = np.random.default_rng(0).integers(0, 256, (96, 320), np.uint8)


def message(encoding, data, width=4, height=2, step=None, big=0):
    data = np.ascontiguousarray(data)
    return SimpleNamespace(encoding=encoding, width=width, height=height, is_bigendian=big,
                           step=step or data.nbytes // height, data=data.reshape(-1).view(np.uint8))


GREY = np.array([[10, 200, 0, 255], [7, 8, 9, 11]], np.uint8)
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)  # BGR
ALPHA = np.full((2, 4, 1), 77, np.uint8)
RED_FIRST = COLOUR[..., ::-1]


@pytest.mark.parametrize("encoding, data, expected", [
    ("mono8", GREY, GREY),
    ("8UC1", GREY, GREY),
    ("mono16", GREY.astype("<u2") * 256 + 99, GREY),
    ("bgr8", COLOUR, COLOUR),
    ("rgb8", RED_FIRST, COLOUR),
    ("bgra8", np.dstack([COLOUR, ALPHA]), COLOUR),
    ("rgba8", np.dstack([RED_FIRST, ALPHA]), COLOUR),
    ("rgb16", RED_FIRST.astype("<u2") * 256 + 3, COLOUR),
])
def test_encodings_come_out_as_grey_or_bgr(encoding, data, expected):
    np.testing.assert_array_equal(decode(message(encoding, data)), expected)


def test_big_endian_and_padded_rows():
    big = (GREY.astype("u2") * 256 + 99).astype(">u2").view(np.uint8).reshape(2, 8)
    padded = np.pad(big, ((0, 0), (0, 5)), constant_values=1)
    np.testing.assert_array_equal(decode(message("mono16", padded, step=13, big=1)), GREY)
    padded = np.pad(COLOUR.reshape(2, 12), ((0, 0), (0, 4)))
    np.testing.assert_array_equal(decode(message("bgr8", padded, step=16)), COLOUR)


@pytest.mark.parametrize("first", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_of_a_plain_colour_is_that_colour(first):
    value = {"r": 30, "g": 120, "b": 220}
    tile = np.array([value[letter] for letter in first], np.uint8).reshape(2, 2)
    for size, kind in ((8, "u1"), (16, "<u2")):
        mosaic = np.tile(tile, (4, 4)).astype(kind) * (1 if size == 8 else 256)
        image = decode(message(f"bayer_{first}{size}", mosaic, 8, 8))
        assert (image == [220, 120, 30]).all()


@pytest.mark.parametrize("encoding, order", [("yuv422", (1, 0)), ("uyvy", (1, 0)),
                                             ("yuv422_yuy2", (0, 1)), ("yuyv", (0, 1))])
def test_yuv_without_colour_is_grey_of_its_luma(encoding, order):
    luma = np.full((2, 4), 126, np.uint8)
    planes = [luma, np.full_like(luma, 128)]
    image = decode(message(encoding, np.dstack([planes[i] for i in order])))
    assert image.shape == (2, 4, 3) and (abs(image.astype(int) - 128) <= 1).all()


@pytest.mark.parametrize("change", [
    {"width": 2**31}, {"height": 0}, {"step": 3}, {"step": 2**32 - 1}, {"height": 3},
    {"encoding": "32FC1"}, {"encoding": "bayer_rggb8"}, {"encoding": "nonsense" * 1000},
])
def test_message_that_contradicts_itself_is_refused(change):
    with pytest.raises(InputError) as error:
        decode(SimpleNamespace(**{**vars(message("mono8", GREY)), **change}))
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_compressed_image_is_whole_or_refused(suffix):
    data = cv2.imencode(suffix, NOISE)[1].tobytes()
    compressed = SimpleNamespace(format=suffix[1:], data=np.frombuffer(data, np.uint8))
    assert decode(compressed).shape == NOISE.shape
    assert decode_bytes(data + b"\0" * 7, "padded").shape == NOISE.shape
    for broken in (data[:-20], data[:100], b"", b"\xff\xd8\xff\xff", suffix.encode() + data):
        with pytest.raises(InputError):
            decode_bytes(broken, "image")


@pytest.mark.parametrize("side", [16000, 60000])
def test_image_bomb_is_refused_before_it_is_unpacked(side):
    def chunk(kind, body):
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")
    with pytest.raises(InputError, match="usable size"):
        decode_bytes(bomb, "bomb.png")


def test_a_small_file_that_claims_many_pixels_is_refused_before_it_is_decoded():
    data = bytearray(cv2.imencode(".jpg", np.zeros((16, 16), np.uint8))[1].tobytes())
    at = data.index(b"\xff\xc0") + 5
    data[at:at + 4] = struct.pack(">HH", 8000, 8000)
    with pytest.raises(InputError, match="usable size"):
        decode_bytes(bytes(data), "image")
