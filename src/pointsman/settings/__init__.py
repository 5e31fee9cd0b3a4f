"""Settings: TOML files and flags become one validated, frozen value that remembers where each rule is written.

    model        the settings and how they are loaded and verified
    sections     the tables of the settings file
    layers       which file may say what, and what a project may only tighten
    complaints   errors in words
"""

from __future__ import annotations

from pointsman.settings.model import (
    ANSWERS_FILE,
    OWN_FILE_ONLY,
    PORT,
    PROJECT_FILE,
    Settings,
    answers_file,
    load,
    project_file,
    user_file,
    verify,
)

__all__ = [
    "ANSWERS_FILE", "OWN_FILE_ONLY", "PORT", "PROJECT_FILE", "Settings", "answers_file", "load", "project_file", "user_file",
    "verify",
]  # fmt: skip
