"""The command line as its user meets it: exit codes, stdout, and what is on disk afterwards."""

import errno
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from rosbags.rosbag2 import Reader

from distill_vo import cli, geometry, sources
from distill_vo.bags import kitti_to_bag
from distill_vo.networks import NetworkSettings, PoseRegressor
from distill_vo.student import StudentSettings, save
from distill_vo.trajectory import Trajectory, read, write_kitti, write_tum

KEYS = {"frames", "seconds", "frames_per_second", "path_length_m", "t_err_percent",
        "r_err_deg_per_100m", "ate_m", "rpe_translation_m", "rpe_rotation_deg", "alignment"}
FRAMES = 12
LONG = "n" * 300  # more than file systems take


@pytest.fixture(scope="module")
def sequence(tmp_path_factory):
    """A KITTI sequence of noise that shifts by some pixels a frame, with truth."""
    root = tmp_path_factory.mktemp("kitti")
    folder = root / "sequences" / "03"
    (folder / "image_0").mkdir(parents=True)
    scene = np.random.default_rng(0).integers(0, 256, (192, 800), np.uint8)
    scene = cv2.GaussianBlur(scene, None, 2)
    for i in range(FRAMES):
        cv2.imwrite(str(folder / "image_0" / f"{i:06d}.png"), scene[:, 6 * i: 640 + 6 * i])
    (folder / "calib.txt").write_text("P0: 380 0 319.5 0 0 380 91 0 0 0 1 0\n")
    motions = np.outer(np.arange(FRAMES), [0, 0, 1, 0, 0.01, 0])
    write_kitti(root / "poses" / "03.txt", Trajectory.from_poses(
        np.arange(FRAMES), geometry.from_motion(motions)))
    return folder


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """A student that has learned nothing: what surrounds it is tested here."""
    torch.manual_seed(0)
    settings = NetworkSettings("dense_flow", ((2, 2, 4), (2, 2, 4)), (16, 16), hint_layer=2,
                               input_scale=8.0, motion_scale=(0.1, 0.1, 0.5, 0.01, 0.02, 0.01))
    path = tmp_path_factory.mktemp("students") / "blank.safetensors"
    save(path, PoseRegressor(settings), StudentSettings(settings))
    return path


def run(capsys, *arguments) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    code = cli.main([str(a) for a in arguments])
    return code, *capsys.readouterr()


def test_run_prints_one_json_object(sequence, student, tmp_path, capsys):
    code, out, _ = run(capsys, "run", sequence, "--model", student, "--out", tmp_path / "out",
                       "--json")
    figures = json.loads(out)
    assert code == 0 and out.count("\n") == 1
    assert set(figures) >= KEYS
    assert figures["frames"] == figures["frames_with_truth"] == FRAMES
    assert figures["t_err_percent"] is None  # the path is 11 m long
    assert figures["ate_m"] > 0 and figures["frames_per_second"] > 0
    assert figures["alignment"] == "none"
    assert len(read(tmp_path / "out" / "trajectory.tum")) == FRAMES
    assert json.loads((tmp_path / "out" / "figures.json").read_text()) == figures


def test_bag_and_folder_give_the_same_bits(sequence, student, tmp_path, capsys):
    kitti_to_bag(sequence, tmp_path / "bag")
    for source in (sequence, tmp_path / "bag"):
        out = tmp_path / f"{source.name}.out"
        assert run(capsys, "run", source, "--model", student, "--out", out)[0] == 0
    folder, bag = (read(tmp_path / name / "trajectory.tum") for name in ("03.out", "bag.out"))
    np.testing.assert_array_equal(bag.positions, folder.positions)
    np.testing.assert_array_equal(bag.quaternions, folder.quaternions)
    np.testing.assert_array_equal(bag.stamps_ns, folder.stamps_ns + 10**9)


def test_results_have_a_place_of_their_own(sequence, student, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "run", sequence, "--model", student)
    assert code == 0 and "results in results/03" in out and "ATE (m)" in out
    assert (tmp_path / "results" / "03" / "path.png").is_file()


def test_scale_follows_the_height_of_the_camera(sequence, student, tmp_path, capsys):
    def first_way_m(height: float) -> float:
        run(capsys, "run", sequence, "--model", student, "--out", tmp_path, "--camera-height", height)
        here, there = read(tmp_path / "trajectory.kitti").positions[:2]
        return np.linalg.norm(there - here)

    # Later ones are drawn to what inertia says, which is that of real metres.
    assert first_way_m(4.0) == pytest.approx(2 * first_way_m(2.0), rel=0.002)


