"""From what the renderer drew to what a camera would have recorded.

BGR (H, W, 3) uint8 in and out; everything about one camera and its weather is drawn once a sequence. All
per-frame work is in saturating bytes: a frame costs about a millisecond.
"""

import cv2
import numpy as np

from training.data.road import smooth

MARGIN = 64  # the noise field is larger than a frame by this and shifted from frame to frame


class Sensor:
    """Haze, glare, exposure, gamma, blur, noise, JPEG: in the order light meets them."""

    def __init__(
        self, size: tuple[int, int], horizon: float, frames: int, rng: np.random.Generator
    ):
        """size (width, height); horizon: the row where a level road ends, for haze."""
        self._rng, self._size = rng, size
        self._channels = 1 if rng.random() < 0.55 else 3
        self._blur = rng.choice([0.0, rng.uniform(0.3, 0.9)], p=[0.55, 0.45])
        self._jpeg = int(rng.integers(55, 96)) if rng.random() < 0.15 else None
        self._shutter = rng.uniform(0, 0.25) if rng.random() < 0.3 else 0.0
        drift = smooth(rng.normal(0, 1, frames), 25)
        drift /= drift.std() + 1e-9
        self._exposure = np.exp(drift * rng.uniform(0.01, 0.2))
        self._target, self._gamma = rng.uniform(60, 130), np.exp(rng.normal(-0.05, 0.15))
        self._contrast, self._level = rng.uniform(1.05, 1.75), None
        self._gain, self._veil = self._haze(horizon)
        if rng.random() < 0.15:
            self._veil = cv2.add(self._veil, self._glare())
        deviation = np.exp(rng.uniform(np.log(0.5), np.log(3)))
        self._bright, self._dark = self._noise(deviation)

    def _haze(self, horizon: float) -> tuple[np.ndarray, np.ndarray]:
        """Vignetting and haze as out = in * gain / 255 + veil."""
        rng, (width, height) = self._rng, self._size
        density = rng.choice(
            [0.0, rng.uniform(0.001, 0.008), rng.uniform(0.008, 0.025)], p=[0.5, 0.4, 0.1]
        )
        rows = np.arange(height) - horizon
        depth = np.where(rows > 0, 700 / np.maximum(rows, 10), 70 + np.minimum(rows, 0) * 0.4)
        clear = np.exp(-density * np.maximum(depth, 10))[:, None]
        x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-0.3, 0.3, height))
        fall = 1 - rng.uniform(0, 0.3) * (x**2 + y**2)
        return self._bytes(255 * clear * fall), self._bytes(
            (1 - clear) * fall * rng.uniform(140, 230)
        )

    def _glare(self) -> np.ndarray:
        """The sun in the lens: a bright spot above and a veil over everything."""
        rng, (width, height) = self._rng, self._size
        x, y = np.meshgrid(
            np.arange(width) - rng.uniform(0, width), np.arange(height) - rng.uniform(-60, 50)
        )
        glow = rng.uniform(60, 160) * np.exp(-np.hypot(x, y) / rng.uniform(40, 160)) + rng.uniform(
            0, 25
        )
        return self._bytes(glow)

    def _noise(self, deviation: float) -> tuple[np.ndarray, np.ndarray]:
        """What to add and what to take away, (H + MARGIN, W + MARGIN, channels) uint8."""
        width, height = self._size
        noise = self._rng.standard_normal(
            (height + MARGIN, width + MARGIN, self._channels), np.float32
        )
        if self._rng.random() < 0.5:  # noise that a resize has softened
            noise = cv2.GaussianBlur(noise, (3, 3), 0.6).reshape(noise.shape) * 1.6
        noise = np.round(noise * deviation)
        return np.maximum(noise, 0).astype(np.uint8), np.maximum(-noise, 0).astype(np.uint8)

    def _bytes(self, values: np.ndarray) -> np.ndarray:
        """(H, W) float -> as many channels as the sensor has, uint8."""
        values = np.clip(values, 0, 255).astype(np.uint8)
        return values if self._channels == 1 else np.repeat(values[..., None], 3, axis=2)

    def _curve(self, image: np.ndarray, index: int) -> np.ndarray:
        """The response: (256,) uint8. The first frame's road sets the level, as automatic exposure would."""
        x = np.arange(256) / 255
        if self._level is None:
            self._level = 1.0
            for _ in range(4):
                mean = self._response(x * self._level)[image[self._size[1] // 2 :: 4, ::4]].mean()
                self._level *= np.clip(self._target / max(mean, 1), 0.5, 2)
        return np.clip(self._response(x * self._level * self._exposure[index]), 0, 255).astype(
            np.uint8
        )

    def _response(self, light: np.ndarray) -> np.ndarray:
        light = 255 * np.clip(light, 0, 1) ** self._gamma
        return np.maximum(self._target + (light - self._target) * self._contrast, 0.3 * light)

    def expose(self, frame: np.ndarray, index: int, yaw_pixels: float) -> np.ndarray:
        """frame number `index`, in order; yaw_pixels: the picture's sideways motion in a frame's time."""
        image = frame if self._channels == 3 else cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        image = cv2.multiply(image, self._gain, scale=1 / 255)
        image = cv2.add(image, self._veil)
        image = cv2.LUT(image, self._curve(image, index))
        smear = int(round(abs(yaw_pixels) * self._shutter))
        if smear > 1:
            image = cv2.blur(image, (smear | 1, 1))
        if self._blur > 0:
            image = cv2.GaussianBlur(image, (3, 3), self._blur)
        dx, dy = self._rng.integers(0, MARGIN, 2)
        (width, height), image = self._size, image.reshape(*image.shape[:2], self._channels)
        image = cv2.add(image, self._bright[dy : dy + height, dx : dx + width])
        image = cv2.subtract(image, self._dark[dy : dy + height, dx : dx + width])
        if self._jpeg is not None:
            data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._jpeg])[1]
            image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        return image if self._channels == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
