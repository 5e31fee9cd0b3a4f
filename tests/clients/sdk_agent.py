"""A small agent on the Claude Agent SDK: ``sdk_agent.py MODEL new|continue PROMPT``. Started by the tests, never imported."""

from __future__ import annotations

import asyncio
import sys

from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query  # type: ignore[import-not-found]  # in a venv of its own


async def main(model: str, how: str, prompt: str) -> int:
    """One prompt; 1 when the SDK reports an error."""
    options = ClaudeAgentOptions(
        model=model, continue_conversation=how == "continue", permission_mode="acceptEdits",
        allowed_tools=["Bash", "Read", "Edit", "Write", "Agent"],
    )
    failed = False
    async for message in query(prompt=prompt, options=options):
        if isinstance(message, ResultMessage):
            failed = message.is_error
            print(message.result)
    return int(failed)


sys.exit(asyncio.run(main(*sys.argv[1:4])))
