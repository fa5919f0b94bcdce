"""What the documentation shows runs as it stands there."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path

import pytest

import couplet

ROOT = Path(__file__).parents[2]


def blocks(page: str) -> list[str]:
    """The pieces of Python on a page."""
    text = (ROOT / page).read_text()
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def test_pages_begin_with_the_same_lines() -> None:
    first = blocks("docs/python.md")[0]
    assert blocks("README.md") == blocks("python/README.md") == [first]


def test_examples_run_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("docs/python.md"):
        exec(compile(block, "docs/python.md", "exec"), names)
    assert "validation NLL" in capsys.readouterr().out
    assert (tmp_path / "ring.safetensors").exists() and (tmp_path / "ring" / "corner.svg").exists()


def test_example_of_the_module_runs() -> None:
    result = doctest.testmod(couplet, optionflags=doctest.ELLIPSIS)
    assert result.attempted > 3 and result.failed == 0


def test_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shells = pytest.importorskip("IPython.core.interactiveshell")
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    shell = shells.InteractiveShell.instance()
    try:
        results = [shell.run_cell(cell) for cell in cells]
    finally:
        shells.InteractiveShell.clear_instance()
    for cell, result in zip(cells, results, strict=True):
        assert result.success, cell
    shown = [result.result for result in results]
    assert any(isinstance(it, couplet.Report) for it in shown) and any(isinstance(it, couplet.Pictures) for it in shown)
    assert shown[-1] is True
