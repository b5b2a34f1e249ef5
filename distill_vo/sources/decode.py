"""sensor_msgs images and image files -> arrays: grey (H, W) or BGR (H, W, 3), uint8.

Messages are duck-typed: rclpy's and rosbags' both work. Sizes are checked against what is there
before anything of that size is allocated. 16-bit images keep their upper 8 bits, as cv_bridge does.
"""

import struct
from contextlib import suppress

import cv2
import numpy as np

from distill_vo.camera import LARGEST_SIDE
from distill_vo.errors import InputError

LARGEST_PIXELS = 16_000_000  # of a compressed image, as a few bytes can claim many: a second of work

# encoding -> bytes a channel, channels, conversion to grey or BGR (None: as it is)
ENCODINGS = {
    "mono8": (1, 1, None), "8UC1": (1, 1, None),
    "mono16": (2, 1, None), "16UC1": (2, 1, None),
    "bgr8": (1, 3, None), "8UC3": (1, 3, None), "bgr16": (2, 3, None),
    "rgb8": (1, 3, cv2.COLOR_RGB2BGR), "rgb16": (2, 3, cv2.COLOR_RGB2BGR),
    "bgra8": (1, 4, cv2.COLOR_BGRA2BGR), "8UC4": (1, 4, cv2.COLOR_BGRA2BGR),
    "bgra16": (2, 4, cv2.COLOR_BGRA2BGR),
    "rgba8": (1, 4, cv2.COLOR_RGBA2BGR), "rgba16": (2, 4, cv2.COLOR_RGBA2BGR),
    "yuv422": (1, 2, cv2.COLOR_YUV2BGR_UYVY), "uyvy": (1, 2, cv2.COLOR_YUV2BGR_UYVY),
    "yuv422_yuy2": (1, 2, cv2.COLOR_YUV2BGR_YUY2), "yuyv": (1, 2, cv2.COLOR_YUV2BGR_YUY2),
} | {
    f"bayer_{pattern}{8 * size}": (size, 1, code)
    for pattern, code in (("rggb", cv2.COLOR_BayerRGGB2BGR), ("bggr", cv2.COLOR_BayerBGGR2BGR),
                          ("gbrg", cv2.COLOR_BayerGBRG2BGR), ("grbg", cv2.COLOR_BayerGRBG2BGR))
    for size in (1, 2)
}


def unpack(msg) -> np.ndarray:
    """A sensor_msgs/Image whose size was checked -> (H, W) or (H, W, channels), uint8 or native uint16."""
    size, channels, _ = ENCODINGS[msg.encoding]
    kind = np.dtype("u1" if size == 1 else ">u2" if msg.is_bigendian else "<u2")
    rows = np.frombuffer(msg.data, np.uint8)[: msg.step * msg.height].reshape(msg.height, msg.step)
    pixels = np.ascontiguousarray(rows[:, : msg.width * channels * size]).view(kind)
    return pixels.reshape((msg.height, msg.width, channels) if channels > 1 else (msg.height, msg.width))


def decode(msg, unpack=unpack) -> np.ndarray:
    """sensor_msgs Image or CompressedImage -> grey (H, W) or BGR (H, W, 3) uint8. Raises
    InputError.

    The array may share the message's memory, and may then be read only. `unpack` is what takes the pixels out
    of an Image.
    """
    if not hasattr(msg, "encoding"):
        if "compressedDepth" in msg.format:
            raise InputError("compressed image: holds depth; give a camera's image topic.")
        return decode_bytes(bytes(msg.data), "compressed image")
    if msg.encoding not in ENCODINGS:
        raise InputError(f"image: encoding '{str(msg.encoding)[:40]}' is not known; use one of "
                         f"{', '.join(ENCODINGS)}.")
    size, channels, conversion = ENCODINGS[msg.encoding]
    width, height, step = int(msg.width), int(msg.height), int(msg.step)
    there = len(np.frombuffer(msg.data, np.uint8))
    row = width * channels * size
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE) or step < row \
            or there < step * height:
        raise InputError(f"image: {width}x{height} {msg.encoding} with rows of {step} bytes does "
                         f"not fit its {there} bytes; the message is damaged.")
    if "yuv" in msg.encoding or msg.encoding in ("uyvy", "yuyv"):
        if width % 2:
            raise InputError(f"image: {msg.encoding} must have an even width, not {width}.")
    elif msg.encoding.startswith("bayer") and min(width, height) < 3:
        raise InputError(f"image: {width}x{height} is too small for {msg.encoding}.")
    image = unpack(msg)
    if size == 2:
        image = (image >> 8).astype(np.uint8)
    return image if conversion is None else cv2.cvtColor(image, conversion)


def decode_bytes(data: bytes, where: str) -> np.ndarray:
    """The bytes of a PNG or JPEG file -> grey (H, W) or BGR (H, W, 3) uint8. Raises InputError."""
    width, height = _png_size(data) or _jpeg_size(data) or (0, 0)
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE
            and width * height <= LARGEST_PIXELS):
        raise InputError(f"{where}: is not a PNG or JPEG image of a usable size; write it anew.")
    image = None
    with suppress(cv2.error):
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR)
    if image is None:
        raise InputError(f"{where}: is damaged and cannot be decoded; write it anew.")
    return image


def _png_size(data: bytes) -> tuple[int, int] | None:
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 24:
        return None
    return struct.unpack(">II", data[16:24])


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the frame header, found by walking the segments before it."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5:at + 9])
            return width, height
        is_fill = marker == 0xFF
        at += 1 if is_fill else 2 + int.from_bytes(data[at + 2:at + 4], "big")
    return None
