"""The price map is found and read without importing litellm; the user's own prices are checked, not guessed."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from pointsman.errors import SettingsError
from pointsman.shell.prices import TABLES, load_book, read_map, tables

ROW = {"mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}


def write(folder: Path, text: str) -> Path:
    file = folder / "map.json"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_installed_map_is_read_without_importing_litellm() -> None:
    code = (
        "import sys; from pointsman.shell.prices import load_book; book = load_book();"
        "assert book.has('claude-opus-5-5');"
        "print([m for m in ('litellm', 'pydantic', 'aiohttp', 'tiktoken') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_models_that_answer_in_text_are_kept() -> None:
    book = load_book(today=date(2026, 11, 22))
    assert book.has("gpt-6.1-sol") and book.has("gpt-5.3-codex") and not book.has("dall-e-3")


def test_loading_twice_gives_the_same_book() -> None:
    first, second = (load_book(today=date(2026, 11, 22)) for _ in range(2))
    assert first.version == second.version
    assert first.card("claude-opus-5-5") == second.card("claude-opus-5-5")


# ---- bad maps


def test_a_missing_map_names_the_file_and_the_mend(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.json cannot be read: No such file or directory; reinstall litellm"):
        read_map(tmp_path / "gone.json")


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '"prices"', '{"a": '])
def test_a_map_that_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="is not a table of models"):
        read_map(write(tmp_path, text))


def test_a_map_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no model"):
        read_map(write(tmp_path, '{"sample": {"mode": "embedding"}}'))


def test_odd_rows_are_left_out_and_the_rest_is_read(tmp_path: Path) -> None:
    """Nulls, strings, comments and a mode that is a list: a map of another version."""
    strings = {**ROW, "input_cost_per_token": "1e-06", "max_input_tokens": None, "cache_read_input_token_cost": "n/a"}
    rows = {
        "comment": "text", "list": [1], "none": None, "odd": {"mode": ["chat"]}, "priceless": {"mode": "chat"},
        "strings": strings, "good": ROW,
    }  # fmt: skip
    book = load_book(map_file=write(tmp_path, json.dumps(rows)))
    assert [name for name in rows if book.has(name)] == ["strings", "good"]
    assert book.card("strings").base == book.card("good").base
    assert book.card("strings").window is None


# ---- the user's own prices


def test_prices_are_per_million_tokens() -> None:
    book = load_book({"house-model": {"input": 2.0, "output": 10.0, "cache_read": 0.2, "max_output": 8_000}})
    found = book.card("house-model")
    assert (found.base.fresh, found.base.output, found.base.cache_read) == pytest.approx((2e-6, 1e-5, 2e-7))
    assert found.max_output == 8_000 == book.target("house-model").max_output


def test_a_settings_model_is_taken_as_it_is() -> None:
    from pydantic import BaseModel

    class Price(BaseModel):
        input: float
        output: float
        cache_read: float | None = None

    book = load_book({"house-model": Price(input=2.0, output=10.0)})
    assert book.card("house-model").base.cache_read == pytest.approx(2e-6), "no read price: reads cost the fresh price"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"imput": 2.0}, "unknown key 'imput'; did you mean 'input'"),
        ({"discount": 0.9}, "did you mean 'discount_factor'"),
        ({"xyzzy": 1}, r"unknown key 'xyzzy' \(known: input, output,"),
        ({"input": -1}, r"\.input is -1; it must be a price in USD per million tokens"),
        ({"input": "2"}, r"\.input is '2'; it must be a price"),
        ({"input": True}, r"\.input is True"),
        ({"output": float("nan")}, r"\.output is nan"),
        ({"window": 0}, r"\.window is 0; it must be a whole number of tokens"),
        ({"max_output": 1.5}, r"\.max_output is 1\.5; it must be a whole number"),
        ({"discount_factor": float("inf")}, "it must be a factor on every price, such as 0.85 for 15 % off"),
        ({"provider": 7}, r"\.provider is 7; it must be a name"),
        (3.0, "must be a table such as"),
    ],
)
def test_a_wrong_price_names_the_file_the_key_and_the_mend(table: object, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as error:
        load_book({"gpt-6.1-sol": table}, origin="pointsman.toml:12")
    assert str(error.value).startswith('pointsman.toml:12: [prices."gpt-6.1-sol"]')


# ---- the shipped tables


def test_every_row_of_the_tables_names_its_source() -> None:
    assert set(tables()) == set(TABLES)
    found = tables()
    rows = [
        *found["cache_rules"]["rules"],
        *found["targets"]["targets"],
        *found["targets"]["tokenizers"],
        *found["abilities"]["speeds"],
    ]
    assert all(row["source"] and row["models"] for row in rows)
    assert all(vendor["source"] for vendor in found["ladders"].values())
    assert {row["from"] for row in found["abilities"]["abilities"]} <= set(found["abilities"]["sources"])
    assert all(0.0 < row["sd"] <= 2.5 and -5.0 < row["theta"] < 7.0 for row in found["abilities"]["abilities"])


def test_no_name_is_on_two_tiers() -> None:
    for vendor in tables()["ladders"].values():
        names = [name for tier in vendor["tiers"] for name in (*tier["members"], *tier.get("also", ()))]
        assert len(names) == len(set(names))
        assert all(name.lower().startswith(tuple(vendor["names"])) for name in names)
