"""Files that no test can judge: documents, told by their names."""

from __future__ import annotations

import re

_DOCUMENT = re.compile(
    r"\.(?:md|mdx|markdown|rst|adoc|asciidoc|org)$"
    r"|(?:^|[/\\])(?:README|CHANGELOG|CHANGES|CONTRIBUTING|CONTRIBUTORS|HISTORY|NEWS|NOTICE|AUTHORS|LICENSE|LICENCE|COPYING)"
    r"(?:\.txt)?$",
    re.IGNORECASE,
)
"""Markup that people read, and the names by which projects keep their notes. Other ``.txt`` files may be data."""


def is_document(path: str) -> bool:
    """Whether the file at ``path`` is a document, by its name."""
    return _DOCUMENT.search(path) is not None
