"""Everything that moves by itself: who drives ahead, comes towards us, crosses, overtakes, walks."""

import numpy as np

from training.data import vehicles
from training.data.drive import DT, Drive
from training.data.meshes import Scene
from training.data.street import KERB_M, MEDIAN_M, Street

CLEARANCE_M = 3.2  # nothing is drawn nearer to the camera than this
CROSSING_M = 6.0  # between the middles of our car and one that crosses: they do not touch


class Traffic:
    """Adds movers to the scene; `poses` (F, M, 4, 4) world_T_mover, `visible` (F, M) of each frame."""

    def __init__(self, scene: Scene, street: Street, drive: Drive, rng: np.random.Generator):
        self._scene, self._street, self._drive, self._rng = scene, street, drive, rng
        self._main = street.lanes[0]
        self._time = np.arange(len(drive.stations)) * DT
        self._tracks: list[tuple[np.ndarray, np.ndarray]] = []
        style = street.style
        if rng.random() < style.lead:
            self._lead(0.0)
        if style.lanes:
            for lane in style.lanes:
                if self._main.right < lane - 1 and lane + 1 < self._main.left:
                    self._beside(lane)
        if rng.random() < 0.85:
            self._oncoming()
        self._crossing()
        self._on_foot()
        shape = (len(self._time), 0)
        poses = [track[0] for track in self._tracks]
        self.poses = np.stack(poses, axis=1) if poses else np.empty((*shape, 4, 4))
        seen = [track[1] for track in self._tracks]
        self.visible = np.stack(seen, axis=1) if seen else np.empty(shape, bool)
        gap = np.linalg.norm(self.poses[..., :3, 3] - drive.cameras[:, None, :3, 3], axis=-1)
        self.visible &= gap > CLEARANCE_M

    def _track(self, parts, s, lateral, turned: bool = False, shown=None) -> None:
        """A mover along the main road: stations and lateral offsets (F,)."""
        road = self._main.road
        poses = road.frame(s, lateral)
        if turned:
            poses[..., :2] *= -1
        seen = (s > 1) & (s < road.length - 2)
        self._scene.add_mover(parts)
        self._tracks.append((poses, seen if shown is None else seen & shown))

    def _vehicle(self, kinds=("car", "car", "car", "car", "van", "truck")):
        return vehicles.car(self._rng, self._rng.choice(kinds))

    def _lead(self, ahead: float) -> None:
        """Cars that we follow: where we shall be some seconds later, plus a gap; they may come and go."""
        rng, own = self._rng, self._drive.stations
        v_end = own[-1] - own[-2]
        longer = np.concatenate([own, own[-1] + v_end * np.arange(1, 200)])
        gap, delay = ahead, 0.0
        for _ in range(rng.integers(1, 4)):
            parts, length = self._vehicle()
            gap += length + rng.uniform(4, 14)
            delay += np.exp(rng.uniform(np.log(0.4), np.log(3.5)))
            s = np.interp(self._time + delay, np.arange(len(longer)) * DT, longer) + gap
            start, end = np.sort(rng.uniform(-0.5, 1.5, 2)) * self._time[-1]
            if end - start < 8:
                start, end = 0, 1e9
            # Leaving or joining: the car changes its distance fast rather than popping up.
            away = np.maximum(start - self._time, 0) + np.maximum(self._time - end, 0)
            self._track(parts, s + 9 * away, rng.normal(0, 0.2) + 0 * s, shown=9 * away < 120)

    def _beside(self, lane: float) -> None:
        rng, own = self._rng, self._drive.stations
        for _ in range(rng.integers(0, 5)):
            parts, _ = self._vehicle()
            pace = (own[-1] - own[0]) / self._time[-1] + rng.normal(2 if lane > 0 else -2, 3)
            s = own[0] + rng.uniform(-60, 120) + pace * self._time
            self._track(parts, s, lane + rng.normal(0, 0.2) + 0 * s)

    def _oncoming(self) -> None:
        rng, own = self._rng, self._drive.stations
        pace = max(np.mean(self._drive.speed), 6) * rng.uniform(0.8, 1.2)
        lateral = self._main.left - rng.uniform(1.2, 1.6) if self._main.left < 5 else rng.uniform(3.1, 3.6)
        if self._street.style.lanes:
            lateral = self._main.left + MEDIAN_M + rng.uniform(1.8, 5)
        elif self._main.left < 3.2:
            return
        reach = own[-1] + pace * self._time[-1] + 100
        count = min(rng.poisson(self._street.style.oncoming * reach / 100), 14)
        for start in rng.uniform(own[0] + 20, reach, count):
            parts, _ = self._vehicle()
            s = start - pace * rng.uniform(0.9, 1.1) * self._time
            self._track(parts, s, lateral + rng.normal(0, 0.2) + 0 * s, turned=True)

    def _crossing(self) -> None:
        """Cars in side roads that pass through just before we come; none that would drive through us."""
        rng = self._rng
        for lane in self._street.lanes[1:]:
            if rng.random() > 0.5:
                continue
            place = lane.road.position[0]
            distance = np.linalg.norm(self._drive.cameras[:, :3, 3] - place, axis=1)
            if distance.min() > 40:
                continue
            parts, _ = self._vehicle(("car", "car", "van"))
            pace = rng.uniform(4, 12)
            when = self._time[distance.argmin()] - rng.uniform(1.5, 6)
            travelled = (self._time - when) * pace * rng.choice([-1, 1])
            frame = lane.road.frame(np.array(20.0))
            start = lane.road.at(np.array(0.0), lane.middle - np.sign(travelled[-1] - travelled[0]) * 1.6)
            poses = np.tile(frame, (len(travelled), 1, 1))
            poses[:, :3, 3] = start + travelled[:, None] * frame[:3, 0]
            if travelled[-1] < travelled[0]:
                poses[..., :2] *= -1
            gap = np.linalg.norm(poses[:, :3, 3] - self._drive.cameras[:, :3, 3], axis=1)
            if gap.min() > CROSSING_M:
                self._scene.add_mover(parts)
                self._tracks.append((poses, np.abs(travelled) < 70))

    def _on_foot(self) -> None:
        rng, own, style = self._rng, self._drive.stations, self._street.style
        for _ in range(min(rng.poisson(style.people * 3), 12)):
            side = rng.choice([-1, 1])
            edge = self._main.left if side > 0 else -self._main.right
            s = rng.uniform(own[0], own[-1] + 40) + rng.choice([-1, 1]) * rng.uniform(0.8, 1.7) * self._time
            parts = [(n, (c + [0, 0, KERB_M], uv), t) for n, (c, uv), t in vehicles.walker(rng)]
            self._track(
                parts,
                s,
                side * (edge + rng.uniform(0.3, max(self._main.pavement - 0.3, 0.6))) + 0 * s,
            )
        if style.pavement:
            for _ in range(rng.poisson(1.0)):
                pace, turned = rng.uniform(3.5, 6.5), rng.random() < 0.4
                edge = self._main.left - 0.7 if turned else self._main.right + 0.5
                s = rng.uniform(own[0] + 5, own[-1] + 40) + (-pace if turned else pace) * self._time
                self._track(vehicles.cyclist(rng), s, edge + 0 * s, turned=turned)
