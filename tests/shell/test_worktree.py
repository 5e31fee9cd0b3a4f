"""Equal files, equal names; a change is seen, a cache is not; nothing is written into the repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pointsman.sandbox import repairs
from pointsman.shell.check import worktree


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    repairs.lay_out(tmp_path / "repo")
    return tmp_path / "repo"


def git(folder: Path, *words: str) -> None:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    who = ("-c", "user.name=dev", "-c", "user.email=dev@localhost")
    subprocess.run(["git", *who, *words], cwd=folder, env=env, check=True, capture_output=True)


def test_an_edit_a_new_file_and_a_deletion_are_changes(repo: Path) -> None:
    root = worktree.top(repo)
    before = worktree.state(repo, root)
    assert before.kind == "git" and before == worktree.state(repo, root)
    (repo / "slugs.py").write_text("x = 1\n")
    (repo / "new file.py").write_text("")
    (repo / "test_slugs.py").unlink()
    after = worktree.state(repo, root)
    assert worktree.changed(before, after, root) == ("new file.py", "slugs.py", "test_slugs.py")
    assert worktree.tracked(root, ("new file.py", "slugs.py")) == ("slugs.py",)


def test_the_same_content_again_is_the_same_tree(repo: Path) -> None:
    root, text = worktree.top(repo), (repo / "slugs.py").read_text()
    before = worktree.state(repo, root).hash
    (repo / "slugs.py").write_text("x = 1\n")
    assert worktree.state(repo, root).hash != before
    (repo / "slugs.py").write_text(text)
    assert worktree.state(repo, root).hash == before


def test_a_commit_by_the_agent_is_a_change(repo: Path) -> None:
    root = worktree.top(repo)
    before = worktree.state(repo, root)
    (repo / "slugs.py").write_text("x = 1\n")
    git(repo, "commit", "-qam", "x")
    assert worktree.changed(before, worktree.state(repo, root), root) == ("slugs.py",)


def test_caches_are_no_changes(repo: Path) -> None:
    (repo / ".gitignore").unlink()
    root = worktree.top(repo)
    before = worktree.state(repo, root)
    for path in ("__pycache__/a.pyc", ".pytest_cache/x", "node_modules/y/z.js"):
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_text("x")
    assert worktree.state(repo, root) == before


def test_a_repository_without_a_commit_and_a_staged_rename(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("1")
    root = worktree.top(tmp_path)
    before = worktree.state(tmp_path, root)
    assert list(before.files) == ["a.py"]
    git(tmp_path, "add", "-A")
    git(tmp_path, "mv", "a.py", "b.py")
    assert set(worktree.changed(before, worktree.state(tmp_path, root), root)) == {"a.py", "b.py"}


def test_without_git_times_tell(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    assert worktree.top(tmp_path) is None
    before = worktree.state(tmp_path, None)
    assert before.kind == "times" and before == worktree.state(tmp_path, None)
    (tmp_path / "a.py").write_text("22")
    (tmp_path / "b.py").write_text("1")
    assert worktree.changed(before, worktree.state(tmp_path, None), None) == ("a.py", "b.py")


def test_a_tree_too_large_to_look_at_counts_as_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worktree, "FILES_AT_MOST", 2)
    for n in range(4):
        (tmp_path / f"{n}.py").write_text("")
    tree = worktree.state(tmp_path, None)
    assert tree.hash == "" and worktree.changed(tree, tree, None) == ("*",)
    assert worktree.wanted(("*",), ("src/**",))


def test_patterns_say_which_changes_matter() -> None:
    assert worktree.wanted(("docs/a.md", "src/x/y.py"), ("src/**",))
    assert worktree.wanted(("src/x.py",), ("src",))
    assert not worktree.wanted(("docs/a.md",), ("src/**", "*.py"))
    assert worktree.wanted(("docs/a.md",), ()) and not worktree.wanted((), ())


def test_looking_writes_nothing_into_the_repository(repo: Path) -> None:
    index = repo / ".git" / "index"
    before = index.stat().st_mtime_ns
    os.utime(repo / "slugs.py")
    worktree.state(repo, worktree.top(repo))
    assert index.stat().st_mtime_ns == before


def test_a_state_survives_its_file(repo: Path) -> None:
    (repo / "slugs.py").write_text("x")
    tree = worktree.state(repo, worktree.top(repo))
    assert worktree.from_plain(tree.plain()) == tree
    assert worktree.from_plain({"kind": 1}) is None and worktree.from_plain(None) is None


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """A repository with a submodule, ``lib``, and a clone that it knows nothing of, ``tool``."""
    for name in ("lib", "tool", "outer"):
        (tmp_path / name).mkdir()
        git(tmp_path / name, "init", "-q")
        (tmp_path / name / "m.py").write_text("x = 1\n")
        git(tmp_path / name, "add", ".")
        git(tmp_path / name, "commit", "-qm", "x")
    git(tmp_path / "outer", "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../lib", "lib")
    git(tmp_path / "outer", "commit", "-qm", "lib")
    (tmp_path / "tool").rename(tmp_path / "outer" / "tool")
    return tmp_path / "outer"


@pytest.mark.parametrize("name", ["lib", "tool"])
def test_work_in_a_repository_inside_the_repository_is_seen_each_time(nested: Path, name: str) -> None:
    root = worktree.top(nested)
    before = worktree.state(nested, root)
    hashes = {before.hash}
    for text in ("x = 2\n", "x = 3\n"):
        (nested / name / "m.py").write_text(text)
        now = worktree.state(nested, root)
        assert worktree.changed(before, now, root) == (f"{name}/m.py",) and now.hash not in hashes
        hashes.add(now.hash)
    git(nested / name, "commit", "-qam", "y")
    after = worktree.state(nested, root)
    assert name in worktree.changed(before, after, root) and after.hash not in hashes
    assert f"{name}/m.py" not in worktree.state(nested, root, {f"{name}/m.py"}).files


def test_what_a_check_writes_in_a_submodule_is_not_gits_own(nested: Path) -> None:
    root = worktree.top(nested)
    before = worktree.state(nested, root)
    (nested / "lib" / "out.log").write_text("")
    moved = worktree.changed(before, worktree.state(nested, root), root)
    assert moved == ("lib/out.log",) and worktree.tracked(root, moved) == ()


def test_a_link_to_a_repository_is_a_link(nested: Path) -> None:
    (nested / "link").symlink_to("tool")
    root = worktree.top(nested)
    before = worktree.state(nested, root)
    (nested / "link").unlink()
    (nested / "link").symlink_to("lib")
    assert worktree.changed(before, worktree.state(nested, root), root) == ("link",)


def test_with_too_many_repositories_inside_any_turn_is_a_change(nested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worktree, "NESTED_AT_MOST", 0)
    found = worktree.state(nested, worktree.top(nested))
    assert not found.whole and worktree.changed(found, found, nested) == ("*",)


def test_a_path_with_brackets_is_that_path_alone(repo: Path) -> None:
    for name in ("[id].ts", "i.ts"):
        (repo / name).write_text("x")
    git(repo, "add", ".")
    assert worktree.tracked(worktree.top(repo), ("[id].ts",)) == ("[id].ts",)
