"""Where to compute."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from couplet import _couplet

_has_gpu: bool | None = None


def has_gpu() -> bool:
    """Whether there is a hardware GPU: looked for once, since that loads every driver."""
    global _has_gpu
    if _has_gpu is None:
        with quiet_drivers():
            _has_gpu = _couplet.has_gpu()
    return _has_gpu


@contextmanager
def quiet_drivers() -> Iterator[None]:
    """While drivers are loaded: where there is no session (a container, a cluster node), libwayland, which Mesa loads, would
    print an error in our name."""
    if sys.platform != "linux" or "XDG_RUNTIME_DIR" in os.environ:
        yield
        return
    os.environ["XDG_RUNTIME_DIR"] = "/nonexistent"
    try:
        yield
    finally:
        os.environ.pop("XDG_RUNTIME_DIR", None)
