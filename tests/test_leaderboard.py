"""The leaderboard: who stands where, how sure that is, and what strangers can write into it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from bench_results import FAST, RECONSTRUCTION, RETRIEVAL, outcome, write
from browser import CHROMIUM, Browser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from expclip.benchmarks.board.interval_plot import draw_intervals
from expclip.benchmarks.board.leaderboard import (
    Board,
    Table,
    format_metric,
    format_number,
    read_board,
)
from expclip.benchmarks.board.page import build_page
from expclip.benchmarks.board.report import build_markdown, write_leaderboard
from expclip.benchmarks.results.record import (
    Metric,
    ModelInfo,
    Statistics,
    write_result,
    write_skipped,
)
from expclip.face.errors import DataError

HOSTILE = (
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 1'> {{data}} &amp;",
    "| a | [x](http://evil.example) ![y](//z) `code` **b** @team www.evil.example",
    '" onmouseover="window.broken = 1',
    "]]> --> <!-- </style></svg>",
    "a" * 200,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks: an oracle, three models of which two are the same, and hostile ones."""
    out = tmp_path_factory.mktemp("results")
    write(out, "perfect", 1.0, role="oracle")
    for name, mean in (("good", 0.6), ("twin-a", 0.5), ("twin-b", 0.5)):
        write(out, name, mean)
    for place, name in enumerate(HOSTILE):
        write(out, name, 0.4 - 0.01 * place)
    write(out, "good", 0.02, RECONSTRUCTION)
    write(out, "mean-face", 0.06, RECONSTRUCTION, role="baseline")
    write_skipped(out, ModelInfo("twin-a"), RECONSTRUCTION, "no reconstruct <b>| at all")
    return out


@pytest.fixture(scope="module")
def board(folder: Path) -> Board:
    return read_board(folder)


def table_of(board: Board, task: str) -> Table:
    return next(table for table in board.tables if table.task.id == task)


def test_models_are_ranked_as_far_as_is_sure_and_oracles_are_not(board: Board) -> None:
    rows = table_of(board, "tead/t2e-class").rows
    assert [
        (row.result.model.name, row.rank, row.group, row.tied, row.leads) for row in rows[:5]
    ] == [
        ("perfect", "", "", False, False),
        ("good", "1", "a", False, True),
        ("twin-a", "2-3", "b", True, False),
        ("twin-b", "2-3", "b", True, False),
        (HOSTILE[0], "4", "c", False, False),
    ]


def test_five_clusters_rank_nobody(tmp_path: Path) -> None:
    few = replace(outcome(0.5), clusters=tuple(f"c{place % 5}" for place in range(40)))
    for name in ("a", "b"):
        write_result(tmp_path, ModelInfo(name), RETRIEVAL, few, statistics=FAST)
    (table,) = read_board(tmp_path).tables
    assert [(row.rank, row.group, row.leads) for row in table.rows] == [("", "", False)] * 2


def test_lower_is_better_where_the_task_says_so(board: Board) -> None:
    rows = table_of(board, "tead/reconstruction").rows
    assert [(row.result.model.name, row.rank) for row in rows] == [
        ("good", "1"),
        ("mean-face", "2"),
    ]


def test_models_that_the_queries_do_not_separate_share_their_places(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).normal(0, 0.2, 40)
    for name, sign in (("a", 1), ("b", -1)):
        one = outcome(0.5)
        values = {key: found + sign * noise for key, found in one.values.items()}
        found = replace(one, values=values)
        write_result(tmp_path, ModelInfo(name), RETRIEVAL, found, statistics=FAST)
    (table,) = read_board(tmp_path).tables
    assert {(row.ranks, row.group) for row in table.rows} == {((1, 2), "a")}


def test_the_main_numbers_of_all_models_stand_together(board: Board) -> None:
    markdown = build_markdown(board)
    head, _, *lines = markdown[markdown.index("| task |") :].splitlines()
    columns = [cell.strip() for cell in head.split(" | ")]
    cells = dict(zip(columns, lines[0].split(" | "), strict=True))
    assert cells["| task"] == "| `tead/reconstruction`"
    assert cells["metric"] == "mse ↓"
    assert (cells["good"], cells["twin-a"]) == ("**0.0200** (1)", "")


def test_letters_stand_beside_the_places_in_both_tables(board: Board) -> None:
    markdown, page = build_markdown(board), build_page(board)
    assert "| place | group | model | R@1 [95%] |" in markdown
    assert "| 1 | a | **good** | 0.600 [" in markdown
    assert "| 2-3 = | b | twin-a | 0.500 [" in markdown
    assert "<td>2-3 =</td><td>b</td>\n" in page
    assert "<th>place</th><th>group</th><th>model</th>" in page
    for shown in (markdown, page):
        assert "not separated by paired" in " ".join(shown.split())


