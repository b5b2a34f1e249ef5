"""Where training data comes from: what is taken of it, and what is refused before anything is computed."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_up import MS, SIZE, constant_velocity, noise
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from distill_vo import geometry
from distill_vo.errors import InputError
from distill_vo.sources.source import level_mounting
from distill_vo.trajectory import Trajectory, write_kitti
from training.data.drives import Choice, find_drives
from training.data.kitti import read_list


def make_kitti(root: Path, names=("00",), frames=5, poses=None) -> Path:
    for name in names:
        folder = root / "sequences" / name
        (folder / "image_0").mkdir(parents=True)
        for i in range(frames):
            cv2.imwrite(str(folder / "image_0" / f"{i:06d}.png"), noise(i))
        (folder / "calib.txt").write_text("P0: 190 0 160 0 0 190 46 0 0 0 1 0\n")
        (folder / "times.txt").write_text("".join(f"{0.1 * i:.6e}\n" for i in range(frames)))
        stamps = np.arange(poses or frames) * 100 * MS
        write_kitti(root / "poses" / f"{name}.txt", Trajectory.from_poses(stamps, constant_velocity(stamps)))
    return root


# --- KITTI


def names(path: Path, sequences: str | None = None) -> list[str]:
    return [drive.name for drive in find_drives(path, Choice(sequences))]


def test_kitti_is_split_as_everybody_splits_it(tmp_path, caplog):
    root = make_kitti(tmp_path / "kitti", [f"{i:02d}" for i in (0, 1, 7, 8, 9, 10, 11)], frames=2)
    assert names(root) == names(root, "train") == ["kitti_00", "kitti_01", "kitti_07", "kitti_08"]
    assert "sequences 02, 03, 04, 05, 06 are not there" in caplog.text
    assert names(root, "test") == ["kitti_09", "kitti_10"]
    assert names(root, "11,00-01") == ["kitti_11", "kitti_00", "kitti_01"]
    assert names(root / "sequences" / "09") == ["09"]
    with pytest.raises(InputError, match="has no sequence 12; it has 00, 01"):
        names(root, "10-12")


def test_all_rehearsal_streets_are_taken_at_their_cameras_height(tmp_path):
    root = make_kitti(tmp_path, ["08", "09"], frames=2)
    for name in ("08", "09"):
        (root / "sequences" / name / "sequence.json").write_text('{"camera_height_m": 1.7}')
    drives = find_drives(root, Choice())
    assert len(drives) == 2
    assert drives[0].open()[0].mount_height_m == 1.7


@pytest.mark.parametrize("text", ["", "a", "3-1", "00-", "-1", "00;01", "1e3"])
def test_a_list_that_is_none(text):
    with pytest.raises(InputError, match="--sequences: .* is no list of sequences; write for example 00-08"):
        read_list(text)


def test_kitti_frames_have_their_numbers_and_poses(tmp_path, caplog):
    root = make_kitti(tmp_path)
    images = root / "sequences" / "00" / "image_0"
    (images / "000001.png").unlink()
    (images / "000003.png").write_bytes(b"\x89PNG")
    drive, = find_drives(root, Choice())
    _, frames = drive.open()
    frames = list(frames)
    assert [f.number for f in frames] == [0, 2, 4]
    assert "frame skipped: " in caplog.text and "000003.png" in caplog.text
    np.testing.assert_array_equal(frames[1].image, noise(2))
    true = constant_velocity(np.arange(5) * 100 * MS)  # of the camera, as in KITTI's files
    for frame in frames:
        moved = geometry.inverse(frames[0].pose) @ frame.pose
        np.testing.assert_allclose(moved, true[frame.number], atol=1e-9)


@pytest.mark.parametrize("frames, poses, times, sentence", [
    (5, 4, True, r"poses.00.txt: has 4 poses, but .*times.txt has 5 times; .* must be of one drive"),
    (5, 6, True, r"poses.00.txt: has 6 poses, but .*times.txt has 5 times"),
    (5, 4, False, r"poses.00.txt: has 4 poses, but images go up to number 4"),
])
def test_poses_and_images_that_do_not_match_in_number(tmp_path, frames, poses, times, sentence):
    root = make_kitti(tmp_path, frames=frames, poses=poses)
    if not times:
        (root / "sequences" / "00" / "times.txt").unlink()
    with pytest.raises(InputError, match=sentence):
        find_drives(root, Choice())


def test_nan_poses_and_time_that_goes_backwards(tmp_path):
    root = make_kitti(tmp_path)
    file = root / "poses" / "00.txt"
    text = file.read_text().splitlines()
    file.write_text("\n".join([*text[:3], "nan " + text[3].split(" ", 1)[1], text[4]]))
    with pytest.raises(InputError, match="00.txt: line 4 holds a value that is not finite"):
        find_drives(root, Choice())
    file.write_text("\n".join(text))
    (root / "sequences" / "00" / "times.txt").write_text("0 0.1 0.3 0.2 0.4")
    with pytest.raises(InputError, match="times.txt: times must be .* ascending"):
        find_drives(root, Choice())


def test_sources_that_are_none(tmp_path):
    for name, sentence in ((tmp_path / "nowhere", "does not exist"), (tmp_path, "is no KITTI folder")):
        with pytest.raises(InputError, match=sentence):
            find_drives(name, Choice())
    root = make_kitti(tmp_path)
    (root / "poses" / "00.txt").unlink()
    with pytest.raises(InputError, match="00: has no true poses, .*; put them at .*poses.00.txt"):
        find_drives(root, Choice())


# --- bags


class Robot:
    """A bag of a robot whose camera is tilted and mounted off its centre."""

    def __init__(self, path: Path):
        self.store = get_typestore(Stores.ROS2_JAZZY)
        self.writer = Writer(path, version=8, storage_plugin=StoragePlugin.MCAP)
        self.connections, self.clock = {}, 0
        self.base_T_camera = level_mounting(0.4) @ geometry.exp([0.1, 0.0, 0.3, 0.2, 0.0, 0.0])

    def __enter__(self):
        self.writer.open()
        return self

    def __exit__(self, *error):
        return self.writer.__exit__(*error)

    def new(self, kind: str, *fields):
        return self.store.types[kind](*fields)

    def header(self, stamp: int, frame: str):
        return self.new("std_msgs/msg/Header",
                        self.new("builtin_interfaces/msg/Time", *divmod(int(stamp), 10**9)), frame)

    def numbers(self, position: str, T) -> tuple:
        q = geometry.quaternion_from_matrix(T[:3, :3])
        return (self.new(f"geometry_msgs/msg/{position}", *T[:3, 3].tolist()),
                self.new("geometry_msgs/msg/Quaternion", *q.tolist()))

    def write(self, topic: str, message) -> None:
        kind = message.__msgtype__
        if topic not in self.connections:
            self.connections[topic] = self.writer.add_connection(topic, kind, typestore=self.store)
        self.clock += MS  # bags are read in the order in which they were recorded, whatever the stamps
        self.writer.write(self.connections[topic], self.clock, self.store.serialize_cdr(message, kind))

    def camera(self, stamps) -> "Robot":
        """Images, their calibration, and the mounting."""
        K = np.array([190.0, 0, 160, 0, 190, 46, 0, 0, 1])
        roi = self.new("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False)
        info = self.new("sensor_msgs/msg/CameraInfo", self.header(0, "camera"), *SIZE, "plumb_bob",
                        np.zeros(5), K, np.eye(3).ravel(), np.zeros(12), 0, 0, roi)
        self.write("/camera/camera_info", info)
        for k, stamp in enumerate(stamps):
            header = self.header(stamp, "camera")
            self.write("/camera/image", self.new("sensor_msgs/msg/Image", header, *SIZE, "mono8", 0,
                                                        SIZE[1], noise(k).ravel()))
        return self

    def transform(self, topic: str, stamp: int, parent: str, child: str, T) -> "Robot":
        transform = self.new("geometry_msgs/msg/Transform", *self.numbers("Vector3", T))
        stamped = self.new("geometry_msgs/msg/TransformStamped", self.header(stamp, parent), child, transform)
        self.write(topic, self.new("tf2_msgs/msg/TFMessage", [stamped]))
        return self

    def mounting(self) -> "Robot":
        return self.transform("/tf_static", 0, "base_link", "camera", self.base_T_camera)

    def pose(self, topic: str, stamp: int, T, kind: str = "PoseStamped") -> None:
        pose = self.new("geometry_msgs/msg/Pose", *self.numbers("Point", T))
        if kind == "PoseStamped":
            message = self.new("geometry_msgs/msg/PoseStamped", self.header(stamp, "map"), pose)
        else:
            pose = self.new("geometry_msgs/msg/PoseWithCovariance", pose, np.zeros(36))
            message = self.new("geometry_msgs/msg/PoseWithCovarianceStamped", self.header(stamp, "map"), pose)
            if kind == "Odometry":
                zero = self.new("geometry_msgs/msg/Vector3", 0.0, 0.0, 0.0)
                twist = self.new("geometry_msgs/msg/TwistWithCovariance",
                                 self.new("geometry_msgs/msg/Twist", zero, zero), np.zeros(36))
                header = self.header(stamp, "odom")
                message = self.new("nav_msgs/msg/Odometry", header, "base_link", pose, twist)
        self.write(topic, message)

    def poses(self, topic: str, stamps, kind: str = "PoseStamped") -> "Robot":
        for stamp, T in zip(stamps, constant_velocity(stamps), strict=True):
            if kind == "TF":
                self.transform("/tf", stamp, "map", "base_link", np.eye(4))
                self.transform("/tf", stamp, "odom", "trailer", np.eye(4))
                self.transform("/tf", stamp, "odom", "base_link", T)
            else:
                self.pose(topic, stamp, T, kind)
        return self


IMAGES = np.arange(1000, 1600, 100) * MS
POSES = np.arange(930, 1700, 45) * MS


@pytest.mark.parametrize("kind", ["PoseStamped", "PoseWithCovarianceStamped", "Odometry", "TF"])
def test_train_on_your_own_robots_bag(tmp_path, kind):
    with Robot(tmp_path / "bag") as robot:
        robot.mounting().camera(IMAGES).poses("/pose", POSES, kind)
    drive, = find_drives(tmp_path / "bag", Choice(camera_height_m=0.4))
    camera, frames = drive.open()
    frames = list(frames)
    assert camera.mount_height_m == 0.4
    assert [f.number for f in frames] == list(range(6)) and drive.frames == 6
    upright = level_mounting(0.0)
    upright[:3, 3] = robot.base_T_camera[:3, 3]
    true = constant_velocity(IMAGES) @ upright  # its view's, as the odometry's
    np.testing.assert_allclose(upright[:3, :3] @ drive.rotation, robot.base_T_camera[:3, :3], atol=1e-12)
    for k, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, noise(k))
        np.testing.assert_allclose(frame.pose, true[k], atol=1e-9)


def test_of_a_fast_camera_what_the_odometry_takes_for_keyframes_is_taken(tmp_path):
    images = (np.arange(0, 30) * 1000 // 30 + np.random.default_rng(0).integers(-9, 9, 30) + 10) * MS
    with Robot(tmp_path / "bag") as robot:
        robot.mounting().camera(images).poses("/pose", np.arange(0, 1100, 50) * MS)
    drive, = find_drives(tmp_path / "bag", Choice())
    frames = list(drive.open()[1])
    assert [f.number for f in frames] == list(range(10)) and drive.period_s == pytest.approx(0.1, rel=0.1)
    for k, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, noise(3 * k))


def test_images_in_a_gap_of_the_poses_and_missing_images_leave_their_numbers_free(tmp_path, caplog):
    images = np.array([1000, 1100, 1200, 1300, 1400, 1500, 1700, 1800]) * MS
    poses = np.array([*range(950, 1150, 50), *range(1390, 2000, 50)]) * MS
    with Robot(tmp_path / "bag") as robot:
        robot.mounting().camera(images).poses("/pose", poses)
    drive, = find_drives(tmp_path / "bag", Choice())
    assert "2 of 8 images have no poses of /pose close around them" in caplog.text
    assert [f.number for f in drive.open()[1]] == [0, 1, 4, 5, 7, 8]


def test_the_pose_topic_is_chosen_when_it_is_not_clear(tmp_path):
    with Robot(tmp_path / "bag") as robot:
        robot.mounting().camera(IMAGES).poses("/slam", POSES).poses("/wheels", POSES, "Odometry")
        robot.poses("/tf", POSES, "TF")
    with pytest.raises(InputError, match=r"several pose topics \(/slam, /wheels, /tf\); .* --pose-topic"):
        find_drives(tmp_path / "bag", Choice())
    with pytest.raises(InputError, match="has no pose topic /gps; it has /slam, /wheels, /tf"):
        find_drives(tmp_path / "bag", Choice(pose_topic="/gps"))
    for topic in ("/slam", "/wheels", "/tf"):
        drive, = find_drives(tmp_path / "bag", Choice(pose_topic=topic))
        assert drive.origin["pose_topic"] == topic


def spoilt(robot: Robot, name: str) -> None:
    if name != "no mounting":
        robot.mounting()
    robot.camera(IMAGES[::-1] if name == "images backwards" else IMAGES)
    if name == "poses backwards":
        robot.poses("/pose", POSES[::-1])
    elif name == "another clock":
        robot.poses("/pose", POSES + 10**12)
    elif name != "no poses":
        robot.poses("/pose", POSES)
    if name == "NaN":
        robot.pose("/pose", 1700 * MS, np.full((4, 4), np.nan))
    elif name == "far away":
        robot.pose("/pose", 1700 * MS, np.array([[1, 0, 0, 1e307], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))


@pytest.mark.parametrize("name, sentence", [
    ("no mounting", "/tf_static does not connect 'camera' with base_link"),
    ("no poses", "has no poses, which training needs; record a topic of Odometry"),
    ("images backwards", "topic /camera/image: time goes backwards by 0.100 s after 1.500 s"),
    ("poses backwards", "topic /pose: time goes backwards by 0.045 s"),
    ("another clock", "none of its 6 images was taken between two poses of /pose"),
    ("NaN", r"topic /pose holds a pose that is none .* at 1.700 s"),
    ("far away", r"topic /pose holds a pose that is none .* at 1.700 s"),
])
def test_bags_that_are_refused(tmp_path, name, sentence):
    with Robot(tmp_path / "bag") as robot:
        spoilt(robot, name)
    with pytest.raises(InputError, match=sentence) as error:
        find_drives(tmp_path / "bag", Choice())
    assert str(tmp_path / "bag") in str(error.value)


def test_marker_of_unknown_orientation_survives():
    poses = Trajectory.from_poses([0], np.eye(4), oriented=False)
    assert not poses.oriented and not replace(poses, stamps_ns=np.array([1])).oriented
