"""The settings of the package are those of the configuration."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path

import couplet
from couplet import _base, _couplet

OF_PYTHON = ["preset", "device", "adapter", "gpu_path", "fallback", "threads", "warm_start", "progress"]


def documented() -> str:
    """The settings as the class documents them."""
    entries = [f"{key} : {takes.replace('|', ', ')}\n    {about}" for key, takes, about in _couplet.settings()]
    return "\n".join(entries)


def test_parameters_are_the_settings() -> None:
    names = list(inspect.signature(couplet.Flow).parameters)
    assert names == list(inspect.signature(couplet.FlowRegressor).parameters)
    settings = [key for key, _, _ in _couplet.settings()]
    assert [name for name in names if name not in OF_PYTHON] == settings
    # None of them hides a method.
    for kind in (couplet.Flow, couplet.FlowRegressor):
        assert not [name for name in names if hasattr(kind, name)]
    assert set(_base._OWN) < set(OF_PYTHON)


def test_documentation_is_that_of_the_settings() -> None:
    """Writes it with COUPLET_WRITE_DOCS=1."""
    path = Path(__file__).parents[1] / "couplet" / "_flow.py"
    source = path.read_text()
    begin = source.index("    preset : ")
    of_python, rest = source[begin:].split("\n    device : ", 1)
    preset = "\n".join(of_python.splitlines()[:2])
    indented = "\n".join("    " + line for line in documented().splitlines())
    # As wide as the code.
    wrapped = re.sub(r"^( {8})(.{112,})$", lambda it: wrap(it[1], it[2]), indented, flags=re.MULTILINE)
    wanted = source[:begin] + preset + "\n" + wrapped + "\n    device : " + rest
    if os.environ.get("COUPLET_WRITE_DOCS"):
        path.write_text(wanted)
    assert source == wanted, "write it with COUPLET_WRITE_DOCS=1 pytest python/tests/test_settings.py"


def wrap(indent: str, text: str) -> str:
    import textwrap

    return textwrap.fill(text, 120, initial_indent=indent, subsequent_indent=indent)
