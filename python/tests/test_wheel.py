"""What is installed, and how soon it is there."""

from __future__ import annotations

import importlib.metadata
import os
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import couplet


def test_package_has_what_it_says() -> None:
    assert importlib.metadata.version("couplet-flows") == couplet.__version__
    requirements = importlib.metadata.requires("couplet-flows") or []
    assert [it.split(">=")[0] for it in requirements] == ["numpy"]
    folder = Path(couplet.__file__).parent
    assert (folder / "py.typed").exists() and (folder / "_couplet.pyi").exists()
    for name in couplet.__all__:
        assert getattr(couplet, name) is not None


@pytest.mark.skipif("COUPLET_WHEEL" not in os.environ, reason="scripts/test names the wheel")
def test_wheel_is_one_for_every_python_and_small() -> None:
    wheel = Path(os.environ["COUPLET_WHEEL"])
    assert "-cp310-abi3-" in wheel.name
    assert wheel.stat().st_size < 25e6
    files = zipfile.ZipFile(wheel).namelist()
    assert "couplet/py.typed" in files and not [name for name in files if "test" in name]


def test_import_takes_little_and_loads_nothing_else() -> None:
    def took(name: str) -> float:
        measure = f"import time; begin = time.perf_counter(); import {name}; print(time.perf_counter() - begin)"
        return float(subprocess.check_output([sys.executable, "-c", measure]))

    # Next to numpy, which it loads: a machine may be slow, and busy. Both take some 0.1 s.
    both = [(took("couplet"), took("numpy")) for _ in range(9)]
    ratio = statistics.median(ours / numpys for ours, numpys in both)
    assert ratio < 2, both
    loaded = (
        "import sys, couplet; print([it for it in sys.modules if it in ('pandas', 'polars', 'pyarrow', 'sklearn', 'IPython')])"
    )
    assert subprocess.check_output([sys.executable, "-c", loaded], text=True) == "[]\n"
