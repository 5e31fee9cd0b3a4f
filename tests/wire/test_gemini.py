"""A Gemini request for another Gemini model: only its generation config and its path change, and only where they have to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.core.targets import Target
from pointsman.core.types import Config
from pointsman.wire import read, write

PATH = "/v1beta/models/gemini-2.5-pro:streamGenerateContent"
HEADERS = {"user-agent": "GeminiCLI/0.61.0/gemini-2.5-pro (linux; x64)"}
LEVELS = ("low", "medium", "high")


def sent(
    config: dict[str, Any] | None, target: Target, effort: str | None = None, model: str = "other"
) -> tuple[Any, bytes, str]:
    """The config that goes out, the whole body, and the path."""
    value: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "héllo \u2028 \"x\""}]}]}
    if config is not None:
        value["generationConfig"] = config
    body = json.dumps(value, ensure_ascii=False, indent=1).encode()
    request = read("gemini", PATH, HEADERS, body)
    out, path = write("gemini", PATH, body, request, Config(model, effort), target)
    assert json.loads(out)["contents"] == value["contents"] and (out is body or b"\n \"contents\"" in out)
    return json.loads(out).get("generationConfig"), out, path


CLI = {"temperature": 1, "topP": 0.95, "topK": 64, "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 8192}}
"""What gemini-cli 0.61 sends."""


@pytest.mark.parametrize(("config", "target", "effort", "wanted"), [
    (CLI, Target("other"), None, CLI),
    (CLI, Target("other", sampling=False), None, {"thinkingConfig": CLI["thinkingConfig"]}),
    (CLI, Target("other", efforts=LEVELS), "low",
     {**CLI, "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "low"}}),
    ({"thinkingConfig": {"thinkingLevel": "high"}}, Target("other"), None, {}),
    ({"thinkingConfig": {"thinkingLevel": "high"}}, Target("other", efforts=("low",)), None,
     {"thinkingConfig": {"thinkingLevel": "low"}}),
    ({"maxOutputTokens": 90_000}, Target("other", max_output=65_536), None, {"maxOutputTokens": 65_536}),
    (None, Target("other"), None, None),
    (None, Target("other", efforts=LEVELS), "medium", {"thinkingConfig": {"thinkingLevel": "medium"}}),
])
def test_the_config_is_what_the_target_takes(config: Any, target: Target, effort: str | None, wanted: Any) -> None:
    found, _, path = sent(config, target, effort)
    assert found == wanted and path == PATH.replace("gemini-2.5-pro", "other")


def test_another_effort_of_the_same_model_leaves_path_and_sampling() -> None:
    config = {"topP": 0.5, "thinkingConfig": {"thinkingLevel": "high"}}
    found, _, path = sent(config, Target("gemini-2.5-pro", efforts=LEVELS, sampling=False), "low", "gemini-2.5-pro")
    assert found == {"topP": 0.5, "thinkingConfig": {"thinkingLevel": "low"}} and path == PATH
