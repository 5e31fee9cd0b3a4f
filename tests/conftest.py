"""What holds for every test: the same words and examples on every machine, however wide its terminal is, and however slow."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

for name in ("COLUMNS", "LINES"):  # what is printed is wrapped to these where somebody has exported them
    os.environ.pop(name, None)

# The same examples in every run, and no limit of time for one of them: a red test means a change, never a busy machine.
settings.register_profile(
    "pointsman", derandomize=True, database=None, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("pointsman")
