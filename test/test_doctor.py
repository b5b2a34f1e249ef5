"""What `distill_vo doctor` says of this machine, and of one where something is broken."""

import json
import os
import shutil
import sys

import pytest

from distill_vo import cli, doctor, student


@pytest.fixture
def findings(capsys, monkeypatch):
    """findings(): exit code, and the findings by name, as --json gives them."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)

    def ask() -> tuple[int, dict]:
        code = cli.main(["doctor", "--json"])
        return code, {f["what"]: f for f in json.loads(capsys.readouterr().out)}

    return ask


def wrong(found: dict) -> set[str]:
    return {name for name, finding in found.items() if finding["status"] == "wrong"}


def test_a_machine_that_runs_the_tests_is_well(findings):
    pytest.importorskip("rclpy")
    code, found = findings()
    assert code == 0 and not wrong(found)
    assert sys.executable in found["interpreter"]["found"]
    for name in student.student_names():
        assert student.Student.load(name, "cpu").digest in found[f"model {name}"]["found"]
    assert {"torch", "device", "OpenCV", "ROS", "messages", "transports", "installation"} <= set(found)
    assert all(f["remedy"] for f in found.values() if f["status"] != "ok")


@pytest.mark.parametrize("module, what", [("torch", "torch"), ("cv2", "OpenCV"), ("rclpy", "ROS")])
def test_a_missing_library_is_one_finding_with_its_remedy(findings, monkeypatch, module, what):
    monkeypatch.setitem(sys.modules, module, None)
    code, found = findings()
    assert code == 2 and wrong(found) == {what}
    assert "install" in found[what]["remedy"].lower() or "source" in found[what]["remedy"].lower()


def test_a_ros_that_is_too_old_for_the_node_is_named(findings, monkeypatch):
    subscription = pytest.importorskip("rclpy.subscription")
    monkeypatch.delattr(subscription.Subscription, "CallbackType")  # as in Humble
    code, found = findings()
    assert code == 2 and wrong(found) == {"ROS"} and "Jazzy or newer" in found["ROS"]["remedy"]


def test_a_damaged_model_is_named(findings, monkeypatch, tmp_path):
    shutil.copytree(student.MODELS, tmp_path / "models")
    file = tmp_path / "models" / f"{student.DEFAULT}.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    monkeypatch.setattr(student, "MODELS", tmp_path / "models")
    code, found = findings()
    assert code == 2 and wrong(found) == {f"model {student.DEFAULT}"}
    assert "digest" in found[f"model {student.DEFAULT}"]["found"]


def test_a_virtual_environment_that_the_command_does_not_run_in_is_named(findings, monkeypatch, tmp_path):
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    code, found = findings()
    assert code == 2 and wrong(found) == {"interpreter"}
    assert str(tmp_path) in found["interpreter"]["found"] and "colcon" in found["interpreter"]["remedy"]


@pytest.mark.parametrize("python, status", [(sys.executable, "ok"), ("no-such-python", "wrong"),
                                            (shutil.which("false"), "wrong")])
def test_the_installed_node_must_run_with_a_python_that_has_torch(findings, monkeypatch, tmp_path, python,
                                                                  status):
    pytest.importorskip("rclpy")
    (tmp_path / "share/ament_index/resource_index/packages").mkdir(parents=True)
    (tmp_path / "share/ament_index/resource_index/packages/distill_vo").touch()
    (tmp_path / "lib/distill_vo").mkdir(parents=True)
    (tmp_path / "lib/distill_vo/vo_node").write_text(f"#!{python}\n")
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join([str(tmp_path), os.environ["AMENT_PREFIX_PATH"]]))
    code, found = findings()
    assert found["installation"]["status"] == status and python in found["installation"]["found"]
    assert code == (0 if status == "ok" else 2)


@pytest.mark.parametrize("variables, status", [
    ({}, "advice"), ({"FASTDDS_BUILTIN_TRANSPORTS": "DEFAULT?sockets_size=4MB"}, "ok"),
    ({"FASTDDS_BUILTIN_TRANSPORTS": "DEFAULT?sockets_size=4MB", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
     "advice")])
def test_transports_that_lose_full_frames_are_told(findings, monkeypatch, variables, status):
    pytest.importorskip("rclpy")
    for name in ("FASTDDS_BUILTIN_TRANSPORTS", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code, found = findings()
    assert code == 0 and found["transports"]["status"] == status


def test_a_check_that_fails_itself_is_a_finding_and_no_traceback(monkeypatch, capsys):
    def fails():
        raise OSError("no such thing")
    monkeypatch.setattr(doctor, "_interpreter", fails)
    assert cli.main(["doctor"]) == 2
    assert "no such thing" in capsys.readouterr().out
