"""A provider and an agent for tests and demos: prompt caches, faults on cue and a clock of their own.

It imports nothing of the engine, the wire or the core: an oracle that shares the code under test cannot fail.
"""
