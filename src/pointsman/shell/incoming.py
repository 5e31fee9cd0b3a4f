"""What is logged of requests that cannot be read as HTTP: not the bytes that cannot be read, which may hold a key."""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError

from pointsman.shell.upstream import unquoted


class _Careful(logging.Filter):
    """Leaves out what aiohttp quotes of a request, and where in aiohttp that was noticed."""

    def filter(self, record: logging.LogRecord) -> bool:
        """True: the record is logged, without quotations."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, HttpProcessingError):
            record.msg, record.args = "a request that is not HTTP was refused: %s", (unquoted(error.message),)
            record.exc_info = None
        return True


def careful_logger() -> logging.Logger:
    """The logger of the gateway's HTTP server."""
    found = logging.getLogger("pointsman.server")
    if not found.filters:
        found.addFilter(_Careful())
    return found
