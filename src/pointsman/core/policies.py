"""Policies put together: names read as models, and what a run brings of its own laid over what the gateway started with."""

from __future__ import annotations

from dataclasses import fields, replace

from pointsman.core.book import Book
from pointsman.core.events import RunStarted
from pointsman.core.globs import Watch, watch
from pointsman.core.policy import CHECK_S, Policy

FIELDS = frozenset(f.name for f in fields(Policy)) - {"origins", "stakes"}

MEANS = {"protect": ("protect", "stakes_usd"), "kinds": ("kinds", "kind_rules"),
         "check": ("check", "check_recall", "check_false_alarm", "check_s"), "cache_diagnostics": ("diagnose",),
         "budget": ("budget_session", "budget_day", "budget_then", "day_offset_s")}  # fmt: skip
"""Settings that become fields of other names."""


def named(policy: Policy, book: Book) -> Policy:
    """``policy`` with tier names such as ``opus`` read as the models they mean; unknown names stay as they are."""
    asked = book.resolve(policy.asked) or policy.asked if policy.asked else None

    def read(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(book.resolve(name, asked) or name for name in names))

    def with_effort(name: str) -> str:
        if book.resolve(name, asked) or ":" not in name:
            return book.resolve(name, asked) or name
        model, _, effort = name.rpartition(":")
        return f"{book.resolve(model, asked) or model}:{effort}"

    kinds = tuple((kind, with_effort(name)) for kind, name in policy.kinds)
    advisor = policy.advisor
    if advisor is not None:
        advisor = replace(advisor, model=book.resolve(advisor.model, asked) or advisor.model)
    return replace(
        policy, asked=asked, pool=read(policy.pool), allow=read(policy.allow), deny=read(policy.deny), floor=read(policy.floor),
        ceiling=read(policy.ceiling), kinds=kinds,
        advisor=advisor,
    )  # fmt: skip


def own_fields(keys: frozenset[str]) -> tuple[str, ...]:
    """The fields of a policy that the settings ``keys`` become, in a steady order."""
    found = [name for key in sorted(keys) for name in MEANS.get(key, (key,))]
    return tuple(name for name in found if name in FIELDS)


RUNS_KEPT = 256
"""Runs whose policies are remembered."""


class RunPolicies:
    """The policy of each run, put together once: every request asks for it twice."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._known: dict[str, tuple[Policy, RunStarted, Policy]] = {}

    def of(self, base: Policy, run: RunStarted | None) -> Policy:
        """``base`` as it holds in ``run``; itself outside of any."""
        if run is None:
            return base
        known = self._known.get(run.run)
        if known is None or known[0] is not base or known[1] is not run:
            if len(self._known) >= RUNS_KEPT:
                self._known.clear()
            known = self._known[run.run] = (base, run, in_run(base, run, self._book))
        return known[2]


def in_run(policy: Policy, run: RunStarted, book: Book) -> Policy:
    """``policy`` for the requests of ``run``: its flags, its project's rules, its check's rates where one guards "done"."""
    if run.policy is not None and run.own:
        origins = {**dict(policy.origins), **dict(run.policy.origins)}
        values = {name: getattr(run.policy, name) for name in run.own if name in FIELDS}
        policy = named(replace(policy, **values, origins=tuple(sorted(origins.items()))), book)
    bases = dict(run.upstreams)
    if len(bases) > 1 and len(set(bases.values())) == 1:
        policy = replace(policy, vendors=tuple(bases), one_upstream=True)
    if run.guard is None:
        return policy
    guard, seconds = run.guard, CHECK_S if run.guard.seconds is None else run.guard.seconds
    return replace(policy, check=True, check_recall=guard.recall, check_false_alarm=guard.false_alarm, check_s=seconds)


def watched(policy: Policy) -> Watch | None:
    """The compiled globs of a policy; None where it has none."""
    if policy.kind_rules:
        return watch((*policy.protect, *policy.kind_rules))
    return watch(policy.protect)
