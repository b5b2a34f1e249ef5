"""One sequence's world: a kind of place, a road through it, a drive along the road, weather and a camera."""

import numpy as np

from training.data.along import drive_along
from training.data.drive import DT, Mount, drive, speed_limits, travel
from training.data.meshes import Scene
from training.data.road import plan_road
from training.data.roadside import Roadside
from training.data.sensor import Sensor
from training.data.sky import add_sky
from training.data.street import Street
from training.data.styles import FREQUENCY, STYLES
from training.data.textures import POOLS, pool
from training.data.traffic import Traffic

FASTEST = 36.0  # m/s
BEHIND_M = 30.0  # road behind the first frame
AHEAD_M = 190.0  # road beyond the last


class World:
    """Everything about a sequence, drawn from its seed; images() renders it."""

    def __init__(self, settings, seed: np.random.SeedSequence):
        plan_seed, build_seed, self._sensor_seed = seed.spawn(3)
        rng = np.random.default_rng(plan_seed)
        self.settings = settings
        follow = settings.along is not None and rng.random() < 0.5
        kinds = [kind for kind in FREQUENCY if not (follow and kind == "highway")]
        weights = np.array([FREQUENCY[kind] for kind in kinds])
        self.kind = str(rng.choice(kinds, p=weights / weights.sum()))
        self.K = self._intrinsics(rng)
        self.mount = Mount(
            settings.camera_height + settings.camera_height_sigma * float(np.clip(rng.normal(), -3, 3)),
            *np.radians([
                settings.pitch_deg + settings.pitch_sigma_deg * rng.normal(),
                settings.yaw_sigma_deg * rng.normal(), settings.roll_sigma_deg * rng.normal(),
            ]).tolist(),
            settings.camera_forward + settings.camera_forward_sigma * float(np.clip(rng.normal(), -3, 3)),
        )  # fmt: skip
        if follow:
            self.drive, self.kind = drive_along(settings, self.mount.height, self.kind, rng)
        else:
            self.drive = self._free_drive(rng)
        self._build(np.random.default_rng(build_seed))

    def _intrinsics(self, rng) -> np.ndarray:
        s = self.settings
        focal = s.focal + s.focal_sigma * rng.normal()
        cx, cy = np.array([s.cx, s.cy]) + s.centre_sigma * rng.normal(0, 1, 2)
        return np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]])

    def _free_drive(self, rng):
        style, seconds = STYLES[self.kind], (self.settings.frames - 1) * DT
        cruise = rng.uniform(*style.cruise)
        if self.settings.speed_spread:
            cruise = min(cruise * np.exp(self.settings.speed_spread * rng.normal()), FASTEST)
        road = plan_road(style.plan, BEHIND_M + 1.3 * cruise * seconds + AHEAD_M, rng)
        limits = speed_limits(road, cruise, rng.uniform(1.6, 3.6), rng)
        end = BEHIND_M + 1.3 * cruise * seconds
        count = rng.poisson(style.stops * seconds / 50)
        stops = [(s, rng.uniform(1, 5)) for s in np.sort(rng.uniform(BEHIND_M, end, count))]
        if rng.random() < 0.5 * style.stops:
            stops.insert(0, (BEHIND_M + rng.uniform(0, 4), rng.uniform(1, 4)))
        stations = travel(limits, BEHIND_M, stops, seconds)
        roughness = np.exp(rng.normal(0, 0.35))
        return drive(road, stations, self.mount, roughness, rng)

    def _build(self, rng) -> None:
        azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(18, 65))
        sun = np.array(
            [
                np.cos(azimuth) * np.cos(elevation),
                np.sin(azimuth) * np.cos(elevation),
                np.sin(elevation),
            ]
        )
        contrast = float(
            rng.choice([rng.uniform(0.05, 0.15), rng.uniform(0.25, 0.7)], p=[0.35, 0.65])
        )
        self.scene = Scene(sun, contrast)
        self.textures = pool(int(rng.integers(POOLS)))
        used = self._trimmed()
        street = Street(self.scene, used, STYLES[self.kind], rng)
        Roadside(street, sun, contrast)
        add_sky(self.scene, rng)
        self.traffic = Traffic(self.scene, street, self.drive, rng)

    def _trimmed(self):
        """The road without what lies too far beyond the last frame."""
        end = int(self.drive.stations[-1] + AHEAD_M) + 1
        road = self.drive.road
        return type(road)(road.position[:end], road.left[:end])

    def images(self, renderer):
        """Yield BGR frames (H, W, 3) uint8, in order; every time the same."""
        horizon = self.K[1, 2] - self.K[1, 1] * np.tan(self.mount.pitch)
        size = self.settings.width, self.settings.height
        rng = np.random.default_rng(self._sensor_seed)
        sensor = Sensor(size, horizon, self.settings.frames, rng)
        renderer.load(self.scene, self.textures, self.K)
        forward = self.drive.cameras[:, :3, 2]
        heading = np.unwrap(np.arctan2(forward[:, 1], forward[:, 0]))
        turn = np.gradient(heading) * self.K[0, 0]
        for k, pose in enumerate(self.drive.cameras):
            frame = renderer.draw(pose, self.traffic.poses[k], self.traffic.visible[k])
            yield sensor.expose(frame, k, turn[k])
