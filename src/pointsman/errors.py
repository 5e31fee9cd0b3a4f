"""The error tree. What went wrong, where, and what to do about it.

PointsmanError
├── SettingsError      bad TOML, unknown key or model, missing price: exit 2 before serving
├── WireError          a request or stream we cannot read: it is passed through unchanged
├── DecisionError      no answer from the decider: the request is passed through unchanged
│   ├── NoCandidate    every candidate was vetoed; ``vetoes`` says why
│   └── Unpriced       a model without a price; ``model`` names it
├── LedgerError        an unreadable, locked or newer store: serving goes on, nothing written is lost
├── PluginError        a plugin hook raised: contained, parked after three, shown
└── UpstreamError      the provider could not be reached or broke off; its own words are relayed verbatim
    └── Unreached      no connection to it: nothing was asked, so nothing can be billed
"""

from __future__ import annotations


class PointsmanError(Exception):
    """Any error that Pointsman raises on purpose; its text is one sentence a user can act on."""


class SettingsError(PointsmanError):
    """The settings are wrong: names the file, the key and the mend."""


class WireError(PointsmanError):
    """A request, response or stream does not have the form its protocol promises."""


class DecisionError(PointsmanError):
    """The decider has no answer for this request."""


class NoCandidate(DecisionError):
    """Every candidate was vetoed; ``vetoes`` maps each config to its reason."""

    def __init__(self, vetoes: dict[str, str]) -> None:
        self.vetoes = vetoes
        super().__init__("no model can take this request: " + "; ".join(f"{k}: {v}" for k, v in vetoes.items()))


class Unpriced(DecisionError):
    """The price map has no price for ``model``."""

    def __init__(self, model: str, near: tuple[str, ...] = ()) -> None:
        self.model = model
        self.near = near
        hint = f"; did you mean {' or '.join(near)}" if near else ""
        super().__init__(f"no price is known for {model!r}{hint}; add it under [prices.{model!r}] in the settings")


class LedgerError(PointsmanError):
    """The ledger cannot be read or written now; names the file and the mend."""


class PluginError(PointsmanError):
    """A plugin hook raised; the plugin is named."""


class TranslationError(PointsmanError):
    """A request could not be told to another vendor's model; the original goes to the asked one."""


class UpstreamError(PointsmanError):
    """The provider could not be reached, or broke off before its first byte."""


class Unreached(UpstreamError):
    """No connection to the provider could be made."""
