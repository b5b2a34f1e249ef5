"""The rehearsal world: its pictures agree with its ground truth, and it repeats itself exactly."""

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from made_up import seen

from distill_vo import geometry
from distill_vo.camera import CANONICAL
from distill_vo.errors import InputError
from training.data.meshes import Scene, quad
from training.data.noise import Texture, fractal
from training.data.rehearsal import RehearsalSettings, rehearse, render_sequence, write_sequence
from training.data.render import Renderer
from training.data.road import plan_road
from training.data.styles import STYLES
from training.data.traffic import Traffic
from training.data.world import World

SHORT = RehearsalSettings(frames=6, seed=3)
K = np.array([[380.0, 0, 319.5], [0, 380.0, 91.0], [0, 0, 1]])
LEVEL = np.eye(4)  # a camera at the origin that looks north
LEVEL[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
NOBODY = np.empty((0, 4, 4)), np.empty(0, bool)


@pytest.fixture(scope="module")
def renderer():
    return Renderer(640, 192)


def ground(renderer) -> None:
    """A large level floor with a fine random pattern at z = 0."""
    scene = Scene(np.array([0, 0, 1.0]), 0.0)
    for x in range(-12, 12, 3):
        for y in range(-3, 60, 3):
            scene.add("floor", quad([x, y, 0], [x + 3, y, 0], [x + 3, y + 3, 0], [x, y + 3, 0]))
    grey = np.clip(128 + 50 * fractal(np.random.default_rng(0), 256), 0, 255)
    renderer.load(scene, {"floor": Texture(np.repeat(grey[..., None], 3, 2).astype(np.uint8))}, K)


def grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def test_a_seed_gives_the_same_bytes_in_every_process(tmp_path):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    rehearse(elsewhere, SHORT, 2, jobs=1)
    write_sequence(here, SHORT, 1)
    files = sorted(p.relative_to(here) for p in here.rglob("*.*") if p.is_file())
    assert len(files) == 6 + 4  # frames; calibration, times, description, poses
    for file in files:
        assert (here / file).read_bytes() == (elsewhere / file).read_bytes(), file
    first, second = (f"sequences/0{i}/image_2/000000.png" for i in (0, 1))
    assert (elsewhere / first).read_bytes() != (elsewhere / second).read_bytes()


def test_shadows_fall_on_road_and_paint_alike(renderer):
    """All of one plane but of other quads, seen by a car that drives and pitches: nothing shows through."""
    scene = Scene(np.array([0, 0, 1.0]), 0.0)
    for y in range(-3, 63, 3):
        scene.add("road", quad([-5, y, 0], [5, y, 0], [5, y + 3, 0], [-5, y + 3, 0]))
    for y in np.arange(12, 30, 2.0):
        scene.add("shadow", quad([-3, y, 0], [3, y, 0], [3, y + 2, 0], [-3, y + 2, 0]))
    for y in np.arange(11, 31, 2.5):
        scene.add("paint", quad([-1, y, 0], [1, y, 0], [1, y + 2.5, 0], [-1, y + 2.5, 0]))
    textures = {"road": Texture(np.full((4, 4, 3), 200, np.uint8)),
                "paint": Texture(np.full((4, 4, 3), 255, np.uint8)),
                "shadow": Texture(np.full((4, 4, 4), (0, 0, 0, 160), np.uint8), "blend")}  # fmt: skip
    renderer.load(scene, textures, CANONICAL.K)
    x, y = np.meshgrid(np.linspace(-2.5, 2.5, 40), np.linspace(13, 27, 60))
    shaded = np.stack([x, y, 0 * x], axis=-1)
    for k in range(40):
        camera = LEVEL.copy()
        camera[:3, 3] = 0.03 * k, 0.1 * k, 1.65
        camera[:3, :3] @= geometry.rotation_exp(np.array([0.02 * np.sin(k), 0.01 * k - 0.2, 0.0]))
        image = grey(renderer.draw(camera, *NOBODY))
        pixels = seen((shaded - camera[:3, 3]) @ camera[:3, :3])
        columns, rows = np.moveaxis(np.rint(pixels).astype(int), -1, 0)
        inside = (columns >= 0) & (columns < 640) & (rows >= 0) & (rows < 192)
        assert image[rows[inside], columns[inside]].max() < 150, k
        painted = inside & (np.abs(x) < 0.8)
        assert np.median(image[rows[painted], columns[painted]]) > 85, k  # shaded road: 75; paint: 95


def test_poses_are_rigid_and_start_at_the_identity():
    sequence = render_sequence(replace(SHORT, frames=60), 0)
    R = sequence.poses[:, :3, :3]
    assert np.array_equal(sequence.poses[0], np.eye(4))
    assert np.allclose(R @ R.transpose(0, 2, 1), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(R), 1)
    assert sequence.poses[-1, 2, 3] > 1  # forward is +z


def test_the_camera_rides_at_the_recorded_height_above_the_road():
    world = World(replace(SHORT, frames=80, camera_height=1.4), np.random.SeedSequence(5))
    s = world.drive.stations + 1.68
    road = world.drive.road.frame(s)
    above = np.einsum("fi,fi->f", world.drive.cameras[:, :3, 3] - road[:, :3, 3], road[:, :3, 2])
    assert np.mean(above) == pytest.approx(world.mount.height, abs=0.03)
    assert np.abs(above - world.mount.height).max() < 0.15


@pytest.mark.parametrize("kind", STYLES)
def test_a_road_does_not_cross_itself(kind):
    for seed in range(20):
        road = plan_road(STYLES[kind].plan, 900, np.random.default_rng(seed)).position[::5, :2]
        apart = np.linalg.norm(road[:, None] - road, axis=2)
        assert apart[np.triu_indices(len(road), 20)].min() > 12, seed  # 100 m on, or more


def test_no_side_road_lies_upon_the_main_road():
    for seed in range(8):
        world = World(replace(SHORT, frames=160), np.random.SeedSequence(seed))
        asphalt = [batch.corners[..., :2] for (name, _), batch in world.scene.cells().items()
                   if name.startswith("asphalt")]  # fmt: skip
        corners = np.concatenate(asphalt)
        points = world.drive.road.at(np.arange(5.3, world.drive.stations[-1]), 0.1)[:, None, None, :2]
        x, y = np.moveaxis(np.roll(corners, -1, axis=1) - corners, -1, 0)
        to_x, to_y = np.moveaxis(points - corners, -1, 0)
        left = x * to_y - y * to_x > 0  # of each side of each quad
        assert ((left.all(-1) | ~left.any(-1)).sum(1) == 1).all(), seed


def test_a_car_does_not_slip_sideways():
    world = World(replace(SHORT, frames=120), np.random.SeedSequence(28))
    car = world.drive.cameras @ geometry.inverse(world.mount.road_T_camera)
    car[:, :3, 3] -= world.mount.forward * car[:, :3, 0]  # the rear axle
    step = geometry.to_motion(geometry.inverse(car[:-1]) @ car[1:])
    # Along an arc the sideways part is forward * yaw / 2: what is left over is slip and body roll.
    assert np.abs(step[:, 5]).max() > 0.05  # it does turn
    slip = step[:, 1] - step[:, 0] * step[:, 5] / 2
    assert np.abs(slip).max() < 0.02


def test_no_car_from_a_side_road_drives_through_ours(monkeypatch):
    for others in ("_lead", "_beside", "_oncoming", "_on_foot"):
        monkeypatch.setattr(Traffic, others, lambda *_: None)
    nearest = []
    for seed in range(20):
        world = World(replace(SHORT, frames=160), np.random.SeedSequence(seed))
        apart = world.traffic.poses[..., :3, 3] - world.drive.cameras[:, None, :3, 3]
        nearest += np.linalg.norm(apart, axis=2).min(axis=0).tolist()
    assert len(nearest) > 5
    assert min(nearest) > 5


def test_points_project_where_the_calibration_says(renderer):
    rng, errors = np.random.default_rng(1), []
    for _ in range(60):
        depth, u, v = rng.uniform(5, 30), rng.uniform(60, 580), rng.uniform(30, 160)
        point = np.array([(u - 319.5) / 380 * depth, depth, -(v - 91) / 380 * depth])
        half = rng.uniform(8, 20) / 380 * depth
        x, z = np.array([half, 0, 0]), np.array([0, 0, half])
        scene = Scene(np.array([0, 0, 1.0]), 0.0)
        scene.add("dot", quad(point - x - z, point + x - z, point + x + z, point - x + z))
        renderer.load(scene, {"dot": Texture(np.full((8, 8, 3), 0, np.uint8))}, K)
        image = grey(renderer.draw(LEVEL, *NOBODY)).astype(float)
        weight = image.max() - image
        rows, columns = np.mgrid[:192, :640]
        errors.append([(weight * columns).sum() / weight.sum() - u, (weight * rows).sum() / weight.sum() - v])
    assert np.abs(np.mean(errors, axis=0)).max() < 0.1
    assert np.std(errors, axis=0).max() < 0.25


def test_a_pure_yaw_reads_as_one(renderer):
    world = World(SHORT, np.random.SeedSequence([3, 0]))
    renderer.load(world.scene, world.textures, K)
    pose, yaw = world.drive.cameras[2], geometry.rotation_exp(np.array([0, math.radians(3), 0]))
    turned = pose.copy()
    turned[:3, :3] = pose[:3, :3] @ yaw
    still = np.zeros(world.traffic.poses.shape[1], bool)
    a = grey(renderer.draw(pose, world.traffic.poses[2], still)).astype(float)
    b = grey(renderer.draw(turned, world.traffic.poses[2], still))
    aligned = cv2.warpPerspective(b, K @ yaw @ np.linalg.inv(K), (640, 192)).astype(float)
    middle = np.s_[20:170, 60:580]
    assert np.abs(aligned - a)[middle].mean() < 0.5 * np.abs(b - a)[middle].mean()
    shift, _ = cv2.phaseCorrelate(aligned[middle], a[middle])
    assert np.abs(shift).max() < 0.15


def test_the_flow_of_the_road_gives_metric_translation(renderer):
    ground(renderer)
    first, second = LEVEL.copy(), LEVEL.copy()
    first[2, 3], second[2, 3], second[1, 3] = 1.65, 1.65, 0.8
    a, b = (grey(renderer.draw(pose, *NOBODY)) for pose in (first, second))
    points = cv2.goodFeaturesToTrack(a[120:160, 200:440], 150, 0.05, 5).reshape(-1, 2) + [200, 120]
    there, found, _ = cv2.calcOpticalFlowPyrLK(a, b, points.astype(np.float32), None)
    found = found.ravel() == 1
    depth = [380 * 1.65 / (p[found, 1] - 91) for p in (points, there)]
    assert np.median(depth[0] - depth[1]) == pytest.approx(0.8, abs=0.03)


def test_layout_is_kittis(tmp_path):
    write_sequence(tmp_path, SHORT, 4)
    folder = tmp_path / "sequences" / "04"
    assert [p.name for p in sorted((folder / "image_2").iterdir())] == [f"{k:06d}.png" for k in range(6)]
    assert cv2.imread(str(folder / "image_2" / "000000.png")).shape == (192, 640, 3)
    rows = dict(line.split(": ") for line in (folder / "calib.txt").read_text().splitlines())
    assert np.array_equal(np.array(rows["P2"].split(), float).reshape(3, 4)[:, :3], K)
    assert np.allclose(np.loadtxt(folder / "times.txt"), np.arange(6) / 10)
    poses = np.loadtxt(tmp_path / "poses" / "04.txt").reshape(-1, 3, 4)
    assert np.allclose(poses, render_sequence(SHORT, 4).poses[:, :3], atol=1e-11)
    about = json.loads((folder / "sequence.json").read_text())
    assert about["camera_height_m"] == render_sequence(SHORT, 4).camera_height
    folders = sorted(p.name for p in tmp_path.rglob("*") if p.is_dir())
    assert folders == ["04", "image_2", "poses", "sequences"]  # nothing half-written is left


def test_finished_sequences_are_kept_and_other_settings_refused(tmp_path):
    write_sequence(tmp_path, SHORT, 0)
    before = (tmp_path / "sequences" / "00" / "calib.txt").stat().st_mtime_ns
    rehearse(tmp_path, SHORT, 1, jobs=1)
    assert (tmp_path / "sequences" / "00" / "calib.txt").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="another seed"):
        rehearse(tmp_path, replace(SHORT, seed=4), 1, jobs=1)


