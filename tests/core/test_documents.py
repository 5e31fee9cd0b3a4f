"""Which files no test can judge."""

from __future__ import annotations

import pytest

from pointsman.core.documents import is_document


@pytest.mark.parametrize(("path", "told"), [
    ("README.md", True), ("docs/guide.rst", True), ("C:\\w\\docs\\A.ADOC", True), ("LICENSE", True), ("a/CHANGELOG.txt", True),
    ("src/app.py", False), ("requirements.txt", False), ("CMakeLists.txt", False), ("data/words.txt", False),
    ("src/readme.py", False), ("news/feed.go", False), ("", False),
])  # fmt: skip
def test_documents_are_told_by_their_names(path: str, told: bool) -> None:
    assert is_document(path) is told
