"""Dome and skyline: infinitely far, so they only show how the camera turns."""

import numpy as np

from training.data.meshes import Scene, upright

RADIUS_M = 1000.0


def add_sky(scene: Scene, rng: np.random.Generator) -> None:
    """A dome, a band of far ground and, mostly, a silhouette of hills or woods."""
    angle, repeats = np.linspace(0, 2 * np.pi, 33), np.linspace(0, 4, 33)
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1) * RADIUS_M
    up = np.array([0, 0, 1.0])
    bright = rng.uniform(0.75, 1.0)
    dome = upright(ring, ring * [0.8, 0.8, 1] + 900 * up, repeats, 1)
    scene.add_backdrop(f"sky{rng.integers(2)}", dome, np.full(3, bright))
    plain = upright(ring - 60 * up, ring, repeats, 1)
    scene.add_backdrop("plain0", plain, 0.7 * bright * rng.uniform(0.6, 1, 3))
    if rng.random() < 0.7:
        skyline = upright(ring - 8 * up, ring + rng.uniform(20, 90) * up, repeats, 1)
        scene.add_backdrop(f"horizon{rng.integers(2)}", skyline, np.full(3, rng.uniform(0.5, 1.2)))
