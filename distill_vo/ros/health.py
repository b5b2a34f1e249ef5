"""What a run of the node looked like: frames, what was not used and why, rate and latency."""

import time
from collections import Counter, deque

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from distill_vo.odometry import Estimate, Status

RECENT = 1000  # latencies kept
RECENT_FRAMES = 50  # over which the present rate is taken
SILENCE_S = 5.0  # without an image: no longer alive


class Health:
    """Counts since the node was activated; latencies in seconds, over the newest RECENT frames."""

    def __init__(self):
        self.frames = 0  # odometry published
        self.gaps = 0  # of these, after longer than max_gap without an image
        self.missed = 0  # images that were published and never came here
        self.early = 0  # images before calibration and mounting were known
        self.late = 0  # images that came twice, after a later one, or with a stamp that may be wrong
        self.unusable = 0  # images that could not be read or are not of this camera
        self.paused = 0  # images that came while the node was paused
        self.statuses: Counter[Status] = Counter()
        self.status: Status | None = None
        self._latencies: deque[float] = deque(maxlen=RECENT)
        self._times: deque[float] = deque(maxlen=RECENT_FRAMES)
        self._first = 0.0
        self._number: int | None = None  # that its publisher gave the newest image
        self._heard = self._used = time.perf_counter()

    def heard(self, info: dict, publishers: int) -> float:
        """An image's turn has come; `info` is rclpy's of its message, `publishers` are those of its topic.

        Returns for `tracked` when the middleware received it, or where that is not told, when it was sent.
        """
        self._heard = time.perf_counter()
        # What overflows the queue counts as no "message lost" of DDS; the publisher's numbers show it. Each
        # publisher has its own, and of whom an image is rclpy does not tell.
        number = info["publication_sequence_number"] if publishers < 2 else None
        if number and self._number:
            self.missed += max(0, number - self._number - 1)
        self._number = number
        received_ns = info["received_timestamp"] or info["source_timestamp"]  # 0 where it is not told
        waited_ns = time.time_ns() - received_ns if received_ns else 0
        return self._heard - max(0, waited_ns) * 1e-9

    def tracked(self, received: float, estimate: Estimate | None) -> None:
        """One image has become odometry, or None: it is not to count."""
        if estimate is None:
            self.late += 1
            return
        self._used = now = time.perf_counter()
        self._first = self._first or now
        self._times.append(now)
        self._latencies.append(now - received)
        self.frames += 1
        self.gaps += estimate.after_gap
        self.status = estimate.status
        self.statuses[estimate.status] += 1

    @property
    def silent_s(self) -> float:
        """Seconds since an image came, or since activation."""
        return time.perf_counter() - self._heard

    @property
    def idle_s(self) -> float:
        """Seconds since an image became odometry, or since activation."""
        return time.perf_counter() - self._used

    @property
    def rate_hz(self) -> float:
        """Over the whole run."""
        elapsed = self._times[-1] - self._first if self._times else 0.0
        return (self.frames - 1) / elapsed if elapsed > 0 else 0.0

    @property
    def recent_rate_hz(self) -> float:
        if len(self._times) < 2 or self.idle_s > SILENCE_S:
            return 0.0
        return (len(self._times) - 1) / (self._times[-1] - self._times[0])

    def latency_ms(self, percentile: float) -> float:
        return float(np.percentile(self._latencies, percentile)) * 1e3 if self._latencies else 0.0

    def diagnostics(self, name: str, stamp, about: dict) -> DiagnosticArray:
        """For /diagnostics; `about` is what else is to be told: device, model, camera."""
        level, says = self._verdict()
        values = {
            "status": self.status.value if self.status else "waiting",
            "rate (Hz)": f"{self.recent_rate_hz:.1f}",
            "latency p50 (ms)": f"{self.latency_ms(50):.1f}",
            "latency p95 (ms)": f"{self.latency_ms(95):.1f}",
            "frames": self.frames, "frames degraded": self.statuses[Status.DEGRADED],
            "frames lost": self.statuses[Status.LOST], "gaps": self.gaps,
            "dropped: lost in the queue or on the way": self.missed,
            "dropped: calibration or mounting unknown": self.early, "dropped: late or twice": self.late,
            "dropped: unusable": self.unusable, "dropped: paused": self.paused, **about}
        status = DiagnosticStatus(level=level, name=f"{name}: odometry", message=says, hardware_id=name,
                                  values=[KeyValue(key=k, value=str(v)) for k, v in values.items()])
        array = DiagnosticArray(status=[status])
        array.header.stamp = stamp
        return array

    def _verdict(self) -> tuple[bytes, str]:
        if self.silent_s > SILENCE_S:
            return DiagnosticStatus.STALE, f"no image for {self.silent_s:.0f} s"
        if self.idle_s > SILENCE_S and (self.status or self.unusable):
            return DiagnosticStatus.WARN, f"images come, and for {self.idle_s:.0f} s none of them was used"
        if self.status is None:
            return DiagnosticStatus.WARN, "waiting for images, calibration and mounting"
        # By Little's law rate times latency is how many images are here at once; of more than one, some wait.
        age_s = np.mean(list(self._latencies)[1 - len(self._times):])
        if age_s * self.recent_rate_hz > 1 and self.status is not Status.LOST:
            return DiagnosticStatus.WARN, (
                f"images queue, odometry is {age_s * 1e3:.0f} ms old: lower the camera's rate or leave the "
                "node more of the processor; image_depth:=1 keeps odometry new")
        return {Status.TRACKING: (DiagnosticStatus.OK, "tracking"),
                Status.DEGRADED: (DiagnosticStatus.WARN, "degraded: little can be seen"),
                Status.LOST: (DiagnosticStatus.ERROR, "lost: nothing can be seen")}[self.status]

    def __str__(self) -> str:
        """One line: 300 frames (0 lost), 1 dropped, 29.9 Hz, latency 4.1 ms p50, 6.0 ms p95."""
        reasons = {"in the queue or on the way": self.missed,
                   "before calibration and mounting were known": self.early,
                   "late": self.late, "unusable": self.unusable, "while paused": self.paused}
        told = ", ".join(f"{count} {why}" for why, count in reasons.items() if count)
        dropped = f"{sum(reasons.values())} dropped" + f" ({told})" * bool(told)
        return (f"{self.frames} frames ({self.statuses[Status.LOST]} lost), {dropped}, "
                f"{self.rate_hz:.1f} Hz, latency {self.latency_ms(50):.1f} ms p50, "
                f"{self.latency_ms(95):.1f} ms p95")
