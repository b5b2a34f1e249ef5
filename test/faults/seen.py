"""Faults of what the camera sees."""

import cv2
import numpy as np
from drive import FIRST, fault


@fault("degraded")
def dark(drive, k):
    """a tunnel without light: black with sensor noise"""
    drive.show(k, drive.rng.normal(3, 2, drive.images[k].shape))


@fault("degraded lost", frames=16)
def dark_for_long(drive, k):
    """the same for longer than max_gap"""
    dark(drive, k)


@fault("degraded", frames=1)
def one_dark_image(drive, k):
    """a single black image"""
    dark(drive, k)


@fault("degraded")
def blank_white(drive, k):
    """overexposed: all white"""
    drive.show(k, np.full_like(drive.images[k], 255))


@fault("degraded")
def blank_grey(drive, k):
    """a test picture: all grey"""
    drive.show(k, np.full_like(drive.images[k], 128))


@fault("degraded")
def covered(drive, k):
    """a hand on the lens: dark, smooth, noisy"""
    shade = np.linspace(10, 60, drive.images[k].shape[1])[None]
    drive.show(k, shade + drive.rng.normal(0, 3, drive.images[k].shape))


@fault("degraded")
def frozen(drive, k):
    """the driver repeats one image with new stamps"""
    drive.show(k, drive.images[FIRST - 1])


@fault("degraded lost", frames=16)
def frozen_for_long(drive, k):
    """the same for longer than max_gap"""
    drive.show(k, drive.images[FIRST - 1])


@fault("degraded tracking")
def every_image_twice(drive, k):
    """each image comes again half a period later with a new stamp"""
    drive.show(k)
    drive.show(k, stamp_ns=drive.stamp_ns(k + 0.5))


@fault("degraded")
def thick_fog(drive, k):
    """contrast falls to a fiftieth"""
    drive.show(k, 150 + (drive.images[k].astype(float) - 128) / 50 + drive.rng.normal(0, 1, (192, 640)))


@fault("degraded tracking")
def noise(drive, k):
    """night with high gain: noise of 25 grey levels"""
    drive.show(k, drive.images[k] + drive.rng.normal(0, 25, drive.images[k].shape))


@fault("degraded tracking")
def out_of_focus(drive, k):
    """rain on the lens: blurred by 8 pixels"""
    drive.show(k, cv2.GaussianBlur(drive.images[k], (0, 0), 8))


@fault("tracking", frames=10)
def exposure_jump(drive, k):
    """half the light at once, and back"""
    drive.show(k, drive.images[k] * 0.5)


@fault("degraded tracking")
def flicker(drive, k):
    """brightness alternates by a third from image to image"""
    drive.show(k, drive.images[k] * (0.67 if k % 2 else 1.0))


@fault("degraded tracking", frames=2)
def torn_image(drive, k):
    """the lower half is of an image a second old"""
    drive.show(k, np.vstack([drive.images[k][:96], drive.images[k - 10][96:]]))


@fault("degraded", frames=1)
def image_of_noise(drive, k):
    """a single image of nothing but noise"""
    drive.show(k, drive.rng.integers(0, 256, drive.images[k].shape))


@fault("degraded tracking", frames=3)
def upside_down(drive, k):
    """the driver turns images over for a moment"""
    drive.show(k, drive.images[k][::-1, ::-1])


@fault("degraded tracking")
def dirt_on_half_the_lens(drive, k):
    """the left half is covered"""
    image = drive.images[k].copy()
    image[:, :320] = 20
    drive.show(k, image)


@fault("degraded tracking", frames=1)
def jerk_beyond_the_flow(drive, k):
    """the view jumps aside by 200 pixels and back"""
    drive.show(k, np.roll(drive.images[k], 200, axis=1))
