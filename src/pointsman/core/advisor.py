"""When a stronger model's advice is worth its price, and what a decision adds to the history. Pure; USD and tokens.

Theory of operation. A consult costs the digest at the advisor's fresh price, its answer, and carrying the advice in every later
request. What it gains is a part of the gap between the two models' chances (``GAIN``), and because that is known so roughly it
must be worth twice its price. It is weighed at two moments: after a check has refused the work, against the best next try there
is, and inside a tool loop that keeps failing its tests, against going on as before. A model that is no stronger than the one at
work is never asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pointsman.core import cache, edits
from pointsman.core.book import Book
from pointsman.core.candidates import check_odds, price
from pointsman.core.costing import price_of, tries_of
from pointsman.core.decisions import Advisor, Candidate, Decision, Edit
from pointsman.core.messages import Message
from pointsman.core.policy import REQUESTS_AHEAD, Odds, Policy
from pointsman.core.pricing import advice as advice_usd
from pointsman.core.session import Lane
from pointsman.core.setting import Setting
from pointsman.core.tries import Next, after_failure
from pointsman.core.types import FIVE_MINUTES, Config, Rates, Request

GAIN = 0.5
"""Share of the gap to the stronger model that its advice closes: 50 to 90 % by the vendor's own figures (advisor and
cost-and-intelligence pages, August 2026), of which we take the low end; nobody else has published one. It is not learned from the
user's own checks: with a gap of .2 where every second task succeeds, a judged consult holds 4 x .2 x .2 = .16 of information on
it, so that a hundred of them say as much as a guess of +-.25, and few users have ten."""

ANSWER_TOKENS, CARRIED_TOKENS = 840, 550
"""Output tokens of a consult limited to 2,048, thinking included, and tokens of its text (vendor's figures: 630 to 840; 400 to
700)."""

HARD = 3
"""Failing test runs in one turn, none passing between them, after which it counts as failing hard (assumed; DECISION.md 1: in the
loop only test results carry signal)."""

USES = 1
"""Consults that Anthropic's own tool may make in one answer: those of a session are counted between answers."""

TOOL_CHARS = 760
"""Characters of the consult tool on the wire, about."""


def fee(at: Setting, row: Candidate, advisor: Advisor) -> tuple[float, float] | None:
    """USD of one consult for the work on ``row``: of the call itself, and with carrying its advice; None without prices."""
    if row.rates is None or not at.book.has(advisor.model):
        return None
    rates = at.book.card(advisor.model).at(advisor.digest_tokens, at.now)
    ttl_s = cache.lifetime(at.request, at.book.rule(row.model))
    answer = min(ANSWER_TOKENS, advisor.max_tokens)
    digest = min(advisor.digest_tokens, max(1, row.prompt))
    carried = advice_usd(rates, row.rates, ttl_s, digest, answer, CARRIED_TOKENS, round(REQUESTS_AHEAD))
    return asking_usd(rates, digest, advisor), carried


def asking_usd(rates: Rates, digest: int, advisor: Advisor) -> float:
    """USD of asking alone: ``digest`` tokens sent at the advisor's fresh price, and its answer."""
    return advice_usd(rates, rates, FIVE_MINUTES, digest, min(ANSWER_TOKENS, advisor.max_tokens), 0, 0)


def shut(decision: Decision, lane: Lane | None, advisor: Advisor, book: Book, now: float) -> str | None:
    """Why a consult that is wanted is not made, in words; None: it may be."""
    row = decision.row(decision.chosen)
    if lane is not None and lane.consults >= advisor.per_session:
        return f"{lane.consults} consults, as many as a session may have"
    if not book.has(advisor.model):
        return "the advisor has no price"
    if not stronger(advisor.model, decision.chosen.model, book):
        return f"{advisor.model} is no stronger than {decision.chosen.model}, which is at work"
    if row is None:
        return None
    rates = book.card(advisor.model).at(advisor.digest_tokens, now)
    usd = asking_usd(rates, min(advisor.digest_tokens, max(1, row.prompt)), advisor)
    if usd > advisor.budget_usd:
        return f"a consult would cost ≈${usd:.3f}, above its budget"
    window = book.target(decision.chosen.model).window
    if window is not None and row.prompt + 2 * advisor.max_tokens > window:  # the advice, and what the model said before it
        return "the context is too full for it"
    return None


