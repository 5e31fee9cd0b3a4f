"""Measuring: what sessions cost, and what other choices would have cost on the same traffic."""
