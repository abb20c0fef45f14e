"""The report page: what Python packs, and what a real browser makes of it."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from browser import CHROMIUM, Browser
from typer.testing import CliRunner

from expclip.cli.report import report
from expclip.face import AU_INDEX, BLENDSHAPES, render_png
from expclip.face.errors import DataError
from expclip.tead import BuildPlan, CorpusOptions, build, read_rows
from expclip.tead.reports.report import write_report

READY = "document.documentElement?.dataset.ready > 0"
HOSTILE = (
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 1'> {{data}} ${1+1} &amp;",
    "=HYPERLINK(\"http://127.0.0.1/\") <b>bold</b> <!-- ]]>",
    "bell \x07 escape \x1b[31m null \x00 override \u202e txt.exe \u2066 end",
    "\u0645\u0631\u062d\u0628\u0627 \u200f, I am glad \U0001f600",
    "megabyte " * 120_000,
)  # fmt: skip

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed here")


@pytest.fixture(scope="module")
def tead(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An offline TEAD of 300 rows, the first texts of which are hostile."""
    out = tmp_path_factory.mktemp("report") / "out"
    build(out, BuildPlan(("grammar",), CorpusOptions(limit=300)))
    path = next(out.glob("data/*/train-*.parquet"))
    table = pq.read_table(path)
    for name in ("text", "source"):
        values = table[name].to_pylist()
        values[: len(HOSTILE)] = [text[:2_000_000] for text in HOSTILE]
        table = table.set_column(
            table.schema.get_field_index(name), name, pa.array(values, pa.string())
        )
    pq.write_table(table, path)
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    manifest["counts"]["rejects"] = {"no_json": 3, "<b>tags</b>": 4}
    (out / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return out


@pytest.fixture(scope="module")
def page(tead: Path) -> Path:
    return write_report(tead)


def unpacked(page: Path, block: str) -> bytes:
    found = re.search(rf'id="{block}">([^<]*)<', page.read_text("utf-8"))
    assert found
    return gzip.decompress(base64.b64decode(found[1]))


def test_the_page_lies_beside_the_folder_and_is_the_same_each_time(
    tead: Path, page: Path, tmp_path: Path
) -> None:
    assert page == tead.with_name("out-report.html")
    again = write_report(tead, tmp_path / "again.html")
    assert again.read_bytes() == page.read_bytes()


def test_every_row_is_in_the_page(tead: Path, page: Path) -> None:
    data = json.loads(unpacked(page, "data"))
    columns = data["rows"]
    faces = np.frombuffer(unpacked(page, "faces"), np.uint8).reshape(-1, len(BLENDSHAPES))
    rows = list(read_rows(tead))
    assert len(rows) == len(faces) == 300

    def words(name: str, index: int) -> Any:
        names, value = columns[name]["names"], columns[name]["rows"][index]
        return [names[i] for i in value] if isinstance(value, list) else names[value]

    for index, row in enumerate(rows):
        assert columns["text"][index] == row["text"]
        for name in ("emotions", "au_codes", "situations", "labels", "split", "source", "llm"):
            assert words(name, index) == row[name]
        np.testing.assert_allclose(faces[index] / 255, row["blendshapes"], atol=0.5 / 255 + 1e-6)
    assert data["manifest"]["config"] == "offline"
    assert dict(data["checks"]["rows"]) == {
        split: sum(row["split"] == split for row in rows) for split in ("train", "test")
    }


def test_no_text_of_a_row_is_in_the_markup(page: Path) -> None:
    markup = page.read_text("utf-8")
    assert "window.broken" not in markup
    assert markup.count("<script") == 3
    assert "{{" not in markup.replace("\\{\\{", "")


def test_near_duplicates_are_counted_also_across_splits(tead: Path, page: Path) -> None:
    from expclip.tead.duplicates import find_near_duplicates

    data = json.loads(unpacked(page, "data"))
    rows = list(read_rows(tead))
    pairs = [(a, b) for a, b, _ in find_near_duplicates([row["text"] for row in rows])]
    assert data["rows"]["near"] == sorted({place for pair in pairs for place in pair})
    across = {b for a, b in pairs if rows[a]["split"] != rows[b]["split"]}
    assert data["checks"]["near_across"] == len(across)


def test_a_folder_that_is_no_tead_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a finished TEAD") as caught:
        write_report(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_command_tells_where_the_page_is(tead: Path, tmp_path: Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(report)
    out = tmp_path / "page.html"
    result = CliRunner().invoke(app, [str(tead), "--out", str(out)])
    assert result.exit_code == 0 and f"wrote {out}" in result.stdout
    assert out.resolve().as_uri() in result.stdout


# In a browser


@pytest.fixture(scope="module")
def opened(page: Path) -> Iterator[Browser]:
    with Browser() as browser:
        browser.open(page, READY)
        yield browser


@pytest.fixture
def browser(opened: Browser) -> Browser:
    """The page, with no filter set."""
    opened.run("document.getElementById('clear').click()")
    return opened


def set_value(browser: Browser, name: str, value: str, event: str = "change") -> int:
    """Set a filter, and return how many rows are left."""
    browser.run(
        f"""(() => {{
            const field = document.getElementById({json.dumps(name)});
            const option = [...(field.options ?? [])].find(
                (option) => option.text.startsWith({json.dumps(value)}));
            field.value = option ? option.value : {json.dumps(value)};
            field.dispatchEvent(new Event({json.dumps(event)}, {{ bubbles: true }}));
        }})()"""
    )
    return int(browser.run("document.getElementById('found').textContent.split(' ')[0]"))


@needs_browser
def test_hostile_text_is_shown_as_text_and_nothing_is_fetched(browser: Browser, page: Path) -> None:
    assert browser.run("window.broken ?? 0") == 0
    assert browser.requests == [page.resolve().as_uri()]
    assert browser.complaints == []
    shown = browser.run(
        "[...document.querySelectorAll('.row p:first-child')].map(p => p.innerText)"
    )
    assert any(HOSTILE[0] in text for text in shown)
    assert any("⟨U+0007⟩" in text and "⟨U+202E⟩" in text for text in shown)
    assert max(map(len, shown)) <= 601
    assert browser.run("document.querySelectorAll('.row b, .row img, .row script').length") == 0


@needs_browser
def test_the_policy_stops_other_scripts_and_all_fetches(page: Path) -> None:
    with Browser() as browser:
        browser.open(page, READY)
        blocked = browser.run(
            "fetch('http://127.0.0.1:9/').then(() => 'fetched', (error) => error.name)"
        )
        browser.run(
            "document.body.append(Object.assign(document.createElement('script'),"
            " { textContent: 'window.broken = 1' }))"
        )
        assert blocked == "TypeError"
        assert browser.run("window.broken ?? 0") == 0
        assert sum("Content Security Policy" in text for text in browser.complaints) >= 2


@needs_browser
def test_filters_find_the_rows_that_a_loop_finds(browser: Browser, tead: Path) -> None:
    rows = list(read_rows(tead))
    assert browser.run("document.getElementById('found').textContent") == "300 rows"
    for split in ("train", "test"):
        expected = sum(row["split"] == split for row in rows)
        assert set_value(browser, "split", split) == expected
    browser.run("document.getElementById('clear').click()")
    expected = sum("joy" in row["emotions"] for row in rows)
    assert set_value(browser, "emotion", "joy (") == expected > 0
    assert set_value(browser, "unit", "AU12 ") == sum(
        "joy" in row["emotions"] and any(code.startswith("AU12") for code in row["au_codes"])
        for row in rows
    )
    browser.run("document.getElementById('clear').click()")
    expected = sum("letter" in "\n".join([row["text"], *row["situations"]]).lower() for row in rows)
    assert set_value(browser, "text", "LETTER", "input") == expected > 0
    assert set_value(browser, "text", "no such words at all", "input") == 0


@needs_browser
def test_a_click_on_a_unit_keeps_the_rows_that_show_it(browser: Browser, tead: Path) -> None:
    browser.run(
        "[...document.querySelectorAll('#units .bar')]"
        ".find(bar => bar.innerText.startsWith('AU4 ')).click()"
    )
    expected = sum(row["aus"][AU_INDEX[4]] for row in read_rows(tead))
    assert browser.run("document.getElementById('found').textContent") == f"{expected} of 300"
    assert browser.run("document.querySelectorAll('#units [aria-pressed=true]').length") == 1


@needs_browser
def test_the_list_holds_few_elements_and_reaches_the_last_row(browser: Browser, tead: Path) -> None:
    last = list(read_rows(tead))[-1]
    browser.run("document.getElementById('list').scrollTop = 1e9")
    browser.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    shown = browser.run(
        "[...document.querySelectorAll('.row:not([hidden]) p:first-child')].map(p => p.textContent)"
    )
    assert last["text"] in shown
    assert browser.run("document.querySelectorAll('.row').length") < 20


@needs_browser
def test_a_row_opens_in_full_and_the_arrows_go_on(browser: Browser, tead: Path) -> None:
    rows = list(read_rows(tead))
    browser.run("document.getElementById('list').scrollTop = 0")
    set_value(browser, "text", rows[40]["id"], "input")
    browser.run("document.querySelector('.row:not([hidden])').click()")
    told = browser.run("document.getElementById('whole').innerText")
    for piece in (rows[40]["text"], *rows[40]["emotions"], *rows[40]["situations"]):
        assert piece in told
    browser.run("document.getElementById('detail').close()")


@needs_browser
def test_a_text_of_a_megabyte_is_cut_where_it_is_shown(browser: Browser) -> None:
    assert set_value(browser, "text", "megabyte", "input") == 1
    browser.run("document.querySelector('.row:not([hidden])').click()")
    assert browser.run("document.querySelector('#whole .text').textContent.length") == 20_001
    assert "1,080,000 characters" in browser.run("document.getElementById('whole').innerText")
    browser.run("document.getElementById('detail').close()")


@needs_browser
def test_rejects_are_shown_by_reason(browser: Browser) -> None:
    told = browser.run("document.getElementById('aside').innerText")
    assert re.search(r"rejected: no_json\s+3\b", told)
    assert re.search(r"rejected: <b>tags</b>\s+4\b", told)
    assert re.search(r"\b7\s+rejected texts", browser.run("document.body.innerText"))


@needs_browser
def test_the_page_draws_the_same_face_as_python(browser: Browser) -> None:
    from PIL import Image

    generator = np.random.default_rng(0)
    faces = [np.zeros(52), np.ones(52), *(generator.random((6, 52)) ** 3)]
    faces += [np.eye(52)[index] for index in range(52)]
    for weights in faces:
        named = dict(zip(BLENDSHAPES, map(float, weights), strict=True))
        url = browser.run(
            f"""(() => {{
                const canvas = document.createElement("canvas");
                canvas.width = canvas.height = 400;
                Face.draw(canvas, {json.dumps(named)});
                return canvas.toDataURL();
            }})()"""
        )
        drawn = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")
        wanted = Image.open(io.BytesIO(render_png(weights, size=400)))
        difference = np.abs(np.asarray(drawn, float) - np.asarray(wanted, float))
        assert difference.mean() < 1.2  # of 255: edges are smoothed otherwise
        assert (difference.max(axis=2) > 60).mean() < 0.001
