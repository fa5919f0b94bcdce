from __future__ import annotations

import html
import os
from pathlib import Path

from couplet._couplet import Picture


class Pictures(tuple[Picture, ...]):
    """The pictures of a flow, in the order to look at them. A notebook shows them one below the other."""

    def __getattr__(self, name: str) -> Picture:
        """The picture of that name, such as ``corner``."""
        for picture in self:
            if picture.name == name:
                return picture
        names = ", ".join(picture.name for picture in self)
        raise AttributeError(f"there is no picture {name!r} of this flow; there are {names}")

    def save(self, folder: str | os.PathLike[str], *, png: bool = False, scale: float = 2.0) -> None:
        """Writes them into a folder, as SVG, or as PNG with `scale` pixels for each unit of the SVG."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for picture in self:
            picture.save(folder / f"{picture.name}.{'png' if png else 'svg'}", scale=scale)

    def __repr__(self) -> str:
        return f"<couplet.Pictures {', '.join(picture.name for picture in self)}>"

    def _repr_html_(self) -> str:
        return "".join(
            f"<figure>{picture.svg()}<figcaption>{html.escape(picture.caption)}</figcaption></figure>" for picture in self
        )