@pytest.mark.parametrize("arguments, sentence", [
    (["run", "nowhere"], "nowhere: does not exist"),
    (["run", "{sequence}", "--model", "flow-xxl"], "model 'flow-xxl'"),
    (["run", "{sequence}", "--camera", "2"], "has no folder image_2"),
    (["run", "{sequence}", "--truth", "/odom"], "no such trajectory file"),
    (["run", "{sequence}", "--model", "{student}", "--out", "{sequence}/calib.txt"], "calib.txt: "
                                                                                     "is not a "
                                                                                     "folder"),
    (["evaluate", "nowhere.txt", "--truth", "nowhere.txt"], "nowhere.txt: cannot be read"),
    (["kitti-to-bag", "nowhere", "bag"], "nowhere: is not a folder"),
    (["run", LONG], "nnn: File name too long; check the path"),
    (["run", "{sequence}", "--truth", LONG], "nnn: File name too long"),
    (["run", "{sequence}", "--model", LONG], "nnn: File name too long"),
    (["kitti-to-bag", LONG, "bag"], "nnn: File name too long"),
    (["kitti-to-bag", "{sequence}", LONG], "File name too long"),
])
def test_bad_input_is_one_sentence_and_exit_code_2(sequence, student, tmp_path, capsys, monkeypatch,
                                                   arguments, sentence):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *(a.format(sequence=sequence, student=student) for a in arguments))
    assert code == 2 and out == ""
    assert err.startswith("error: ") and err.count("\n") == 1 and sentence in err


@pytest.mark.parametrize("arguments", [
    ["run", "x", "--camera", "7"], ["run", "x", "--camera-height", "-1"], ["run"],
    ["run", "x", "--alignment", "7dof"], ["fly", "x"], ["evaluate", "x"]])
def test_wrong_arguments_are_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(arguments)
    assert error.value.code == 2 and "error: " in capsys.readouterr().err


def interrupted(sequence, monkeypatch, error):
    """The sequence breaks off after five frames."""
    real = sources.open_source

    def frames(source):
        for i, frame in enumerate(source):
            if i == 5:
                raise error
            yield frame

    def opened(*args, **settings):
        source = real(*args, **settings)
        return sources.replace(source, frames=lambda: frames(source))

    monkeypatch.setattr(sources, "open_source", opened)


@pytest.mark.parametrize("error, code, sentence", [
    (sources.InputError("bag: breaks off here."), 2, "error: bag: breaks off here.\n"),
    (OSError(errno.EIO, "Input/output error", "bag"), 2,
     "error: bag: Input/output error; check the path and its permissions.\n"),
    (KeyboardInterrupt(), 130, ""),
])
def test_what_was_tracked_is_kept(sequence, student, tmp_path, capsys, monkeypatch, error, code,
                                  sentence):
    interrupted(sequence, monkeypatch, error)
    got, out, err = run(capsys, "run", sequence, "--model", student, "--out", tmp_path, "--json")
    assert (got, err) == (code, sentence)
    assert json.loads(out)["frames"] == len(read(tmp_path / "trajectory.tum")) == 5


def test_damaged_bag_keeps_what_came_before(sequence, student, tmp_path, capsys):
    kitti_to_bag(sequence, tmp_path / "bag")
    file = tmp_path / "bag" / "bag.mcap"
    with Reader(file) as reader:
        chunks = [c.chunk_start_offset for c in reader.storage.chunks]
    data = bytearray(file.read_bytes())
    assert len(chunks) > 1
    data[chunks[-1] + 30: chunks[-1] + 60] = b"\xff" * 30  # the head of the last chunk
    file.write_bytes(data)
    code, out, err = run(capsys, "run", tmp_path / "bag", "--model", student, "--out",
                         tmp_path / "out", "--json")
    assert code == 2 and "is not a whole rosbag2 bag" in err
    assert 0 < json.loads(out)["frames"] < FRAMES


def test_frames_that_cannot_be_read_are_skipped(sequence, student, tmp_path, capsys):
    folder = tmp_path / "broken"
    (folder / "image_0").mkdir(parents=True)
    for file in ("calib.txt", *(f"image_0/{i:06d}.png" for i in range(FRAMES))):
        (folder / file).write_bytes((sequence / file).read_bytes())
    (folder / "image_0" / "000002.png").write_bytes(b"")
    code, out, _ = run(capsys, "run", folder, "--model", student, "--out", tmp_path / "out",
                       "--json")
    assert code == 0 and json.loads(out)["frames"] == FRAMES - 1


