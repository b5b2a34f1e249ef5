"""Cars, vans and people as parts: lists of (texture, (corners, uv), tint) round the origin.

Axes of a thing: x forward, y left, z up, origin on the ground under its middle.
"""

import numpy as np

from training.data.meshes import crossed, join, quad

PAINTS = [(0.95, 0.95, 0.95), (0.75, 0.76, 0.78), (0.45, 0.46, 0.48), (0.16, 0.16, 0.18), (0.55, 0.12, 0.1),
          (0.15, 0.25, 0.5), (0.25, 0.4, 0.3), (0.8, 0.72, 0.5)]  # fmt: skip


def _part(u0, v0, u1, v1):
    return np.array([[[u0, v0], [u1, v0], [u1, v1], [u0, v1]]], float)


def _loft(lower, upper, z0: float, z1: float, faces):
    """Four walls between two rectangles (x0, x1, half width); faces: uv of left, rear, right, front."""

    def ring(r, z):
        x0, x1, y = r
        return np.array([[x1, y, z], [x0, y, z], [x0, -y, z], [x1, -y, z]])

    a, b = ring(lower, z0), ring(upper, z1)
    walls = [np.array([[a[i], a[(i + 1) % 4], b[(i + 1) % 4], b[i]]]) for i in range(4)]
    return join(*zip(walls, faces, strict=True))


def car(rng, kind: str = "car"):
    """A car, van or truck: (parts, length)."""
    length, width, belt, roof = {
        "car": (
            rng.uniform(3.7, 4.8),
            rng.uniform(1.65, 1.85),
            rng.uniform(0.85, 1.0),
            rng.uniform(1.38, 1.65),
        ),
        "van": (rng.uniform(4.8, 6), rng.uniform(1.9, 2.1), 1.2, rng.uniform(1.95, 2.6)),
        "truck": (rng.uniform(7, 12), 2.45, 1.2, rng.uniform(3.0, 3.8)),
    }[kind]
    paint = np.array(PAINTS[rng.integers(len(PAINTS))]) * rng.uniform(0.8, 1.05)
    x0, x1, y = -length / 2, length / 2, width / 2
    side, tail, nose = _part(0, 0.5, 1, 0.95), _part(0, 0, 0.5, 0.5), _part(0.5, 0, 1, 0.5)
    body = _loft(
        (x0, x1, y),
        (x0 + 0.05, x1 - 0.1, y * 0.97),
        0.22,
        belt,
        [side[:, [1, 0, 3, 2]], tail, side, nose],
    )
    name = f"car{rng.integers(3)}"
    deck = quad(
        [x0 + 0.05, -y, belt],
        [x1 - 0.1, -y, belt],
        [x1 - 0.1, y, belt],
        [x0 + 0.05, y, belt],
        0.3,
        0.1,
    )
    deck = deck[0], deck[1] + [0.3, 0.85]
    cut = {
        "car": (rng.uniform(0.0, 0.5), length * 0.27),
        "van": (0.0, length * 0.12),
        "truck": (0.0, 0.0),
    }[kind]
    lower = (x0 + cut[0], x1 - cut[1], y * 0.95)
    back, front = (0.35, 0.75) if kind == "car" else (0.05, 0.4)
    upper = (lower[0] + back, lower[1] - front, y * 0.78 if kind == "car" else y * 0.93)
    glass = _part(0, 0, 0.5, 0.25)
    cabin = _loft(lower, upper, belt, roof, [glass] * 4)
    top = quad([upper[0], -upper[2], roof], [upper[1], -upper[2], roof], [upper[1], upper[2], roof],
               [upper[0], upper[2], roof], 0.3, 0.1)  # fmt: skip
    top = top[0], top[1] + [0.3, 0.85]
    tone = paint * 0.9 if kind == "truck" else np.full(3, rng.uniform(0.12, 0.3))
    blot = quad([x0 - 0.25, -y - 0.2, 0.02], [x1 + 0.25, -y - 0.2, 0.02], [x1 + 0.25, y + 0.2, 0.02],
                [x0 - 0.25, y + 0.2, 0.02])  # fmt: skip
    under = _loft((x0 + 0.4, x1 - 0.5, y * 0.9), (x0 + 0.4, x1 - 0.5, y * 0.9), 0.02, 0.3, [glass] * 4)
    # Low-lying dark underneath, glass, then painted metal.
    parts = [("plain0", under, (0.08, 0.08, 0.08)), ("shadow0", blot, (1, 1, 1)), ("plain0", cabin, tone),
             (name, join(body, deck, top), paint)]  # fmt: skip
    if kind != "truck":  # pillars: the roof's edge catches light
        parts.append(("plain1", _loft(upper, upper, roof - 0.06, roof, [glass] * 4), paint))
    return parts, length


def walker(rng):
    """A pedestrian."""
    height = rng.uniform(1.5, 1.9)
    cut = crossed(np.zeros(3), height, height * 0.95, rng.uniform(0, np.pi))
    return [(f"person{rng.integers(3)}", cut, rng.uniform(0.6, 1, 3))]


def cyclist(rng):
    """Somebody on a bicycle: a cut-out over two dark wheels."""
    x, z = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
    body = crossed(np.array([0, 0, 0.45]), 1.3, 1.1, 0.0)
    frame = quad(-0.85 * x, 0.85 * x, 0.85 * x + 0.68 * z, -0.85 * x + 0.68 * z)
    return [(f"person{rng.integers(3)}", body, (0.9, 0.9, 0.9)), ("crown0", frame, (0.2, 0.2, 0.2))]
