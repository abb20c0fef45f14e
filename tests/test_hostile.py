"""Texts that want to be markup, formulas, commands or endless: from the corpus to the Hub."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard
from publishing import fake, metadata, remote, send
from servers.hub import HubServer

from expclip.tead import BuildPlan, CorpusOptions, LlmOptions, build, validate
from expclip.tead.corpora.corpus import repair
from expclip.tead.hub.card import build_card
from expclip.tead.reports.figures import FIGURES
from expclip.tead.reports.report import write_report

pytest_plugins = ["publishing_fixtures"]

TEXTS = {
    "markup": "</td></table><img src=x onerror=alert(1)> <b>bold</b> &lt;i&gt;",
    "script": "</script><script>alert(1)</script> {{data}} ${1+1}",
    "formula": '=HYPERLINK("http://127.0.0.1/","win")+cmd|\' /C calc\'!A0',
    "controls": "bell \x07 escape \x1b[31m null \x00 end \x85 \x9b",
    "turning": "\u202egnp.exe \u2066 isolated \u200f right-to-left",
    "arabic": "\u0645\u0631\u062d\u0628\u0627, glad \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "markdown": "| a | b |\n---\nconfigs: [x]\n# [link](javascript:alert(1)) `code` $x$ ![i](y)",
    "megabyte": "megabyte " * 120_000,
}
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with these texts among others, as a model that is no better answers them."""
    root = tmp_path_factory.mktemp("hostile")
    texts = [*TEXTS.values(), *(f"Plain text number {number}" for number in range(32))]
    lines = "\n".join(json.dumps({"text": text, "label": "<i>=1+1</i>\x07"}) for text in texts)
    (root / "texts.jsonl").write_text(lines, "utf-8")
    options = CorpusOptions(max_chars=2_000_000, label_column="label")
    plan = BuildPlan((str(root / "texts.jsonl"),), options, llm=LlmOptions("a/b|<i>`x`\u202e\x07"))
    build(root / "out", plan, transport=fake("joy pride relief", "AU6C AU12D"))
    return root / "out"


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [
        row
        for path in sorted(folder.glob("data/*/*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def test_parquet_holds_every_text_on_one_line_and_nothing_unseen(folder: Path) -> None:
    rows = {row["text"]: row for row in rows_of(folder)}
    assert len(rows) == 40 and validate(folder).ok
    for name, text in TEXTS.items():
        assert repair(text) in rows, name
    assert not any(UNSEEN.search(text) or "\n" in text for text in rows)
    assert TEXTS["formula"] in rows, "a formula is a text like any other"
    for spelled in (TEXTS["arabic"], "\u0646\u0645\u06cc\u200c\u062f\u0627\u0646\u0645"):
        assert repair(spelled) == spelled, "joiners belong to the spelling"
    assert max(map(len, rows)) == 9 * 120_000 - 1


def test_the_card_and_the_figures_survive(folder: Path, server: HubServer, tmp_path: Path) -> None:
    found = send(server, folder)
    assert found.checked == 40
    card = remote(server, "README.md", tmp_path).decode()
    assert_is_sound(card)
    assert [config["config_name"] for config in metadata(card)["configs"]] == [found.config]
    assert len(card) < 20_000
    for name in FIGURES:
        link = f"figures/{found.config}/{name}.svg"
        assert f"]({link})" in card
        svg = remote(server, link, tmp_path).decode()
        ElementTree.fromstring(svg)
        assert not UNSEEN.search(svg)


def test_a_card_of_a_hostile_manifest_is_sound() -> None:
    """A manifest comes from a repository that others write to."""
    bad = "".join(TEXTS.values())
    manifest = {
        "config": "a",
        "expclip": bad,
        "counts": {
            **dict.fromkeys(("rows", "train", "test"), 1),
            "rejects": {bad: 1},
            "left_out": {bad: 2},
        },
        "corpus": {"names": [bad]},
        "annotator": {"llm": bad[:2000], "prompt_version": bad[:2000]},
        "figures": list(FIGURES),
        "sample": [{"text": text, "emotions": [bad], "au_codes": [bad]} for text in TEXTS.values()],
    }
    card = build_card([manifest, manifest | {"config": "b"}], repo="o/n")
    assert_is_sound(card)
    assert len(card) < 30_000


def assert_is_sound(card: str) -> None:
    """Fail if anything in a card is markup that the card did not write, or cannot be seen."""
    assert not UNSEEN.search(card)
    body = DatasetCard(card).text
    code = re.sub(r"```.*?```|`[^`\n]*`", "", body, flags=re.S)
    assert "<" not in code and "javascript:" not in re.sub(r"\\\[.*", "", code)
    for table in re.findall(r"(?:^\|.*\n)+", body, flags=re.M):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1, "a row of a table has other cells than its head"


def test_the_report_is_written_and_holds_no_markup_of_theirs(folder: Path, tmp_path: Path) -> None:
    page = write_report(folder, tmp_path / "page.html").read_text("utf-8")
    assert "alert(1)" not in page and page.count("<script") == 3