def test_evaluate_takes_tum_and_kitti(tmp_path, capsys):
    poses = geometry.from_motion(np.outer(np.arange(150), [0, 0.01, 1, 0, 0, 0]))
    truth = Trajectory.from_poses(np.arange(150) * 10**8, poses)
    for write, name in ((write_tum, "a.tum"), (write_kitti, "a.txt")):
        write(tmp_path / name, truth)
        code, out, _ = run(capsys, "evaluate", tmp_path / name, "--truth", tmp_path / name,
                           "--json", "--out", tmp_path / "out")
        figures = json.loads(out)
        assert code == 0 and set(figures) >= KEYS
        assert figures["t_err_percent"] == pytest.approx(0, abs=1e-9)
        assert figures["seconds"] is None and figures["frames"] == 150
        assert {f.name for f in (tmp_path / "out").iterdir()} == {"figures.json", "path.png"}
    code, _, err = run(capsys, "evaluate", tmp_path / "a.tum", "--truth", tmp_path / "a.txt")
    assert code == 2 and "two of the same format" in err


@pytest.mark.parametrize("alignment", cli.ALIGNMENTS)
def test_the_farthest_positions_that_are_read_can_be_judged_and_drawn(tmp_path, capsys, alignment):
    motions = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 30, 6)) * ([2 * geometry.MOST] * 3 + [1] * 3)
    for name, poses in zip(("a.tum", "b.tum"), geometry.from_motion(motions), strict=True):
        write_tum(tmp_path / name, Trajectory.from_poses(np.arange(30) * 10**8, poses))
    code, out, _ = run(capsys, "evaluate", tmp_path / "a.tum", "--truth", tmp_path / "b.tum", "--alignment",
                       alignment, "--json", "--out", tmp_path / "out")
    assert code == 0 and json.loads(out)["ate_m"] > 0.1 * geometry.MOST


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_ends_quietly_and_a_full_disk_is_told(tmp_path, unbuffered):
    write_tum(tmp_path / "a.tum", Trajectory.from_poses(np.arange(3) * 10**8, np.tile(np.eye(4), (3, 1, 1))))
    command = [sys.executable, "-m", "distill_vo.cli", "evaluate", "a.tum", "--truth", "a.tum"]
    reader, writer = os.pipe()
    os.close(reader)
    no_room = ("error: reading or writing: No space left on device; make room or take another place, then "
               "run the same command again.\n")
    with open("/dev/full", "w") as full, open(writer, "w") as unread:
        for output, code, said in ((unread, 141, ""), (full, 2, no_room)):
            result = subprocess.run(command, cwd=tmp_path, stdout=output, stderr=subprocess.PIPE, text=True,
                                    env=os.environ | {"PYTHONUNBUFFERED": unbuffered})
            assert (result.returncode, result.stderr) == (code, said)


def test_evaluate_without_common_stamps(tmp_path, capsys):
    for name, start in (("a.tum", 0), ("b.tum", 10**15)):
        write_tum(tmp_path / name, Trajectory.from_poses(start + np.arange(3) * 10**8,
                                                         np.tile(np.eye(4), (3, 1, 1))))
    code, _, err = run(capsys, "evaluate", tmp_path / "a.tum", "--truth", tmp_path / "b.tum")
    assert code == 2 and "no time stamp in common" in err


def test_kitti_to_bag_by_command(sequence, tmp_path, capsys):
    code, out, _ = run(capsys, "kitti-to-bag", sequence, tmp_path / "bag", "--storage", "sqlite3",
                       "--compressed")
    assert code == 0 and f"{FRAMES} images" in out
    assert (tmp_path / "bag" / "bag.db3").is_file()


def test_help_loads_nothing_heavy():
    heavy = {"numpy", "cv2", "torch", "matplotlib", "evo", "rosbags", "tqdm"}
    code = f"import sys, distill_vo.cli; sys.exit(repr({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.strip() == "set()"


def test_choices_in_help_are_those_that_work():
    from distill_vo import bags
    from distill_vo.evaluation import metrics
    from distill_vo.sources import kitti
    from distill_vo.student import DEVICES, student_names
    verbs = cli._parser()._subparsers._group_actions[0].choices
    run, bag = ({a.dest: a for a in verbs[v]._actions} for v in ("run", "kitti-to-bag"))
    assert tuple(run["alignment"].choices) == metrics.ALIGNMENTS
    assert tuple(run["device"].choices) == DEVICES
    assert tuple(run["camera"].choices) == tuple(bag["camera"].choices) == kitti.CAMERAS
    assert tuple(bag["storage"].choices) == bags.STORAGES
    assert run["model"].default in student_names()
