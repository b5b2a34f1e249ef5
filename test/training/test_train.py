"""Training falls, resumes to the same numbers, spreads over processes, and freezes what it should."""

import csv
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from distill_vo.errors import InputError
from distill_vo.networks import NetworkSettings, Regression
from distill_vo.settings import from_mapping
from distill_vo.student import Student, load_network
from training import __main__ as cli
from training import hints, objectives, validate
from training.data.drives import RehearsalPlan
from training.data.rehearsal import RehearsalSettings
from training.distil import DistilSettings
from training.hints import teacher_outputs
from training.mirror import symmetrise, untrained
from training.objectives import ObjectiveSettings
from training.teacher import TeacherSettings
from training.train import TrainingSettings, fabric_for, train
from training.twins import levelled
from training.validate import predict, said_by, seen

STUDENT = NetworkSettings("dense_flow", ((2, 2, 8), (2, 2, 16)), (16, 24, 16), hint_layer=2, input_scale=3.0)
TEACHER = replace(STUDENT, fully_connected=(24, 16), hint_layer=1, lstm_layers=2, lstm_width=16)
SETTINGS = TrainingSettings(epochs=4, batch=32, learning_rate=5e-3, seed=3)
FIGURES = ("student", "sigma", "rpe_t_m", "rpe_r_deg")
ALONE = ObjectiveSettings("student_only", "none", rotation_weight=1000.0)


def fit(cache, validation, out, settings=SETTINGS, shape=STUDENT, alone=ALONE):
    torch.manual_seed(0)
    network = untrained(shape, cache)
    objective = objectives.regression(alone, None, network)
    return train(network, objective, settings, cache, validation, out, fabric_for(settings),
                 {"objective": asdict(alone)})


def curves(out):
    with open(out / "curves.csv") as file:
        return [{k: float(v) for k, v in row.items() if k in FIGURES} for row in csv.DictReader(file)]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_losses_and_errors_fall(cache, validation, tmp_path, precision):
    fit(cache, validation, tmp_path / "run", replace(SETTINGS, precision=precision))
    first, *_, last = curves(tmp_path / "run")
    assert last["student"] < 0.5 * first["student"]
    assert last["rpe_t_m"] < first["rpe_t_m"] and last["rpe_r_deg"] < first["rpe_r_deg"]


@pytest.mark.parametrize("part, name, value", [
    ("training", "epochs", 0), ("training", "window", 0), ("training", "batch", 0), ("training", "seed", -1),
    ("training", "seed", 2**32), ("training", "learning_rate", -1.0), ("training", "learning_rate", 0.0),
    ("training", "weight_decay", -1.0), ("training", "warmup", 2.0), ("training", "warmup", 1.0),
    ("training", "clip_norm", 0.0), ("training", "noise_px", -1.0), ("training", "average", 2.0),
    ("training", "occluded", -0.1), ("training", "occluded", 1.0), ("training", "occluded", 30.0),
    ("objective", "alpha", 5.0), ("objective", "rotation_weight", -1.0), ("objective", "eta_quantile", 0.0),
    ("objective", "eta_quantile", 1.5), ("objective", "temperature", 0.0)])
def test_numbers_by_which_nothing_is_learned_are_refused_by_name(part, name, value):
    with pytest.raises(InputError, match=rf"here: {part}: {name}: is {value}; give a number from"):
        from_mapping(DistilSettings, {"training": {}, part: {name: value}}, "here")


@pytest.mark.parametrize("settings", [
    SETTINGS, ALONE, TeacherSettings(SETTINGS), DistilSettings(SETTINGS), RehearsalSettings(),
    RehearsalPlan(1, RehearsalSettings())], ids=lambda settings: type(settings).__name__)
def test_every_number_of_the_settings_is_bounded(settings):
    numbers = [f.name for f in fields(settings) if type(getattr(settings, f.name)) in (int, float)]
    for name in numbers:
        for value in (math.nan, math.inf, -math.inf):
            with pytest.raises(InputError, match=f"^{name}: is {value}; give a number from"):
                replace(settings, **{name: value})


