"""KITTI sequences as bags, and bags as sources."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from distill_vo import bags, geometry
from distill_vo.bags import OFFSET_NS, kitti_to_bag
from distill_vo.errors import InputError
from distill_vo.sources import open_source
from distill_vo.sources.bag import (
    find_transform,
    parents,
    pick_image_topic,
    pick_info_topic,
    pick_truth_topic,
)
from distill_vo.trajectory import Trajectory, write_kitti

FRAMES = 12
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO, ODOMETRY = "sensor_msgs/msg/CameraInfo", "nav_msgs/msg/Odometry"


@pytest.fixture(scope="module")
def sequence(tmp_path_factory) -> Path:
    """A KITTI sequence of noise, grey and colour, with truth."""
    root = tmp_path_factory.mktemp("kitti")
    folder = root / "sequences" / "05"
    rng = np.random.default_rng(0)
    for name, shape in (("image_0", (96, 320)), ("image_2", (96, 320, 3))):
        (folder / name).mkdir(parents=True)
        for i in range(FRAMES):
            cv2.imwrite(str(folder / name / f"{i:06d}.png"), rng.integers(0, 256, shape, np.uint8))
    (folder / "calib.txt").write_text("".join(
        f"P{i}: 180.3 0 160.1 {i} 0 180.3 46.7 0 0 0 1 0\n" for i in (0, 2)))
    (folder / "times.txt").write_text("".join(f"{0.1037 * i:.6e}\n" for i in range(FRAMES)))
    steps = np.cumsum(rng.normal(0, 0.1, (FRAMES, 6)), axis=0)
    poses = geometry.from_motion(steps - steps[0])
    write_kitti(root / "poses" / "05.txt", Trajectory.from_poses(np.arange(FRAMES), poses))
    return folder


@pytest.mark.parametrize("camera", [0, 2])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("storage", bags.STORAGES)
def test_bag_gives_back_what_the_sequence_holds(sequence, tmp_path, storage, compressed, camera):
    assert kitti_to_bag(sequence, tmp_path / "bag", storage, compressed, camera) == FRAMES
    folder, bag = open_source(sequence, camera_index=camera), open_source(tmp_path / "bag")
    assert len(bag) == FRAMES
    for a, b in zip(folder, bag, strict=True):
        assert b.stamp_ns == a.stamp_ns + OFFSET_NS
        np.testing.assert_array_equal(b.image, a.image)
    np.testing.assert_array_equal(bag.camera.K, folder.camera.K)
    np.testing.assert_allclose(bag.base_T_camera, folder.base_T_camera, atol=1e-15)
    np.testing.assert_array_equal(bag.truth.stamps_ns, folder.truth.stamps_ns + OFFSET_NS)
    np.testing.assert_allclose(bag.truth.poses, folder.truth.poses, atol=1e-12)


def test_bag_file_without_its_metadata_is_enough(sequence, tmp_path):
    kitti_to_bag(sequence, tmp_path / "bag")
    (tmp_path / "bag" / "metadata.yaml").unlink()
    assert len(list(open_source(tmp_path / "bag"))) == FRAMES
    assert len(list(open_source(tmp_path / "bag" / "bag.mcap"))) == FRAMES


def test_bag_appears_whole_or_not_at_all(sequence, tmp_path):
    def stopped(files):
        yield from files[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kitti_to_bag(sequence, tmp_path / "bag", progress=stopped)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(sequence, tmp_path):
    (tmp_path / "bag").mkdir()
    with pytest.raises(InputError, match="bag: exists already"):
        kitti_to_bag(sequence, tmp_path / "bag")


def test_not_a_sequence(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        kitti_to_bag(tmp_path / "nowhere", tmp_path / "bag")
    with pytest.raises(InputError, match="storage 'rosbag1'"):
        kitti_to_bag(tmp_path, tmp_path / "bag", "rosbag1")


@pytest.mark.parametrize("storage, suffix", [("mcap", "mcap"), ("sqlite3", "db3")])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_bag_is_one_sentence(sequence, tmp_path, storage, suffix, share):
    kitti_to_bag(sequence, tmp_path / "bag", storage)
    file = tmp_path / "bag" / f"bag.{suffix}"
    data = file.read_bytes()
    file.write_bytes(data[:int(len(data) * share)])
    with pytest.raises(InputError, match="is not a whole rosbag2 bag") as error:
        list(open_source(tmp_path / "bag"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("storage, suffix", [("mcap", "mcap"), ("sqlite3", "db3")])
def test_damaged_bag_never_ends_otherwise_than_in_a_sentence(sequence, tmp_path, storage, suffix):
    kitti_to_bag(sequence, tmp_path / "bag", storage, compressed=True)
    file = tmp_path / "bag" / f"bag.{suffix}"
    data = file.read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(15):
        damaged = bytearray(data)
        # Half of the damage goes where the records' heads are.
        for at in rng.integers(0, len(data) if rng.random() < 0.5 else 6000, 20):
            damaged[at] = rng.integers(256)
        file.write_bytes(damaged)
        try:
            for frame in open_source(tmp_path / "bag"):
                assert frame.image is None or frame.image.shape[:2] == (96, 320)
        except InputError:
            pass


def test_mounting_is_found_along_the_chain():
    a, b, c = geometry.from_motion(np.random.default_rng(0).normal(size=(3, 6)))
    tree = {"mast": ("base_link", a), "camera": ("mast", b), "base_link": ("footprint", c)}
    np.testing.assert_allclose(find_transform(tree, "base_link", "camera"), a @ b, atol=1e-12)
    np.testing.assert_allclose(find_transform(tree, "camera", "footprint"),
                               np.linalg.inv(c @ a @ b), atol=1e-12)
    assert find_transform(tree, "base_link", "elsewhere") is None
    ring = {"a": ("b", a), "b": ("a", b)}
    assert find_transform(ring, "base_link", "a") is None


def test_what_is_no_rigid_transform_between_two_frames_is_passed_over():
    def stamped(parent: str, child: str, x: float = 1.0, w: float = 1.0) -> SimpleNamespace:
        transform = SimpleNamespace(translation=SimpleNamespace(x=x, y=0.0, z=0.0),
                                    rotation=SimpleNamespace(x=0.0, y=0.0, z=0.0, w=w))
        return SimpleNamespace(header=SimpleNamespace(frame_id=parent), child_frame_id=child,
                               transform=transform)

    found = parents(SimpleNamespace(transforms=[
        stamped("base_link", "imu", w=0.0), stamped("base_link", "gps", x=np.nan), stamped("", "mast"),
        stamped("wheel", "wheel"), stamped("/base_link", "/camera")]))
    assert found.keys() == {"camera"} and found["camera"][0] == "base_link"
    np.testing.assert_array_equal(found["camera"][1], geometry.from_motion(np.array([1.0, 0, 0, 0, 0, 0])))


def test_the_mounting_is_found_of_frames_with_a_leading_slash(sequence, tmp_path, monkeypatch):
    monkeypatch.setattr(bags, "CAMERA_FRAME", f"/{bags.CAMERA_FRAME}")
    kitti_to_bag(sequence, tmp_path / "bag")
    np.testing.assert_allclose(open_source(tmp_path / "bag").base_T_camera,
                               open_source(sequence).base_T_camera, atol=1e-15)


def test_bag_without_tf_takes_a_level_camera_and_says_so(sequence, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(bags._Bag, "mounting", lambda *_: None)
    kitti_to_bag(sequence, tmp_path / "bag")
    source = open_source(tmp_path / "bag", mount_height_m=1.4)
    np.testing.assert_array_equal(source.base_T_camera[:3, :3], geometry.OPTICAL_AXES)
    assert source.base_T_camera[2, 3] == 1.4
    assert "'camera_optical'" in caplog.text


def test_truth_of_another_frame_is_brought_to_the_base(sequence, tmp_path, monkeypatch):
    kitti_to_bag(sequence, tmp_path / "base")
    mounting = open_source(tmp_path / "base").base_T_camera
    real = bags._Bag.truth
    monkeypatch.setattr(bags, "BASE", "camera_optical")  # the truth's child frame
    monkeypatch.setattr(bags._Bag, "truth",
                        lambda bag, stamp_ns, pose: real(bag, stamp_ns, pose @ mounting))
    monkeypatch.setattr(bags._Bag, "mounting", _mounted_on_base_link)
    kitti_to_bag(sequence, tmp_path / "camera")
    a, b = (open_source(tmp_path / name).truth for name in ("base", "camera"))
    np.testing.assert_allclose(b.poses, a.poses, atol=1e-12)


def test_a_bag_of_another_robot_names_its_base_otherwise(sequence, tmp_path, monkeypatch, caplog):
    kitti_to_bag(sequence, tmp_path / "usual")
    monkeypatch.setattr(bags, "BASE", "chassis")
    kitti_to_bag(sequence, tmp_path / "other")
    usual = open_source(tmp_path / "usual")
    for name in ("chassis", "/chassis"):  # the second as ROS 1 wrote frames
        other = open_source(tmp_path / "other", base_frame=name)
        np.testing.assert_array_equal(other.base_T_camera, usual.base_T_camera)
        np.testing.assert_array_equal(other.truth.poses, usual.truth.poses)
    assert not caplog.text
    open_source(tmp_path / "other")
    assert "with base_link" in caplog.text
    with pytest.raises(InputError, match="--base-frame"):
        open_source(sequence, base_frame="chassis")


def test_folders_whose_names_have_dots_are_not_the_same(sequence, tmp_path):
    for name in ("run.1", "run.2"):
        kitti_to_bag(sequence, tmp_path / name)
    assert [open_source(tmp_path / name).name for name in ("run.1", "run.2")] == ["run.1", "run.2"]


def _mounted_on_base_link(bag, stamp_ns, base_T_camera, real=bags._Bag.mounting):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bags, "BASE", "base_link")
        real(bag, stamp_ns, base_T_camera)


def test_image_topic_is_the_only_one_or_chosen():
    one = {"/a/image": IMAGE, "/a/camera_info": INFO}
    two = {**one, "/b/image/compressed": COMPRESSED}
    assert pick_image_topic(Path("bag"), one, None) == "/a/image"
    assert pick_image_topic(Path("bag"), two, "/b/image/compressed") == "/b/image/compressed"
    with pytest.raises(InputError, match="/a/image, /b/image/compressed.* --image-topic"):
        pick_image_topic(Path("bag"), two, None)
    with pytest.raises(InputError, match="no image topic /c; it has /a/image"):
        pick_image_topic(Path("bag"), two, "/c")
    with pytest.raises(InputError, match="no topic of images"):
        pick_image_topic(Path("bag"), {"/odom": ODOMETRY}, None)


def test_camera_info_is_the_nearest():
    infos = dict.fromkeys([f"/{name}/camera_info" for name in ("left", "left/raw", "right")], INFO)
    for image, expected in (("/left/image_raw/compressed", "/left/camera_info"),
                            ("/left/raw/image", "/left/raw/camera_info"),
                            ("/right/image_rect", "/right/camera_info")):
        assert pick_info_topic(Path("bag"), infos, image) == expected
    with pytest.raises(InputError, match="several.* --calibration"):
        pick_info_topic(Path("bag"), infos, "/front/image")
    with pytest.raises(InputError, match="has none"):
        pick_info_topic(Path("bag"), {}, "/front/image")


def test_truth_topic_is_named_so_or_chosen():
    types = {"/odom": ODOMETRY, "/Ground_Truth/pose": "geometry_msgs/msg/PoseStamped"}
    assert pick_truth_topic(Path("bag"), types, None) == "/Ground_Truth/pose"
    assert pick_truth_topic(Path("bag"), types, "/odom") == "/odom"
    assert pick_truth_topic(Path("bag"), {"/odom": ODOMETRY}, None) is None
    with pytest.raises(InputError, match="no pose topic /gps.*it has /Ground_Truth/pose, /odom"):
        pick_truth_topic(Path("bag"), types, "/gps")
