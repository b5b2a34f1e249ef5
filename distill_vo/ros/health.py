"""What a run of the node looked like: frames, what was not used and why, rate and latency."""

import time
from collections import deque

import numpy as np

RECENT = 1000  # latencies kept


class Health:
    """Counts since the node was activated; latencies in seconds, over the newest RECENT frames."""

    def __init__(self):
        self.frames = 0  # odometry published
        self.lost = 0  # of these, with status lost
        self.early = 0  # images before calibration and mounting were known
        self.unusable = 0  # images that could not be read or do not fit the calibration
        self._latencies: deque[float] = deque(maxlen=RECENT)
        self._first = self._last = 0.0

    def tracked(self, started: float, lost: bool) -> None:
        """One image has become odometry; `started` is time.perf_counter() when it came in."""
        self._last = time.perf_counter()
        self._first = self._first or self._last
        self._latencies.append(self._last - started)
        self.frames += 1
        self.lost += lost

    @property
    def rate_hz(self) -> float:
        elapsed = self._last - self._first
        return (self.frames - 1) / elapsed if elapsed > 0 else 0.0

    def latency_ms(self, percentile: float) -> float:
        return float(np.percentile(self._latencies, percentile)) * 1e3 if self._latencies else 0.0

    def __str__(self) -> str:
        """One line: 300 frames (0 lost), 1 dropped, 29.9 Hz, latency 4.1 ms p50, 6.0 ms p95."""
        dropped = f"{self.early + self.unusable} dropped"
        if self.early or self.unusable:
            dropped += (f" ({self.early} before calibration and mounting were known, "
                        f"{self.unusable} unusable)")
        return (f"{self.frames} frames ({self.lost} lost), {dropped}, {self.rate_hz:.1f} Hz, latency "
                f"{self.latency_ms(50):.1f} ms p50, {self.latency_ms(95):.1f} ms p95")