@pytest.mark.parametrize("epochs, batch, warmup", [
    (2, 80, 0.1), (1, 400, 0.1), (4, 100, 1 / 16), (2, 80, 0.0), (2, 80, 0.99)])
def test_a_rise_of_any_length_is_no_hindrance(cache, tmp_path, epochs, batch, warmup):
    settings = replace(SETTINGS, epochs=epochs, batch=batch, warmup=warmup)
    fit(cache, None, tmp_path / "run", settings)
    losses = [row["student"] for row in curves(tmp_path / "run")]
    assert len(losses) == epochs and losses[-1] <= losses[0] < 2


@pytest.mark.parametrize("shape, window", [(replace(STUDENT, dropout=0.25), 1), (TEACHER, 4)])
def test_a_killed_run_goes_on_to_the_same_numbers(cache, validation, tmp_path, shape, window):
    settings = replace(SETTINGS, window=window, noise_px=0.1, occluded=0.3)
    whole = fit(cache, validation, tmp_path / "whole", settings, shape)

    class Killed(Exception):
        pass

    def dying(network, *args):
        if (tmp_path / "killed" / "last.ckpt").exists():
            raise Killed
        return validate(network, *args)

    from training import train as module

    validate = module.validate
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "validate", dying)
        fit(cache, validation, tmp_path / "killed", settings, shape)
    resumed = fit(cache, validation, tmp_path / "killed", settings, shape)
    assert curves(tmp_path / "killed") == curves(tmp_path / "whole")
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_a_checkpoint_of_other_settings_is_refused(cache, validation, tmp_path):
    fit(cache, validation, tmp_path / "run")
    with pytest.raises(InputError, match=r"last\.ckpt.*learning_rate"):
        fit(cache, validation, tmp_path / "run", replace(SETTINGS, learning_rate=1e-4))
    with pytest.raises(InputError, match="begun with another network;"):
        fit(cache, validation, tmp_path / "run", shape=replace(STUDENT, fully_connected=(8, 24, 16)))
    with pytest.raises(InputError, match="begun with another cache;"):
        fit(replace(cache, about={**cache.about, "digest": "other"}), validation, tmp_path / "run")
    with pytest.raises(InputError, match="begun with another objective;"):
        fit(cache, validation, tmp_path / "run", alone=replace(ALONE, rotation_weight=1.0))


@pytest.mark.parametrize("spoil", [
    lambda whole: b"", lambda whole: whole[:1000], lambda whole: whole[:-1], lambda whole: b"no checkpoint"])
def test_a_damaged_checkpoint_is_refused_until_it_is_deleted(cache, tmp_path, spoil):
    fit(cache, None, tmp_path / "run", replace(SETTINGS, epochs=1))
    file, before = tmp_path / "run" / "last.ckpt", curves(tmp_path / "run")
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(InputError, match=r"last\.ckpt: is damaged .* delete it to begin") as refused:
        fit(cache, None, tmp_path / "run", replace(SETTINGS, epochs=1))
    assert "\n" not in str(refused.value)
    file.unlink()
    fit(cache, None, tmp_path / "run", replace(SETTINGS, epochs=1))
    assert curves(tmp_path / "run") == before


def write_yaml(path, network: NetworkSettings, **rest):
    def plain(x):
        return [plain(v) for v in x] if isinstance(x, (tuple, list)) else x

    shape = {k: plain(v) for k, v in vars(network).items()}
    path.write_text(yaml.safe_dump({"network": shape, "training": {"epochs": 2, "batch": 32}} | rest))
    return path


@pytest.fixture
def teacher(cache, validation, tmp_path):
    settings = write_yaml(tmp_path / "teacher.yaml", TEACHER,
                          training={"epochs": 2, "batch": 8, "window": 4, "learning_rate": 5e-3})
    assert cli.main(["teacher", str(settings), "--cache", str(cache.path), "--validation",
                     str(validation.path), "--out", str(tmp_path / "teacher")]) == 0
    return tmp_path / "teacher" / "teacher.safetensors"


