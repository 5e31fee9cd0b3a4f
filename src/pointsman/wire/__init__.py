"""Bytes to Request and Usage, and back: the only place that knows how the four protocols look. Pure.

protocol_of(method, path)      which protocol a request speaks, or None
is_count(path)                 is it a token count
region_of(base)                where a base URL has requests processed
read(...)                      bytes -> Request; raises WireError
write(...)                     the bytes again, with only the decided fields changed
usage(protocol, payload)       a provider's usage object -> Usage in disjoint buckets
Tap(protocol)                  listens to a stream while it passes, byte-exact
read_json_response(...)        the same for an answer that is not a stream
rewritten(...), unbound(...)   thinking blocks that are bound to another form of the history (newest Claude models)
taken(...)                     the client's betas without those that a model refuses
unreasoned(...)                a Responses request without reasoning that its next provider cannot read
recalled(...)                  a cache mark where an older entry ends, after a detour
diagnosed(...), told_by(...)   the provider's own cache diagnostics, asked for and read
response_headers(...)          response headers that are safe to pass on after a change of model
Additions                      texts of advice, and the edits by which they stand in histories
"""

from __future__ import annotations

from pointsman.wire.additions import Additions
from pointsman.wire.betas import taken
from pointsman.wire.binding import rewritten, unbound
from pointsman.wire.clients import auth_of
from pointsman.wire.diagnosing import diagnosed
from pointsman.wire.digest import Memo
from pointsman.wire.protocols import is_count, protocol_of, region_of
from pointsman.wire.reading import read
from pointsman.wire.recalling import recalled
from pointsman.wire.sse import Tap, read_json_response, response_headers, told_by
from pointsman.wire.unreasoned import unreasoned
from pointsman.wire.usage import usage
from pointsman.wire.writing import write

__all__ = [
    "Additions", "Memo", "Tap", "auth_of", "diagnosed", "is_count", "protocol_of", "read", "read_json_response", "region_of",
    "recalled", "response_headers", "rewritten", "taken", "told_by", "unbound", "unreasoned", "usage", "write",
]  # fmt: skip
