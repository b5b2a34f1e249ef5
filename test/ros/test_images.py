"""cv_bridge is used where it is there and right, and gives the same images.

It has no build for this package's plain set-up, so a stand-in with its interface proves which code is chosen;
where the real one can be imported it goes through the same cases.
"""

import sys
from types import ModuleType

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import Image

from distill_vo.ros.images import image_decoder
from distill_vo.sources import decode

RNG = np.random.default_rng(0)


class Right:
    """Unpacks as cv_bridge does: rows of any step, either byte order."""

    calls = 0

    def imgmsg_to_cv2(self, message, desired_encoding):
        assert desired_encoding == "passthrough"
        type(self).calls += 1
        return decode.unpack(message)


class Swapped(Right):
    """Forgets the byte order, as a build for another NumPy may."""

    def imgmsg_to_cv2(self, message, desired_encoding):
        return super().imgmsg_to_cv2(message, desired_encoding).byteswap()


class Broken:
    def __init__(self):
        raise AttributeError("newbyteorder was removed from the ndarray class in NumPy 2.0")


def offer(monkeypatch, bridge) -> None:
    module = ModuleType("cv_bridge")
    module.CvBridge = bridge
    monkeypatch.setitem(sys.modules, "cv_bridge", module)


def cases() -> list[Image]:
    """One message an encoding, padded, in both byte orders."""
    messages = []
    for encoding, (size, channels, _) in decode.ENCODINGS.items():
        for big in (0, 1):
            step = 8 * size * channels + 5
            data = RNG.integers(0, 256, 6 * step, np.uint8)
            messages.append(Image(encoding=encoding, width=8, height=6, step=step, is_bigendian=big,
                                  data=data.tobytes()))
    return messages


def test_every_encoding_comes_out_the_same_with_the_bridge(monkeypatch):
    try:
        import cv_bridge  # noqa: F401  the real one
    except Exception:
        offer(monkeypatch, Right)
    with_bridge = image_decoder()
    for message in cases():
        np.testing.assert_array_equal(with_bridge(message), decode.decode(message), err_msg=message.encoding)


def test_a_bridge_that_works_is_used(monkeypatch):
    offer(monkeypatch, Right)
    before, decoder = Right.calls, image_decoder()
    decoder(cases()[0])
    assert Right.calls >= before + 2


@pytest.mark.parametrize("bridge", [Swapped, Broken, None])
def test_a_bridge_that_does_not_work_is_left_alone(monkeypatch, bridge):
    if bridge is None:
        monkeypatch.setitem(sys.modules, "cv_bridge", None)  # import fails
    else:
        offer(monkeypatch, bridge)
    assert image_decoder() is decode.decode


def test_a_compressed_image_needs_no_bridge(monkeypatch):
    from sensor_msgs.msg import CompressedImage

    offer(monkeypatch, Right)
    image = RNG.integers(0, 256, (24, 32, 3), np.uint8)
    message = CompressedImage(format="png", data=cv2.imencode(".png", image)[1].tobytes())
    np.testing.assert_array_equal(image_decoder()(message), image)
