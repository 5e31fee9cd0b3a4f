"""Where the files that come with Pointsman are: recorded sessions and host plugins."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parents[1]


def folder(name: Literal["sessions", "plugins"]) -> Path:
    """The folder ``name``: in a checkout the top-level one, else the copy that the wheel carries in the package.

    ``importlib.resources.files`` is not enough: for a package whose ``__path__`` was set it still answers with the
    folder of its ``__init__.py``. Raises FileNotFoundError where an installation lacks the folder.
    """
    checkout = _PACKAGE.parents[1]
    candidates = [_PACKAGE / name]
    if (checkout / "pyproject.toml").is_file():
        candidates.insert(0, checkout / name)
    for path in candidates:
        if path.is_dir():
            return path
    raise FileNotFoundError(f"this installation has no {name} folder beside {_PACKAGE}: reinstall pointsman")