def closed(at: Setting) -> str | None:
    """Why no advice is pushed on this request, whatever it would be worth; None: it may be."""
    advisor, lane = at.policy.advisor, at.lane
    if advisor is None or not advisor.push:
        return "no advisor is set" if advisor is None else "advice is given only where the model asks for it"
    if lane is None or not lane.requests or at.place.kind != "main" or at.request.purpose != "turn" or at.place.new_task:
        return "nothing to advise on yet"
    if lane.unedited:
        return "the provider refused our additions to this history"
    if lane.consults >= advisor.per_session:
        return f"{lane.consults} consults, as many as a session may have"
    ruled_out = barred(advisor.model, at.policy, at.ruling.over)
    if ruled_out is not None:
        return ruled_out
    if not stronger(advisor.model, at.current.model, at.book):
        return f"{advisor.model} is no stronger than {at.current.model}"
    if edits.place_of(at.request.messages, at.place.kept) is None:
        return "the request leaves no place for advice"
    return None


def barred(advisor: str, policy: Policy, over: Sequence[str]) -> str | None:
    """Why the user's own rules let nobody ask the model ``advisor``, pushed or called; None: they do.

    ``over``: the budgets that are spent, each as a sentence: advice is dearer than what was asked.
    """
    if advisor in policy.deny:
        return f"{advisor} is denied in {policy.origin('deny')}"
    if policy.allow and advisor not in policy.allow:
        return f"{advisor} is not among the models allowed in {policy.origin('allow')}"
    return over[0] if over and policy.budget_then != "warn" else None


def stronger(advisor: str, model: str, book: Book) -> bool:
    """Whether advice of ``advisor`` can help ``model``: it has a price, and the higher ability."""
    return advisor != model and book.has(advisor) and book.ability(advisor)[0] > book.ability(model)[0]


def advised_try(at: Setting, here: Candidate, found: list[Next]) -> tuple[Next | None, str]:
    """The next try after a failed check with advice asked first, where it beats each of ``found``; and why in words."""
    shut = closed(at)
    if shut is not None or at.lane is None or at.policy.advisor is None:
        return None, shut or "no advisor is set"
    usd = fee(at, here, at.policy.advisor)
    if usd is None or usd[0] > at.policy.advisor.budget_usd:
        return None, "the advisor has no price" if usd is None else f"a consult would cost ≈${usd[0]:.3f}, above its budget"
    strong, odds = _row(at, at.policy.advisor), check_odds(at.policy, at.usual)
    tries = [replace(t, allowed=True) for t in tries_of((here, strong), at, odds, at.lane.belief)]
    best = next((n for n in after_failure(tries, here.config, at.session.failed, odds, 0.0) if n.config == strong.config), None)
    mine = next((n for n in found if n.config == here.config), None)
    nobody = next((n for n in found if n.config is None), None)
    if mine is None or best is None or nobody is None:
        return None, "the advisor cannot be compared"
    p = mine.p + GAIN * max(0.0, best.p - mine.p)
    mended = Next(here.config, mine.own + usd[1] + nobody.usd * (1.0 - p), mine.own + usd[1], p)
    rival = min(found, key=lambda n: n.usd)
    sums = f"≈${mended.usd:.3f} to the end with advice for ≈${usd[1]:.3f}, ≈${rival.usd:.3f} without"
    if rival.usd - mended.usd < usd[1]:
        return None, f"advice does not pay: {sums}"
    return mended, f"advice first: {p - mine.p:+.0%} likelier, {sums}"


def failing_hard(at: Setting, here: Candidate, odds: Odds) -> tuple[bool, str]:
    """Whether to ask for advice inside a tool loop that keeps failing its tests, and why in words."""
    new = at.request.messages[at.place.kept :]
    if not at.place.in_loop or not any("tests_failed" in message.facts for message in new):
        return False, "no failing test run to advise on"
    shut = closed(at)
    if shut is not None or at.policy.advisor is None:
        return False, shut or "no advisor is set"
    runs, start = failures(at.request.messages)
    if runs < HARD:
        return False, f"{runs} failing test runs in a row: {HARD} count as failing hard"
    if any(edit.kind in ("advice", "consult") and edit.at > start for edit in at.edits):
        return False, "advice was given in this turn"
    usd, strong = fee(at, here, at.policy.advisor), _row(at, at.policy.advisor)
    if usd is None or usd[0] > at.policy.advisor.budget_usd or here.fail is None or strong.fail is None:
        return False, "the advisor has no price" if usd is None else f"a consult would cost ≈${usd[0]:.3f}, above its budget"
    gain = GAIN * max(0.0, here.fail - strong.fail)
    tries = [replace(t, allowed=True) for t in tries_of((here, strong), at, odds, at.belief)]
    worth = gain * (odds.failure_usd + price_of(tries, odds, at.belief))
    said = f"{runs} failing test runs in a row; advice makes success {gain:+.0%} likelier, worth ≈${worth:.3f} for ≈${usd[1]:.3f}"
    return worth > 2.0 * usd[1], said