def test_letters_join_neighbours_that_the_queries_do_not_tell_apart(tmp_path: Path) -> None:
    """Neighbours differ in 5 queries, which separates none; the ends differ in 10."""
    for name, wrong in (("worst", 10), ("middle", 5), ("best", 0)):
        one = outcome(0.5)
        hits = np.concatenate([np.zeros(wrong), np.ones(40 - wrong)])
        own = tuple(map(str, range(40)))
        found = replace(one, clusters=own, values={"R@1": hits})
        write_result(tmp_path, ModelInfo(name), RETRIEVAL, found, statistics=FAST)
    # exact p of 5 of 5 is 2 / 2^5 = 0.0625, of 10 of 10 it is 2 / 2^10, adjusted 6 / 2^10
    (table,) = read_board(tmp_path).tables
    assert [(row.result.model.name, row.group) for row in table.rows] == [
        ("best", "a"), ("middle", "ab"), ("worst", "b"),
    ]  # fmt: skip


def test_an_unranked_task_has_no_places(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path, name, 0.5, replace(RETRIEVAL, ranked=False))
    board = read_board(tmp_path)
    assert {(row.rank, row.group) for row in board.tables[0].rows} == {("", "")}
    assert "printed only, not ranked" in build_markdown(board)
    assert "printed only, not ranked" in build_page(board)


def test_other_versions_and_other_data_get_tables_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, "a", 0.5)
    write(tmp_path, "b", 0.5, replace(RETRIEVAL, version=2))
    write(tmp_path, "c", 0.5, replace(RETRIEVAL, data_sha256="c" * 64))
    board = read_board(tmp_path)
    slugs = [table.slug for table in board.tables]
    assert slugs == [
        "tead.t2e-class@1-aaaaaaaa", "tead.t2e-class@1-cccccccc", "tead.t2e-class@2",
    ]  # fmt: skip
    markdown, page = build_markdown(board), build_page(board)
    for slug in slugs:  # and the overview tells them apart
        assert f"| `{slug}` | R@1 ↑ |" in markdown
        assert f">{slug}</a>" in page


def test_a_result_with_other_queries_is_left_out_and_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path, name, 0.5)
    few = outcome(0.9, queries=2)
    write_result(tmp_path, ModelInfo("0"), RETRIEVAL, few, statistics=FAST)
    (table,) = read_board(tmp_path).tables
    assert [row.result.model.name for row in table.rows] == ["a", "b"]
    assert table.left_out[0].startswith("0/tead.t2e-class@1.json: has other")
    assert "has other queries" in build_page(read_board(tmp_path))


def test_a_broken_file_is_left_out_and_told(tmp_path: Path) -> None:
    write(tmp_path, "a", 0.5)
    broken = write(tmp_path, "b", 0.5)
    broken.sidecar.write_bytes(b"PK")
    (tmp_path / "b/other@1.json").write_bytes(b"{")
    board = read_board(tmp_path)
    assert [row.result.model.name for row in board.tables[0].rows] == ["a"]
    assert [line.split(":")[0] for line in board.problems] == [
        "b/other@1.json", "b/tead.t2e-class@1.npz",
    ]  # fmt: skip
    for shown in (build_markdown(board), build_page(board)):
        assert "Files left out" in shown and "b/other" in shown and str(tmp_path) not in shown


def test_chance_and_the_skipped_are_shown(board: Board) -> None:
    assert table_of(board, "tead/t2e-class").references == {"chance": 0.1}
    markdown, page = build_markdown(board), build_page(board)
    assert "|  |  | *chance* | 0.100 |" in markdown
    assert "<td>chance</td><td>0.100</td>" in page
    assert "no reconstruct &lt;b&gt;\\| at all" in markdown
    assert "no reconstruct &lt;b&gt;| at all" in page


def test_table_1_stands_beside_the_papers_figures_marked_as_other_data(board: Board) -> None:
    markdown, page = build_markdown(board), build_page(board)
    assert "| **good** | 0.020 [" in markdown
    assert "| *the paper, without augmentation (other data)* | 0.051 | 0.069 |" in markdown
    assert "| *the paper, with augmentation (other data)* | 0.012 | 0.021 |" in markdown
    assert "the paper, with augmentation (other data)</td>\n<td>0.012</td><td>0.021</td>" in page


def test_markdown_of_strangers_stays_a_cell(board: Board) -> None:
    markdown = build_markdown(board)
    for line in markdown.splitlines():
        cells = re.split(r"(?<!\\)\|", line)
        if cells[3:] and "evil" in cells[3]:
            assert "http&#58;//evil" in cells[3] and "&#64;team" in cells[3]
            assert "www&#46;evil" in cells[3] and "\\[x\\](" in cells[3]
            break
    else:
        pytest.fail("the stranger is not there")
    assert "<script" not in markdown and "<img" not in markdown and "://evil" not in markdown


