"""No code in data and no network: as the code reads, and as it runs."""

import ast
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib",
           "socket", "urllib", "http", "requests", "httpx", "ftplib", "huggingface_hub"}
CALLS = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "torch.hub.load", "os.system"}


def faults(code: str) -> set[str]:
    """What must not be in code: modules that run or fetch, calls that do."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {node.module.split(".")[0]} & MODULES
        elif isinstance(node, ast.Call):
            name, given = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            found |= {name} & CALLS
            if name == "torch.load" and given.get("weights_only") != "True" or "allow_pickle" in given:
                found.add(f"{name} with pickle")
    return found


@pytest.mark.parametrize("code", [
    "import pickle", "from urllib.request import urlopen", "yaml.load(text)", "eval(text)",
    "torch.load(file)", "np.load(file, allow_pickle=True)"])
def test_the_reading_finds_what_must_not_be(code):
    assert faults(code)


def test_no_code_unpickles_evaluates_or_fetches():
    files = [file for room in ("distill_vo", "training", "launch") for file in (ROOT / room).rglob("*.py")]
    assert len(files) > 50
    assert {str(file): found for file in files if (found := faults(file.read_text()))} == {}


OFFLINE_RUN = """
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith(("socket.", "pickle.", "urllib."))
                 else None)
from distill_vo import cli
code = cli.main(["run", sys.argv[1], "--calibration", sys.argv[2], "--out", sys.argv[3]])
print(sorted(set(seen)))
sys.exit(code)
"""


def test_a_run_opens_no_socket_and_unpickles_nothing(tmp_path):
    (tmp_path / "images").mkdir()
    scene = np.random.default_rng(0).integers(0, 256, (192, 700), np.uint8)
    for k in range(4):
        cv2.imwrite(str(tmp_path / "images" / f"{k}.png"), scene[:, 5 * k: 640 + 5 * k])
    (tmp_path / "camera.yaml").write_text(
        "image_width: 640\nimage_height: 192\n"
        "camera_matrix: {data: [380, 0, 319.5, 0, 380, 91, 0, 0, 1]}\n")
    run = subprocess.run([sys.executable, "-c", OFFLINE_RUN, tmp_path / "images", tmp_path / "camera.yaml",
                          tmp_path / "out"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "out" / "trajectory.tum").exists()
