"""The command that the wheel installs, and the module beside it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import couplet

COMMAND = [str(Path(sys.executable).parent / "couplet")]


def run(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    words = [*COMMAND, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, **options)


def test_version_and_exit_codes_are_those_of_the_command(tmp_path: Path) -> None:
    assert run("--version").stdout == f"couplet {couplet.__version__}\n"
    module = subprocess.run([sys.executable, "-m", "couplet", "--version"], capture_output=True, text=True, check=True)
    assert module.stdout == f"couplet {couplet.__version__}\n"
    assert run("train", "--no-such-flag").returncode == 2
    missing = run("score", tmp_path / "none", tmp_path / "none")
    assert missing.returncode == 3 and "none" in missing.stderr


def test_module_and_command_write_the_same_file_and_the_same_samples(moons: np.ndarray, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(3)
    frame = pandas.DataFrame(moons, columns=["a", "b"])
    frame["kind"] = np.where(moons[:, 0] > 0, "right", "left")
    frame["w"] = rng.uniform(0.5, 2, len(frame))
    frame.to_csv(tmp_path / "all.csv", index=False)
    np.save(tmp_path / "rows.npy", moons)
    settings = ["--steps", 60, "--seed", 5, "--quiet", "--device", "cpu"]
    fits = {
        "plain": (["rows.npy"], lambda flow: flow.fit(moons)),
        "named": (["all.csv", "--columns", "a,b"], lambda flow: flow.fit(frame[["a", "b"]])),
        "conditional": (
            ["all.csv", "--given", "b,kind", "--weights", "w"],
            lambda flow: flow.fit(frame, given=["b", "kind"], sample_weight="w"),
        ),
        "conditional, apart": (
            ["all.csv", "--given", "b,kind", "--weights", "w"],
            lambda flow: flow.fit(frame[["a"]], given=frame[["b", "kind"]], sample_weight=frame.w),
        ),
    }
    for name, (arguments, fit) in fits.items():
        ours, theirs = tmp_path / f"{name}.py.safetensors", tmp_path / f"{name}.safetensors"
        fit(couplet.Flow(steps=60, seed=5, device="cpu")).save(ours)
        ended = run("train", *arguments, *settings, "--out", theirs, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        assert ours.read_bytes() == theirs.read_bytes(), name
    flow = couplet.Flow.load(tmp_path / "plain.safetensors")
    drawn = run("sample", tmp_path / "plain.safetensors", "-n", 5, "--seed", 9).stdout.splitlines()
    assert np.allclose(np.array([row.split(",") for row in drawn[1:]], dtype=float), flow.sample(5, 9), atol=1e-6)
    scores = run("score", tmp_path / "plain.safetensors", tmp_path / "rows.npy").stdout.splitlines()
    assert np.allclose(np.array(scores[1:], dtype=float), flow.score_samples(moons), atol=1e-4)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_interrupt_ends_the_command_with_the_best_so_far(moons: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", moons)
    words = [*COMMAND, "train", "rows.npy", "--steps", "10000000", "--patience", "0"]
    running = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    time.sleep(2.5)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130 and "The best model so far" in said
    assert np.isfinite(couplet.Flow.load(tmp_path / "rows.safetensors").score(moons))


@pytest.mark.skipif(sys.platform == "win32", reason="it takes a POSIX shell")
def test_closed_output_is_said(flow: couplet.Flow, moons: np.ndarray, tmp_path: Path) -> None:
    flow.save(tmp_path / "flow.safetensors")
    np.save(tmp_path / "rows.npy", moons)
    line = f"'{COMMAND[0]}' score flow.safetensors rows.npy >&-"
    ended = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1 and "standard output" in ended.stderr