class Tags(HTMLParser):
    """Every tag and attribute of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


def test_the_page_holds_no_tag_of_a_stranger_and_nothing_that_runs(board: Board) -> None:
    found = Tags(build_page(board))
    assert not {"script", "iframe", "object", "svg", "form", "base"} & found.tags
    assert not [name for name in found.attributes if name.startswith("on")]


@given(
    low=st.floats(-1e9, 1e9), width=st.floats(0, 1e6), place=st.floats(0, 1), note=st.floats(-1, 1)
)
@example(low=0.0, width=0.0, place=0.0, note=0.0)
@example(low=1e-12, width=1e-13, place=0.5, note=0.0)
@example(low=0.3, width=1e-17, place=0.5, note=0.3)
@example(low=5e-324, width=0.0, place=0.0, note=5e-324)
@settings(max_examples=40, deadline=None)
def test_any_numbers_are_drawn_within_the_picture(
    board: Board, low: float, width: float, place: float, note: float
) -> None:
    table = table_of(board, "tead/t2e-class")
    metric = Metric(low + place * width, low, low + width)
    rows = tuple(
        replace(row, result=replace(row.result, metrics={"R@1": metric})) for row in table.rows[:2]
    )
    svg = draw_intervals(replace(table, rows=rows, notes={"chance": note}))
    for node in ElementTree.fromstring(svg).iter():
        for name in ("x", "x1", "x2", "cx"):
            assert -1e-6 <= float(node.get(name, 0)) <= 760


def test_metrics_stand_in_the_order_of_their_numbers(board: Board) -> None:
    names = ["R@1", "R@5", "R@10", "mse@0", "mse@0.01", "mse@0.02", "mse@0.1", "mse@0.10", "x1y02"]
    metrics = dict.fromkeys(reversed(names), Metric(0.5, 0.4, 0.6))
    table = table_of(board, "tead/t2e-class")
    row = replace(table.rows[0], result=replace(table.rows[0].result, metrics=metrics))
    assert replace(table, rows=(row,)).metrics == tuple(names)


def test_the_same_results_give_the_same_files(folder: Path, tmp_path: Path) -> None:
    one = write_leaderboard(folder, tmp_path / "one")
    other = write_leaderboard(folder, tmp_path / "other")
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 2 + 2 and one.plots[0].name == "tead.reconstruction@1.svg"
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "other" / path).read_bytes()
    for link in re.findall(r"\]\((plots/[^)]+)\)", one.markdown.read_text("utf-8")):
        assert (one.markdown.parent / link).is_file()
    assert other.board.models[0] == "good" and other.board.models[-1] == "perfect"


def test_the_leaderboard_may_lie_among_the_results(tmp_path: Path) -> None:
    write(tmp_path, "a", 0.5)
    first = write_leaderboard(tmp_path)
    content = first.page.read_bytes()
    assert write_leaderboard(tmp_path).page.read_bytes() == content


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no results"):
        write_leaderboard(tmp_path)
    with pytest.raises(DataError, match="there is no such folder"):
        write_leaderboard(tmp_path / "none")


@pytest.mark.parametrize(
    ("metric", "shown"),
    [
        (Metric(0.4231, 0.4112, 0.4349), "0.423 [0.411, 0.435]"),
        (Metric(0.5, 0.5, 0.5), "0.500 [0.500, 0.500]"),
        (Metric(0.012, 0.012, 0.012 + 1e-17), "0.0120 [0.0120, 0.0120]"),
        (Metric(144.86, 120.2, 170.9), "145 [120, 171]"),
        (Metric(1.16e-5, 1.1e-5, 1.2e-5), "0.000012 [0.000011, 0.000012]"),
        (Metric(1.16e-6, 1.1e-6, 1.2e-6), "1.2e-06 [1.1e-06, 1.2e-06]"),
    ],
)
def test_a_number_shows_what_its_interval_leaves_sure(metric: Metric, shown: str) -> None:
    assert format_metric(metric) == shown


def test_numbers_show_three_digits_that_count() -> None:
    numbers = (0.0, 0.5134, 0.02617, 5.214, 144.86, 12345.6, 2e7, -0.25, 2e-17)
    assert [format_number(number) for number in numbers] == [
        "0.000", "0.513", "0.0262", "5.21", "144.9", "12,345.6", "2.0e+07", "-0.250", "0.000",
    ]  # fmt: skip


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed here")
def test_a_browser_shows_the_page_and_runs_nothing_of_a_stranger(
    folder: Path, tmp_path: Path
) -> None:
    page = write_leaderboard(folder, tmp_path / "out").page
    with Browser(900, 700) as browser:
        browser.open(page, "document.readyState == 'complete'")
        assert browser.run("window.broken") is None
        assert browser.run("[...document.images].every(one => one.naturalWidth > 0)")
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
        assert browser.run("document.querySelectorAll('tr.leads').length") == 2
        assert browser.complaints == []
        assert not [url for url in browser.requests if url.startswith("http")]


def test_statistics_of_another_level_are_not_mixed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path, name, 0.5)
    write(tmp_path, "c", 0.5, statistics=Statistics(draws=200, level=0.5))
    (table,) = read_board(tmp_path).tables
    assert table.level == 0.95 and len(table.rows) == 2 and len(table.left_out) == 1