def distil(tmp_path, cache, validation, teacher, **objective):
    settings = write_yaml(tmp_path / "student.yaml", STUDENT, objective=objective, hint_epochs=1)
    return cli.main(["distil", str(settings), "--teacher", str(teacher), "--cache", str(cache.path),
                     "--validation", str(validation.path), "--out", str(tmp_path / "student")])


@pytest.mark.parametrize("objective", [
    {"objective": "attentive", "hint": "aht"}, {"objective": "attentive", "hint": "ht", "stages": "joint"},
    {"objective": "attentive", "hint": "aht", "stages": "joint", "imitate": "driven"},
    {"objective": "soft_target", "hint": "none"}, {"objective": "probabilistic_laplace", "hint": "none"}])
def test_students_of_every_kind_come_out_as_files_that_drive(tmp_path, cache, validation, teacher, objective):
    assert distil(tmp_path, cache, validation, teacher, **objective) == 0
    motion, sigma = Student.load(tmp_path / "student" / "student.safetensors", "cpu")(cache.inputs[0])
    assert np.isfinite(motion).all() and (sigma > 0).all()


def test_classes_of_a_student_are_those_of_its_teacher(tmp_path, cache, validation, teacher):
    """Though it learns from motions that are spread otherwise than those its teacher learned from."""
    assert distil(tmp_path, validation, cache, teacher, objective="soft_target", hint="none") == 0
    networks = [load_network(file)[0] for file in (teacher, tmp_path / "student" / "student.safetensors")]
    torch.testing.assert_close(networks[1].bin_values, networks[0].bin_values, rtol=0, atol=0)
    assert untrained(STUDENT, validation).settings.bin_centre != networks[0].settings.bin_centre


@pytest.mark.parametrize("stages", ["two", "joint"])
def test_what_has_learned_leans_to_no_side(tmp_path, cache, validation, teacher, stages):
    assert distil(tmp_path, cache, validation, teacher, objective="attentive", hint="aht", stages=stages) == 0
    for file in (teacher, tmp_path / "student" / "student.safetensors"):
        network, symmetric = load_network(file)[0], load_network(file)[0]
        symmetrise(symmetric)
        for weight, expected in zip(network.parameters(), symmetric.parameters(), strict=True):
            torch.testing.assert_close(weight, expected, rtol=0, atol=0)


def test_the_guided_layers_are_left_alone_in_the_second_stage(tmp_path, cache, validation, teacher):
    assert distil(tmp_path, cache, validation, teacher, objective="attentive", hint="aht") == 0
    checkpoint = torch.load(tmp_path / "student" / "hint" / "last.ckpt", weights_only=True)["average"]
    network, _, _ = load_network(tmp_path / "student" / "student.safetensors")
    for name, value in network.state_dict().items():
        same = torch.equal(value, checkpoint[f"module.{name}"])
        guided = name.startswith(("encoder", "fully_connected.0", "fully_connected.1"))
        assert same == guided, name


