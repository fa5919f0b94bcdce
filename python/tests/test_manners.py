"""How it behaves beside other threads, other processes and the user at the keyboard."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import couplet
from couplet._progress import Line, Progress, reporter

LONG = {"steps": 1_000_000, "patience": 0, "seed": 1, "device": "cpu"}


def stop_after(count: int) -> tuple[Any, list[Progress]]:
    """A function that asks for the end of a fit the `count`-th time that it is called, and what it was called with."""
    seen: list[Progress] = []

    def note(progress: Progress) -> bool:
        seen.append(progress)
        return len(seen) == count

    return note, seen


def test_other_threads_run_while_a_flow_is_fitted(moons: np.ndarray) -> None:
    ticks = []
    done = threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.01)

    other = threading.Thread(target=tick)
    other.start()
    couplet.Flow(**LONG, progress=lambda progress: progress.seconds > 1).fit(moons)
    done.set()
    other.join()
    assert len(ticks) > 50 and max(np.diff(ticks)) < 0.25


def test_callback_sees_progress_and_may_end_the_fit(moons: np.ndarray) -> None:
    note, seen = stop_after(4)
    flow = couplet.Flow(**LONG, progress=note).fit(moons)
    assert [it.steps for it in seen[:4]] == [1_000_000] * 4
    assert [it.step for it in seen] == sorted({it.step for it in seen})
    assert seen[3].validation_nll is not None and seen[3].seconds > 0
    assert flow.report_.steps < 1_000_000 and np.isfinite(flow.score(moons))
    shown = str(seen[3])
    assert f"step {seen[3].step:,} of 1,000,000: NLL" in shown and "held out" in shown


def test_exception_of_the_callback_ends_the_fit_with_the_best_so_far(moons: np.ndarray) -> None:
    def fail(progress: Progress) -> None:
        if progress.validation_nll is not None and progress.step > 200:
            raise KeyError("mine")

    flow = couplet.Flow(**LONG, progress=fail)
    with pytest.raises(KeyError, match="mine"):
        flow.fit(moons)
    assert np.isfinite(flow.score(moons)) and flow.report_.steps > 200
    flow = couplet.Flow(**LONG, progress=lambda progress: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        flow.fit(moons)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What is started in the background of a shell ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_keeps_the_best_and_raises(moons: np.ndarray) -> None:
    flow = couplet.Flow(**LONG)
    timer = threading.Timer(1.0, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        flow.fit(moons)
    assert time.monotonic() - begin < 4
    assert flow.score(moons) > -2.5 and flow.report_.steps > 0


def test_progress_is_a_line_that_is_written_again() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for out, expected in [
        (Terminal(), "\rstep 1 of 2: NLL 1.5000 nats, 0 s\rstep 2 of 2: NLL 1.0000, held out 2.0000 nats, 3 s\n"),
        (io.StringIO(), "step 2 of 2: NLL 1.0000, held out 2.0000 nats, 3 s\n"),
    ]:
        line = Line(out)
        line(Progress(1, 2, 1.5, None, 0.1))
        line(Progress(2, 2, 1.0, 2.0, 3.0))
        line.end()
        assert out.getvalue() == expected


def test_progress_in_a_notebook_is_shown_below_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[str] = []

    class Handle:
        def update(self, html: Any) -> None:
            shown.append(html.data)

    def show(html: Any, display_id: bool) -> Handle:
        shown.append(html.data)
        return Handle()

    class Shell:
        kernel = object()

    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", Shell)
    monkeypatch.setattr(display, "display", show)
    report = reporter(True)
    report(1, 2, 1.5, None)
    report(2, 2, 1.0, 2.0)
    assert len(shown) == 2 and "<progress value=2 max=2>" in shown[1]


def test_warnings_are_of_their_own_class_and_of_the_line_that_called() -> None:
    x = np.arange(1000.0) / 500
    on_a_line = np.column_stack([x, np.round(np.sin(3 * x), 1)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        flow = couplet.Flow(steps=20, device="cpu").fit(on_a_line)
    assert caught and all(issubclass(it.category, couplet.CoupletWarning) for it in caught)
    quality = [it for it in caught if it.category is couplet.DataQualityWarning]
    assert [str(it.message) for it in quality] == flow.report_.warnings
    assert all(it.filename == __file__ for it in caught)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow = couplet.Flow(steps=20, device="cpu")
        with pytest.raises(couplet.DataQualityWarning):
            flow.fit(on_a_line)
    assert not hasattr(flow, "columns_")


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"steps": -1}, ValueError, "steps=-1: .* a whole number from 0 on"),
        ({"steps": 1.5}, ValueError, "steps=1.5: .* a whole number"),
        ({"coupling": "cubic"}, ValueError, "coupling=.cubic.: unknown variant .*`spline`"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate = -1: must be a positive number"),
        ({"hidden": 5}, ValueError, "hidden=5"),
        ({"device": "tpu"}, ValueError, "device=.tpu.: must be auto, gpu or cpu"),
        ({"threads": 0}, ValueError, "threads=0"),
        ({"progress": True, "separate": "no"}, ValueError, "separate=.no.: .* True or False"),
        ({"steps": object()}, TypeError, "a setting cannot be of type object"),
        ({"device": "gpu", "adapter": "no such"}, couplet.DeviceError, "adapter=.no such.: no such adapter"),
        ({"coupling": "affine", "base": "normal", "learning_rate": 1e30, "steps": 50, "clip_norm": 0.0, "schedule": "constant",
          "warm_up": 0}, couplet.DivergedError, "learning_rate"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(settings: dict[str, Any], kind: type[Exception], words: str, moons: np.ndarray) -> None:
    with pytest.raises(kind, match=words):
        couplet.Flow(**settings).fit(moons)


def test_threads_may_share_a_flow(flow: couplet.Flow, moons: np.ndarray) -> None:
    expected = flow.score_samples(moons)
    with ThreadPoolExecutor(4) as threads:
        for scores in threads.map(lambda _: flow.score_samples(moons), range(12)):
            assert np.array_equal(scores, expected)
        fits = list(threads.map(lambda seed: couplet.Flow(steps=30, seed=seed, device="cpu").fit(moons), [1, 1, 2]))
    assert fits[0].score(moons) == fits[1].score(moons) != fits[2].score(moons)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_processes_compute(flow: couplet.Flow, moons: np.ndarray) -> None:
    expected = flow.score(moons)
    with warnings.catch_warnings():
        # Python warns that the process has threads, which is the point.
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            of_children = pool.map_async(score_and_fit, [(flow, moons)] * 4).get(60)
    for score, fitted in of_children:
        assert score == expected
        assert fitted == of_children[0][1]


def score_and_fit(work: tuple[couplet.Flow, np.ndarray]) -> tuple[float, float]:
    flow, rows = work
    return flow.score(rows), couplet.Flow(steps=20, device="cpu").fit(rows).score(rows)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_process_has_the_flow_of_its_parent() -> None:
    script = """
import os, sys, numpy as np, couplet
rows = np.random.default_rng(1).normal(size=(500, 2))
flow = couplet.Flow(steps=20, device=sys.argv[1]).fit(rows)
score = flow.score(rows)
child = os.fork()
if child == 0:
    try:
        code = 0 if flow.score(rows) == score else 2
    except RuntimeError as error:
        code = 3 if "spawn" in str(error) else 4
    os._exit(code)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    # The GPU here may be a software adapter: a driver all the same.
    for device, expected in [("cpu", 0), ("gpu", 3)]:
        ended = subprocess.run([sys.executable, "-W", "ignore", "-c", script, device], timeout=120, check=False)
        assert ended.returncode == expected, device


def test_gpu_agrees_with_the_cpu(flow: couplet.Flow, moons: np.ndarray, tmp_path: Any) -> None:
    flow.save(tmp_path / "flow.safetensors")
    on_gpu = couplet.Flow.load(tmp_path / "flow.safetensors", device="gpu")
    assert np.abs(on_gpu.score_samples(moons) - flow.score_samples(moons)).max() < 2e-3