def test_a_drive_along_a_trajectory_repeats_it(tmp_path):
    motion = geometry.exp(np.array([0.01, -0.02, 0.9, 0.0, 0.01, 0.0]))
    poses = [np.eye(4)]
    while len(poses) < 30:
        poses.append(poses[-1] @ motion)
    np.savetxt(tmp_path / "00.txt", np.array(poses)[:, :3].reshape(-1, 12), fmt="%.12e")
    settings = replace(SHORT, frames=20, along=str(tmp_path))
    drives = [render_sequence(settings, i).poses for i in range(8)]
    mirrored = geometry.exp(np.array([-0.01, -0.02, 0.9, 0.0, -0.01, 0.0]))
    follows = [any(np.allclose(p[:-1] @ m, p[1:], atol=1e-8) for m in (motion, mirrored)) for p in drives]
    assert 0 < sum(follows) < 8


@pytest.mark.parametrize("wrong", [{"frames": 1}, {"camera_height": -1.0}, {"seed": -1}, {"focal": 0.0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        replace(SHORT, **wrong)


def test_a_folder_without_trajectories_is_refused(tmp_path):
    with pytest.raises(InputError, match="no KITTI pose files"):
        rehearse(tmp_path / "out", replace(SHORT, along=str(tmp_path)), 1, jobs=1)
    assert not (tmp_path / "out").exists()


def test_what_is_near_hides_the_backdrop(renderer):
    scene = Scene(np.array([0, 0, 1.0]), 0.0)
    scene.add_backdrop("white", quad([-900, 900, -900], [900, 900, -900], [900, 900, 900], [-900, 900, 900]))
    scene.add("black", quad([-9, 60, -9], [0, 60, -9], [0, 60, 9], [-9, 60, 9]))
    white, black = Texture(np.full((8, 8, 3), 255, np.uint8)), Texture(np.zeros((8, 8, 3), np.uint8))
    renderer.load(scene, {"white": white, "black": black}, K)
    image = grey(renderer.draw(LEVEL, *NOBODY))
    assert image[91, 300] == 0  # the wall spans columns 262 to 319
    assert image[91, 250] == image[91, 330] == 255