def test_stored_teacher_outputs_are_what_the_teacher_says(cache, teacher, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(validate, "FLOWS", 32)  # pairs at once: a drive takes several times
        outputs = teacher_outputs(teacher, cache, 1.0, "cpu")
    network, _, _ = load_network(teacher)
    rows = slice(100, 200)  # the second drive, on which the LSTM starts from rest
    found = predict(network, levelled(cache, rows)[0], "cpu")
    np.testing.assert_allclose(outputs.hints[0, rows], found.hints, atol=2e-3)  # in half precision
    np.testing.assert_allclose(outputs.motions[0, rows], found.motions, atol=1e-6)


def test_sigma_learns_how_far_off_motions_are_without_a_say_in_them():
    motion, log_sigma = (torch.randn(4, 1, 6, requires_grad=True) for _ in range(2))
    said = Regression(motion, log_sigma, hint=None, logits=None, state=None)
    objective = objectives.regression(ObjectiveSettings(objective="student_only"), None, None)
    objective(said, SimpleNamespace(motions=torch.zeros(4, 1, 6)))["sigma"].backward()
    assert log_sigma.grad.all() and motion.grad is None


def test_a_teacher_is_imitated_in_what_it_drives_by(cache, teacher):
    outputs = teacher_outputs(teacher, cache, 1.0, "cpu", "driven")
    network, settings, _ = load_network(teacher)
    rows = slice(100, 200)
    driven, _ = said_by(Student(network, settings, "teacher"), seen(cache, cache.tracks[1]))
    np.testing.assert_allclose(outputs.motions[0, rows], driven, atol=1e-6)
    assert not np.allclose(driven, teacher_outputs(teacher, cache, 1.0, "cpu").motions[0, rows], atol=1e-3)


def test_who_comes_second_takes_the_outputs_of_who_was_first(cache, teacher, monkeypatch):
    runs, compute = [], hints._compute
    monkeypatch.setattr(hints, "_compute", lambda *args: (runs.append(args), compute(*args)))
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: teacher_outputs(teacher, cache, 1.0, "cpu", "driven"), range(2)))
    assert len(runs) == 1 and all(outputs.motions.shape[1] == len(cache) for outputs in both)
    assert [folder.name[:8] for folder in cache.path.glob("*teacher-*")] == ["teacher-"]


def test_outputs_that_were_interrupted_are_computed_anew(cache, teacher, monkeypatch):
    def killed(network, cache, folder, device):
        compute(network, cache, folder, device)
        raise KeyboardInterrupt

    compute = hints._compute
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(hints, "_compute", killed)
        teacher_outputs(teacher, cache, 1.0, "cpu")
    assert not list(cache.path.glob("teacher-*"))
    assert teacher_outputs(teacher, cache, 1.0, "cpu").motions.shape[1] == len(cache)
    assert not (cache.path / ".teacher").exists()


def test_a_student_without_its_teacher_is_refused(tmp_path, cache, validation, capsys):
    settings = write_yaml(tmp_path / "student.yaml", STUDENT)
    assert cli.main(["distil", str(settings), "--cache", str(cache.path), "--validation",
                     str(validation.path), "--out", str(tmp_path / "student")]) == 2
    assert "--teacher" in capsys.readouterr().err


@pytest.mark.parametrize("settings, sentence", [
    ({"training": {"window": 4}}, "training.window: is 4"),
    ({"training": {"learning_rate": -1.0}}, "student.yaml: training: learning_rate: is -1.0; give a number"),
    ({"network": replace(STUDENT, hint_layer=1)}, "guided layer has 16 outputs, the teacher's hint 24"),
])
def test_what_cannot_be_learned_is_refused(tmp_path, cache, validation, teacher, capsys, settings, sentence):
    file = write_yaml(tmp_path / "student.yaml", settings.pop("network", STUDENT), **settings)
    assert cli.main(["distil", str(file), "--teacher", str(teacher), "--cache", str(cache.path),
                     "--validation", str(validation.path), "--out", str(tmp_path / "student")]) == 2
    assert sentence in capsys.readouterr().err


def test_drives_on_which_nothing_can_be_measured_are_refused_before_training(tmp_path, cache, validation):
    halved = replace(validation, tracks=tuple(replace(track, stride=2) for track in validation.tracks))
    with pytest.raises(InputError, match="no drive run forwards at full rate"):
        fit(cache, halved, tmp_path / "run")
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_two_processes_descend_the_same_curve_as_one(tmp_path, cache, validation):
    settings = write_yaml(tmp_path / "student.yaml", STUDENT,
                          objective={"objective": "student_only", "hint": "none"})
    arguments = ["-m", "training", "distil", str(settings), "--cache", str(cache.path), "--validation",
                 str(validation.path), "--out"]
    one = [sys.executable, *arguments, str(tmp_path / "one")]
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
           *arguments, str(tmp_path / "two")]
    for command in (one, two):
        said = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True).stdout
        assert said.count('"epoch": 1,') == 1  # and not each for itself
    single, double = (curves(tmp_path / name / "regression") for name in ("one", "two"))
    for a, b in zip(single, double, strict=True):
        assert b == pytest.approx(a, rel=1e-3)
