"""The fallback graph: which deployment, then which model, takes over when a provider fails before its first content byte.

Theory of operation. ``fallbacks`` names, for a vendor, a deployment or a model, who takes over, in order. The way through the
graph is laid out once, when settings are read: first every deployment of the same model, then each fallback model with its
own deployments. Credentials stay at home: a deployment with ``key_env`` gets that key; one without gets what the client sent,
because the user has named it as that vendor's upstream; a subscription login goes to neither.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pointsman.errors import SettingsError
from pointsman.shell.failover.breaker import Breaker
from pointsman.shell.failover.cycles import refuse_cycles
from pointsman.shell.upstream import Headers
from pointsman.shell.vendors import VENDORS, Upstreams, checked

if TYPE_CHECKING:
    from pointsman.settings import Settings
    from pointsman.shell.served import Served

KEY_HEADERS: Mapping[str, str] = {"anthropic": "x-api-key", "openai": "authorization", "google": "x-goog-api-key"}
CREDENTIALS = ("authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie")
ACCOUNT = ("openai-organization", "openai-project")
"""Headers that name the account whose key stands beside them: with another key they are wrong."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """One place to go: ``model`` None: the one that failed. ``place``: the deployment's name (empty: the vendor's own)."""

    model: str | None
    place: str
    base: str
    vendor: str
    key_env: str | None = None


class Fallbacks:
    """Where a failed request may go, in order. Raises SettingsError for cycles, unknown names and missing keys."""

    def __init__(
        self, settings: Settings | Served, upstreams: Upstreams, clock: Callable[[], float], vendor_of: Callable[[str], str],
        environ: Mapping[str, str] = os.environ, resolve: Callable[[str], str | None] = str,
    ) -> None:  # fmt: skip
        self.breaker = Breaker(clock)
        self.deadline_s, self.silence_s = settings.deadline_s, settings.silence_s
        self._graph = settings.fallbacks
        self._deployments = settings.deployments
        self._upstreams = upstreams
        self._vendor_of = vendor_of
        self._environ = environ
        self._resolve = resolve
        origin = settings.origin("fallbacks")
        refuse_cycles(self._graph, origin)
        self._check_names(origin)
        models = [name for name in self._graph if self._is_model(name)]
        self._models = {self._spelled(name): tuple(map(self._spelled, self._later_models(name))) for name in models}
        self._places = {vendor: tuple(dict.fromkeys(self._later_places(vendor))) for vendor in VENDORS}

    def after(
        self, model: str, vendor: str, base: str, *, subscription: bool, run: Mapping[str, str] | None = None
    ) -> Iterator[Fallback]:  # fmt: skip
        """Every place after ``model`` failed at ``base``, in order, those left out that are failing now.

        ``run``: vendor to base URL, of the client's run. Another model may be asked where this one failed: providers limit and
        overload per model.
        """
        for found in self._all(model, vendor, run):
            elsewhere = found.model is not None or found.base != base
            stays = not subscription or not (found.place or found.vendor != vendor)
            if elsewhere and stays and (found.base == base or self.breaker.usable(found.base)):
                yield found

    def instead(self, vendor: str, base: str, *, subscription: bool) -> Fallback | None:
        """The deployment to go to at once while ``base`` is left alone; None: ``base`` itself."""
        places = self._places.get(vendor, ())
        if not places or subscription or self.breaker.enter(base):
            return None
        return next((to for to in places if to.base != base and self.breaker.enter(to.base)), None)

    def _all(self, model: str, vendor: str, run: Mapping[str, str] | None) -> Iterator[Fallback]:
        yield from self._places.get(vendor, ())
        for other in self._models.get(model) or self._models.get(self._spelled(model), ()):
            home = self._vendor_of(other)
            own = home if home in VENDORS and (home, vendor) != ("openai", "chatgpt") else vendor
            yield Fallback(other, "", self._upstreams.base(own, run), own)
            for place in self._places.get(own, ()) if own == vendor else ():  # another vendor is asked at its own API only
                yield Fallback(other, place.place, place.base, own, place.key_env)

    def _spelled(self, name: str) -> str:
        """A model as its vendor writes it, where a person named it by its tier or in other letters."""
        return self._resolve(name) or name

    def _later_models(self, name: str, seen: tuple[str, ...] = ()) -> Iterator[str]:
        for other in self._graph.get(name, ()):
            if other not in seen:
                yield other
                seen = (*seen, other)
        for other in self._graph.get(name, ()):
            for later in self._later_models(other, (*seen, name)):
                if later not in seen:
                    seen = (*seen, later)
                    yield later

    def _later_places(self, name: str) -> Iterator[Fallback]:
        for other in self._graph.get(name, ()):
            if other in self._deployments:
                given = self._deployments[other]
                yield Fallback(None, other, checked(given.url), given.vendor, given.key_env)
                yield from self._later_places(other)

    def _is_model(self, name: str) -> bool:
        return name not in VENDORS and name not in self._deployments

    def _check_names(self, origin: str) -> None:
        for name, others in self._graph.items():
            for other in others:
                for model in (name, other):
                    if self._is_model(model) and self._resolve(model) is None:
                        raise SettingsError(
                            f"{origin}: fallbacks names {model!r}, which is no deployment and no model with a price: say where "
                            f"it is under [deployments.{model}], or what it costs under [prices.{model!r}]"
                        )
                if self._is_model(name) != self._is_model(other):
                    what = "a model" if self._is_model(name) else "a vendor or a deployment"
                    raise SettingsError(f"{origin}: {name} is {what}, so {other!r} cannot take over: see [deployments]")
                if other in self._deployments:
                    self._check_deployment(name, other, origin)

    def _check_deployment(self, name: str, other: str, origin: str) -> None:
        given = self._deployments[other]
        home = name if name in VENDORS else self._deployments[name].vendor
        if given.vendor != home:
            raise SettingsError(f"{origin}: {other} serves {given.vendor}, so it cannot take over from {name} of {home}")
        if given.key_env and not self._environ.get(given.key_env):
            raise SettingsError(f"{origin}: the key of {other} belongs in the variable {given.key_env}, which is not set")

    def credentialed(self, headers: Headers, to: Fallback, client: Mapping[str, str]) -> Headers:
        """``headers`` with the credentials that belong to ``to``: its own key, else those of the ``client`` (lower-case keys)."""
        kept = [(name, value) for name, value in headers if name.lower() not in CREDENTIALS + ACCOUNT]
        if to.key_env is None:
            return kept + [(name, client[name]) for name in CREDENTIALS + ACCOUNT if name in client]
        key, name = self._environ.get(to.key_env, ""), KEY_HEADERS[to.vendor]
        return [*kept, (name, f"Bearer {key}" if name == "authorization" else key)]


def without_key(target: str) -> str:
    """A raw path and query without the API key that Gemini's clients may write into it."""
    path, mark, query = target.partition("?")
    kept = [part for part in query.split("&") if not part.startswith("key=")] if mark else []
    return f"{path}?{'&'.join(kept)}" if kept else path