def failures(messages: tuple[Message, ...]) -> tuple[int, int]:
    """Failing test runs since the last passing one in this turn, and the index of the prompt that opened it."""
    runs = 0
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message.kind == "prompt":
            return runs, index
        if "tests_passed" in message.facts and "tests_failed" not in message.facts:
            return runs, index
        runs += "tests_failed" in message.facts
    return runs, 0


def _row(at: Setting, advisor: Advisor) -> Candidate:
    return price(Config(advisor.model), at)


# -- what a decision adds to the history -------------------------------------------------------------------------------


def additions(
    decision: Decision, request: Request, lane: Lane | None, book: Book, policy: Policy, over: Sequence[str] = ()
) -> tuple[Edit, ...]:  # fmt: skip
    """The edits in force with ``decision``: those that still stand, the tool where it is first offered, a change of effort.

    ``over``: the budgets that are spent; where they hold, no advisor is offered any more.
    """
    if over and policy.budget_then != "warn":
        policy = replace(policy, advisor=None)
    place, chosen = decision.place, decision.chosen
    if policy.mode == "observe" or place.kind == "side":
        return ()
    found = edits.standing(lane.edits, request.messages, place.kept) if lane is not None and lane.edits else ()
    if lane is not None and lane.unedited:
        return found
    if lane is not None and found and (policy.advisor is None or lane.consults >= policy.advisor.per_session):
        found = edits.withdrawn(found)  # costs the cache once: the user's limit is a limit
    offered = _offered(decision, request, lane, book, policy) if policy.advisor is not None and policy.advisor.pull else None
    if offered is not None:
        found = (*found, offered)
    if not found and chosen.effort == request.effort:
        return found
    change = edits.effort_edit(request, found, chosen, book.target(chosen.model), in_loop=place.in_loop)
    return found if change is None else (*found, change)


def _offered(decision: Decision, request: Request, lane: Lane | None, book: Book, policy: Policy) -> Edit | None:
    """The tool, from the first request of a conversation on: adding it later would lose the whole cache."""
    place, advisor = decision.place, policy.advisor
    begins = lane is None or not lane.requests or place.relation == "new"
    if advisor is None or place.kind != "main" or request.purpose != "turn" or not begins or "tools" not in request.needs:
        return None
    if lane is not None and any(edit.kind == "tool" for edit in lane.edits):
        return None
    if not stronger(advisor.model, decision.chosen.model, book):
        return None
    if _own_tool(advisor, decision.chosen.model, request, book):
        value = f"{edits.PROVIDER_TOOL}|{advisor.model}|{USES}|{max(1_024, advisor.max_tokens)}"
        return Edit("tool", 0, 0, value, decision.chosen.model, TOOL_CHARS // 6)
    return Edit("tool", 0, 0, edits.TOOL, None, TOOL_CHARS)


def _own_tool(advisor: Advisor, model: str, request: Request, book: Book) -> bool:
    """Whether Anthropic runs the consult itself: the user prefers that, the client knows its blocks, and the pair is allowed.

    Advisors from Sonnet 4.6 on; Sonnet 5.5 takes none of the older ones (advisor-tool page, August 2026).
    """
    if not advisor.provider_tool or request.client != "claude" or request.protocol != "messages":
        return False
    if book.vendor(advisor.model) != "anthropic" or book.vendor(model) != "anthropic":
        return False
    old = ("claude-opus-4-8", "claude-opus-4-7", "claude-sonnet-5", "claude-haiku-5-5")
    older = any(advisor.model == name or advisor.model.startswith(name + "-2") for name in old)
    known = not any(word in advisor.model for word in ("-3-", "-4-0", "-4-1", "-4-5", "haiku-4"))
    return known and not (older and "sonnet-5-5" in model)
