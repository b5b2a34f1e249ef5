"""Which code takes the pixels out of image messages: cv_bridge where it works, or the package's own.

What is made of the pixels (grey or BGR, 8 bits) is decided in distill_vo.sources.decode for both, so that the
node and the offline reader see the same image to the last bit.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from sensor_msgs.msg import Image

from distill_vo.sources import decode


def image_decoder() -> Callable[[Image], np.ndarray]:
    """decode.decode, on cv_bridge if it is there and right about a padded, big-endian image.

    Some builds of it break with newer versions of NumPy, on import or only on the other byte order.
    """
    try:
        from cv_bridge import CvBridge

        bridge = CvBridge()
        probe = Image(encoding="mono16", width=2, height=2, step=6, is_bigendian=1, data=bytes(range(12)))
        if not np.array_equal(bridge.imgmsg_to_cv2(probe, "passthrough"), decode.unpack(probe)):
            return decode.decode
    except Exception:  # whatever an import or a binary of another version throws
        return decode.decode
    return partial(decode.decode, unpack=partial(_by_bridge, bridge))


def _by_bridge(bridge, message: Image) -> np.ndarray:
    try:
        return np.asarray(bridge.imgmsg_to_cv2(message, "passthrough"))
    except Exception:  # an encoding that only newer versions know
        return decode.unpack(message)
