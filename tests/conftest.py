"""What holds for every test: property tests that say the same on every machine, however slow it is."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The same examples in every run, and no limit of time for one of them: a red test means a change, never a busy machine.
settings.register_profile(
    "pointsman", derandomize=True, database=None, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("pointsman")
