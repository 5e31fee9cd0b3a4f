"""How fast a model answers: what is taken for true until the ledger knows better."""

from __future__ import annotations

from dataclasses import dataclass

TTFT_WARM_S, TTFT_COLD_S_PER_KTOKEN = 1.1, 0.11
"""Seconds to the first token of a warm prefix, and per thousand cold tokens (published pairs of 2024, notes/cache.md 1.3)."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a model answers: seconds to the first token (warm; more per thousand cold tokens), output tokens per second."""

    ttft_s_warm: float
    ttft_s_per_ktoken_cold: float
    output_tps: float
    source: str

    def wait(self, cold_tokens: int, output_tokens: int) -> float:
        """Seconds to the end of an answer of ``output_tokens`` when ``cold_tokens`` of the prompt are not cached."""
        return self.ttft_s_warm + self.ttft_s_per_ktoken_cold * cold_tokens / 1000 + output_tokens / self.output_tps
