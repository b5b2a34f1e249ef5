"""Textures with something drawn on them: windows, shops, signs, people, cars, the sky."""

import cv2
import numpy as np

from training.data.noise import SIZE, Texture, fractal, picture_of


def facade(rng) -> Texture:
    """One storey (3 m) and two windows wide: plaster or brick, frames, panes with curtains or sky."""
    grey = (
        185
        + fractal(rng, coarsest=2) * rng.uniform(2, 12)
        + fractal(rng, roughness=1, coarsest=32) * rng.uniform(1, 9)
    )
    if rng.random() < 0.35:  # bricks
        grey[:: int(rng.choice([6, 8])), :] -= 22
        grey -= 6 * fractal(rng, roughness=1, coarsest=32, stretch=(1, 2))
    picture = picture_of(grey)
    columns = int(rng.choice([1, 2, 2, 3]))
    w, h = int(SIZE / columns * rng.uniform(0.3, 0.62)), int(SIZE * rng.uniform(0.4, 0.6))
    frame = int(rng.integers(150, 256)) if rng.random() < 0.7 else int(rng.integers(40, 110))
    for c in range(columns):
        x, y = int(SIZE / columns * (c + 0.5)) - w // 2, int(SIZE * 0.22)
        cv2.rectangle(picture, (x - 7, y - 7), (x + w + 7, y + h + 7), (frame,) * 3, -1)
        pane = rng.uniform(25, 110) + np.linspace(rng.uniform(-20, 60), 0, h)[:, None] * np.ones((h, w))
        if rng.random() < 0.4:
            pane[: int(h * rng.uniform(0.2, 0.9))] = rng.uniform(120, 220)
        pane += cv2.resize(rng.normal(0, 14, (4, 4)), (w, h), interpolation=cv2.INTER_CUBIC)
        picture[y : y + h, x : x + w] = np.clip(pane, 0, 255)[..., None] * np.array([0.93, 0.97, 1])
        if rng.random() < 0.8:
            cv2.line(picture, (x + w // 2, y), (x + w // 2, y + h), (frame,) * 3, 5)
        if rng.random() < 0.5:
            cv2.line(picture, (x, y + h // 3), (x + w, y + h // 3), (frame,) * 3, 5)
        cv2.rectangle(picture, (x - 10, y + h + 4), (x + w + 10, y + h + 12), (110,) * 3, -1)
    if rng.random() < 0.4:
        picture[:10] = int(rng.integers(90, 230))
    return Texture(picture)


def shop(rng) -> Texture:
    """A ground floor, 4 m high and 8 m wide: doors, shop windows, garage doors, signs."""
    grey = 160 + fractal(rng, coarsest=4) * rng.uniform(2, 9)
    picture = picture_of(grey)
    x = int(rng.integers(4, 24))
    while x < SIZE - 40:
        w = int(rng.integers(24, 90))
        top = int(rng.integers(60, 110))
        shade, right = int(rng.integers(20, 200)), min(x + w, SIZE - 4)
        cv2.rectangle(picture, (x, top), (right, SIZE - int(rng.choice([0, 30]))), (shade,) * 3, -1)
        for _ in range(6):
            a = rng.integers([x, top], [right, SIZE])
            cv2.rectangle(picture, tuple(a.tolist()), tuple((a + rng.integers(4, 24, 2)).tolist()),
                          rng.integers(30, 255, 3).tolist(), -1)  # fmt: skip
        cv2.rectangle(picture, (x, top), (right, SIZE), (int(rng.integers(40, 240)),) * 3, 3)
        if rng.random() < 0.5:
            colour = rng.integers(30, 255, 3).tolist()
            cv2.rectangle(picture, (x, top - 40), (right, top - 12), colour, -1)
            cv2.putText(picture, "".join(rng.choice(list("ABEKMORST"), 5)), (x + 3, top - 17),
                        cv2.FONT_HERSHEY_DUPLEX, 0.7, (255 - colour[0],) * 3, 2)  # fmt: skip
        x += w + int(rng.integers(6, 30))
    return Texture(picture)


def sky(rng) -> Texture:
    """A dome's wrap-around: blank, hazy or with clouds; brightest at the horizon (bottom row)."""
    clouds = fractal(rng, coarsest=4, roughness=0.5, stretch=(1, 1)) * rng.choice([0, 4, 18, 35])
    grey = np.linspace(rng.uniform(150, 250), 255, SIZE)[:, None] + clouds
    blue = np.array([rng.uniform(0.7, 1), rng.uniform(0.85, 1), 1])
    return Texture(picture_of(grey, blue))


def horizon(rng) -> Texture:
    """The far skyline: hills, woods, roofs, as a silhouette in haze."""
    profile = fractal(rng, coarsest=8, roughness=0.7)[0] * 22 + 150
    y = np.arange(SIZE)[:, None]
    grey = 120 + 10 * fractal(rng, coarsest=32) + (SIZE - y) * 0.1
    alpha = (y > profile).astype(np.uint8) * 255
    return Texture(np.dstack([picture_of(grey, (0.85, 1, 0.9)), alpha]), "cutout")


def sign(rng) -> Texture:
    """A road sign: a disc or board with something on it."""
    rgb = np.full((SIZE, SIZE, 3), 235, np.uint8)
    colour = [(200, 30, 30), (30, 60, 190), (235, 200, 30)][rng.integers(3)]
    cv2.circle(rgb, (128, 128), 120, colour, 40 if rng.random() < 0.6 else -1)
    cv2.putText(rgb, str(rng.integers(10, 99)), (50, 165), cv2.FONT_HERSHEY_DUPLEX, 3.6, (30,) * 3, 12)
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    cv2.circle(alpha, (128, 128), 127, 255, -1)
    return Texture(np.dstack([rgb, alpha]), "cutout")


def person(rng) -> Texture:
    """Somebody standing or walking, as a cut-out."""
    rgb = np.zeros((SIZE, SIZE, 3), np.uint8)
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    coat, legs, skin = (
        rng.integers(20, 220, 3).tolist(),
        rng.integers(20, 120, 3).tolist(),
        (200, 160, 135),
    )
    stride = int(rng.integers(10, 45))
    for colour, shape in [
        (legs, [(128 - stride, 256), (100, 130), (128, 130), (150, 256)]),
        (legs, [(128 + stride, 256), (110, 130), (150, 130), (128 + stride - 30, 256)]),
        (coat, [(88, 140), (84, 56), (172, 56), (168, 140)]),
    ]:
        for target, value in ((rgb, colour), (alpha, 255)):
            cv2.fillPoly(target, [np.array(shape, np.int32)], value)
    for target, value in ((rgb, skin), (alpha, 255)):
        cv2.circle(target, (128, 32), 24, value, -1)
    noise = fractal(rng)[..., None] * 9
    return Texture(np.dstack([np.clip(rgb + noise, 0, 255).astype(np.uint8), alpha]), "cutout")


def car(rng) -> Texture:
    """A car's side (upper half), tail (lower left), nose (lower right)."""
    grey = np.full((256, 256), 215, np.float32) + 6 * fractal(rng)
    grey += np.concatenate([np.linspace(30, -60, 128), np.linspace(20, -70, 128)])[:, None]
    picture = np.clip(grey[..., None].repeat(3, 2), 0, 255).astype(np.uint8)
    dark = int(rng.integers(20, 60))
    cv2.line(picture, (100, 50), (100, 115), (90,) * 3, 2)
    cv2.line(picture, (150, 50), (150, 115), (90,) * 3, 2)
    cv2.rectangle(picture, (0, 104), (256, 128), (dark,) * 3, -1)
    for x in (52, 206):
        cv2.circle(picture, (x, 102), 28, (22,) * 3, -1)
        cv2.circle(picture, (x, 102), 16, (int(rng.integers(110, 200)),) * 3, -1)
    for x0 in (0, 128):
        cv2.rectangle(picture, (x0, 226), (x0 + 128, 256), (dark,) * 3, -1)
        lamp = (200, 30, 30) if x0 == 0 else (250, 250, 250)
        for x in (x0 + 4, x0 + 98):
            cv2.rectangle(picture, (x, 160), (x + 26, 184), lamp, -1)
        cv2.rectangle(picture, (x0 + 42, 190), (x0 + 86, 204), (245,) * 3, -1)
        cv2.putText(picture, "KA 27", (x0 + 44, 201), cv2.FONT_HERSHEY_PLAIN, 0.8, (20,) * 3, 1)
        cv2.line(picture, (x0, 150), (x0 + 128, 150), (120,) * 3, 2)
    return Texture(picture)
