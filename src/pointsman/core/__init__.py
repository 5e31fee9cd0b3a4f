"""The pure core: facts in, decision out. No I/O, no clock, no randomness (tests/test_architecture.py asserts it)."""
