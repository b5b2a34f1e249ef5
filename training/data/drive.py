"""How the car moves along a road, and where that takes its camera.

A car's rear axle follows the road's line without slipping sideways; the camera sits ahead of it, so it swings
outwards in turns. The body pitches, rolls and bounces on its springs.
"""

from dataclasses import dataclass

import numpy as np

from distill_vo import geometry
from training.data.road import Road, between, smooth

DT = 0.1  # s between frames
PITCH_CENTRE_M = 1.4  # the body pitches about a point this far ahead of the rear axle


@dataclass(frozen=True)
class Mount:
    """The camera in the car: height above the road (m), pitch (down), yaw (right), roll (rad).

    forward (m) is its place ahead of the rear axle.
    """

    height: float
    pitch: float
    yaw: float
    roll: float
    forward: float

    @property
    def road_T_camera(self) -> np.ndarray:
        """(4, 4) from optical axes to the car's axes (x forward, y left, z up) on the road below it."""
        R = geometry.OPTICAL_AXES @ geometry.rotation_exp(np.array([-self.pitch, 0, 0]))
        R = R @ geometry.rotation_exp(np.array([0, self.yaw, 0]))
        T = np.eye(4)
        T[:3, :3] = R @ geometry.rotation_exp(np.array([0, 0, self.roll]))
        T[2, 3] = self.height
        return T


@dataclass(frozen=True)
class Drive:
    """A finished drive: the road, station of the car in each frame (F,), world_T_camera (F, 4, 4)."""

    road: Road
    stations: np.ndarray
    cameras: np.ndarray

    @property
    def speed(self) -> np.ndarray:
        return np.gradient(self.stations) / DT


def speed_limits(road: Road, cruise: float, lateral: float, rng: np.random.Generator) -> np.ndarray:
    """(N,) m/s: what driver and bends allow at each metre, braking and accelerating gently."""
    wish = cruise * (1 + 0.12 * smooth(rng.normal(0, 6, len(road.curvature)), 120))
    bend = smooth(np.abs(road.curvature), 6)
    limit = np.minimum(wish, np.sqrt(lateral / np.maximum(bend, 1e-4)))
    brake, push = rng.uniform(1.2, 2.4), rng.uniform(0.9, 2.0)
    for i in range(len(limit) - 2, -1, -1):
        limit[i] = min(limit[i], np.sqrt(limit[i + 1] ** 2 + 2 * brake))
    for i in range(1, len(limit)):
        limit[i] = min(limit[i], np.sqrt(limit[i - 1] ** 2 + 2 * push))
    return limit


def travel(limits: np.ndarray, start: float, stops, seconds: float) -> np.ndarray:
    """Stations at 50 Hz of a car that starts at `start`; stops: [(station, seconds to stand)]."""
    dt, s, t_wait = 0.02, start, 0.0
    v = float(limits[int(start)])
    stops = list(stops)
    out = np.empty(int(round(seconds / dt)) + 1)
    for i in range(len(out)):
        out[i] = s
        goal = limits[min(int(s), len(limits) - 1)]
        if stops:
            rest = stops[0][0] - s
            goal = min(goal, np.sqrt(max(2 * 1.6 * (rest - 0.3), 0)))
            if rest < 0.6 and v < 0.2:
                goal, t_wait = 0.0, t_wait + dt
                if t_wait > stops[0][1]:
                    stops.pop(0)
                    t_wait = 0.0
        v += np.clip(goal - v, -2.8 * dt, 1.8 * dt)
        s += max(v, 0.0) * dt
    return start + np.concatenate([[0], np.cumsum(smooth(np.diff(out), 25))])  # no jerk


def springs(speed: np.ndarray, lateral: np.ndarray, roughness: float, rng) -> np.ndarray:
    """(T, 3) pitch (nose down), roll (to the right) in rad and bounce in m, at 50 Hz.

    Three damped oscillators shaken by the road and leaned on by acceleration. Sizes follow KITTI's poses:
    0.1 to 0.2 degrees from frame to frame in pitch, a little less in roll. Cars roll by 3 to 7 degrees for
    each g aside (Gillespie, "Fundamentals of Vehicle Dynamics", SAE 1992, chapter 6).
    """
    dt = 0.02
    omega = 2 * np.pi * np.array([1.6, 1.2, 1.4]) * rng.uniform(0.85, 1.15, 3)
    damping = rng.uniform(0.15, 0.4, 3)
    acceleration = np.gradient(speed, dt)
    lean = np.stack([-acceleration * 0.0045, lateral * rng.uniform(0.0053, 0.0125), 0 * speed], axis=1)
    shake = rng.normal(0, 1, (len(speed), 3)) * np.array([0.011, 0.009, 0.036]) * roughness
    shake *= np.sqrt(np.clip(speed, 0, 30) / 9)[:, None]
    state, rate = lean[0].copy(), np.zeros(3)
    out = np.empty((len(speed), 3))
    for i in range(len(speed)):
        force = omega**2 * (lean[i] - state) - 2 * damping * omega * rate
        rate = rate + force * dt + shake[i]
        state = state + rate * dt
        out[i] = state
    return out


def drive(road: Road, stations: np.ndarray, mount: Mount, roughness: float, rng) -> Drive:
    """Camera poses at 10 Hz of a car whose rear axle is at `stations` (50 Hz)."""
    speed = np.gradient(stations, 0.02)
    bend = between(smooth(road.curvature, 3)[:, None], stations)[:, 0]
    body = springs(speed, speed**2 * bend, roughness, rng)[::5]
    s = stations[::5]
    rear = road.frame(s)
    # The body stands on both axles: its slope is that of the chord between them.
    chord = road.at(s + 2.7) - rear[:, :3, 3]
    up = rear[:, :3, 2]
    rise = np.einsum("fi,fi->f", chord, up) / np.linalg.norm(chord, axis=1)
    pitch, roll = body[:, 0] - rise, body[:, 1]
    zero = np.zeros_like(pitch)
    spin = geometry.rotation_exp(np.stack([roll, zero, zero], 1))
    spin = geometry.rotation_exp(np.stack([zero, pitch, zero], 1)) @ spin
    car = np.tile(np.eye(4), (len(s), 1, 1))
    car[:, :3, :3] = spin
    car[:, 2, 3] = body[:, 2] + PITCH_CENTRE_M * rise
    car[:, 0, 3] = PITCH_CENTRE_M
    lever = np.eye(4)
    lever[0, 3] = mount.forward - PITCH_CENTRE_M
    return Drive(road, s, rear @ car @ lever @ mount.road_T_camera)
