"""Host plugins: in a checkout the top-level plugins/ folder, in a wheel the same files beside this one."""

from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[3]
if (_CHECKOUT / "pyproject.toml").is_file() and (_CHECKOUT / "plugins").is_dir():
    __path__ = [str(_CHECKOUT / "plugins")]
