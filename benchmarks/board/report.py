"""The leaderboard of a folder of results: Markdown, one HTML page, and a plot a task."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from expclip.benchmarks.board.interval_plot import draw_intervals
from expclip.benchmarks.board.leaderboard import (
    PAPER_TABLE_1,
    Board,
    Row,
    Table,
    format_metric,
    format_number,
    read_board,
)
from expclip.benchmarks.board.page import build_page
from expclip.benchmarks.results.folder import make_folder, write_file
from expclip.face.text import escape_markdown, one_line

__all__ = ["Leaderboard", "build_markdown", "write_leaderboard"]

_LONGEST = 80
_COLUMN = 24
_MORE_METRICS = 6
_SHOWN_SKIPS = 40
_EXPLAINED = """\
Means over queries, with intervals from a bootstrap of whole clusters (texts, clips, actors).
A place of 2-4 says that the data leave 2, 3 and 4 open; **bold**: no model is surely better;
"=": the same number. Models that share a letter under "group" are not separated by paired
sign-flip tests of all pairs, adjusted by Benjamini-Hochberg. Fewer than six clusters rank
nobody. Oracles know the answers; they and chance are not ranked."""
_PAPER = """\
Mean squared error of faces given again. **The paper's rows are of other data**: its TEAD was
never released, and it does not say how its error is summed. They do not compete."""


@dataclass(frozen=True)
class Leaderboard:
    """What was written.

    Attributes:
        markdown: the tables, for a README.
        page: the same and more, as one HTML file that needs no network.
        plots: an SVG a task.
        board: what they show.
    """

    markdown: Path
    page: Path
    plots: tuple[Path, ...]
    board: Board


def write_leaderboard(
    results: str | Path, out: str | Path | None = None, *, title: str = "Leaderboard"
) -> Leaderboard:
    """Write the leaderboard of all results in a folder; equal results give equal bytes.

    Args:
        results: as `expclip.benchmarks.results.record.write_result` makes them.
        out: folder for leaderboard.md, leaderboard.html and plots/; by default ``results``.
        title: heads both.

    Raises:
        DataError: there are no results, or a file cannot be written.
    """
    board = read_board(results)
    folder = Path(out or results)
    make_folder(folder / "plots")
    plots = []
    for table in board.tables:
        plots.append(folder / "plots" / f"{table.slug}.svg")
        write_file(plots[-1], draw_intervals(table).encode())
    markdown, page = folder / "leaderboard.md", folder / "leaderboard.html"
    write_file(markdown, build_markdown(board, title=title).encode())
    write_file(page, build_page(board, title=title).encode())
    return Leaderboard(markdown, page, tuple(plots), board)


def build_markdown(board: Board, *, title: str = "Leaderboard") -> str:
    """Return the board as Markdown; whatever a stranger named a model, it stays a cell."""
    lines = [f"# {_escape(title)}", "", _EXPLAINED, "", *_overview(board), *_paper(board)]
    for table in board.tables:
        lines += _table(table)
    lines += _left_out(board)
    return "\n".join(lines).rstrip() + "\n"


def _overview(board: Board) -> Iterator[str]:
    """Return the main numbers: a row a task, a column a model."""
    yield "## All tasks"
    yield ""
    yield "The main metric of each, and the place. ↑ higher is better, ↓ lower."
    yield ""
    yield from _head(["task", "metric", *(_escape(name, _COLUMN) for name in board.models)])
    for table in board.tables:
        arrow = "↑" if table.task.higher_is_better else "↓"
        rows = {row.result.model.name: row for row in table.rows}
        cells = [_overview_cell(rows.get(name)) for name in board.models]
        yield _line([f"`{board.name_of(table)}`", f"{_escape(table.task.main)} {arrow}", *cells])
    yield ""


def _overview_cell(row: Row | None) -> str:
    if row is None:
        return ""
    number = format_number(row.result.main.value)
    number = f"**{number}**" if row.leads else number
    return f"{number} ({row.rank})" if row.rank else number


def _table(table: Table) -> Iterator[str]:
    task = table.task
    better = "higher is better" if task.higher_is_better else "lower is better"
    ranked = "" if task.ranked else "; printed only, not ranked"
    yield f"## {_escape(task.title)}"
    yield ""
    yield (
        f"`{task.id}` version {task.version}; {_escape(task.main)}, {better}{ranked}; "
        f"{table.queries:,} queries in {table.clusters:,} clusters; "
        f"data `{task.data_sha256[:12]}`."
    )
    yield ""
    yield f"![{_escape(task.title)}](plots/{table.slug}.svg)"
    yield ""
    more = table.metrics[1 : 1 + _MORE_METRICS]
    main = f"{_escape(task.main)} [{table.level:.0%}]"
    yield from _head(["place", "group", "model", main, *map(_escape, more)])
    for row in table.rows:
        metrics = row.result.metrics
        numbers = [format_number(metrics[name].value) if name in metrics else "" for name in more]
        yield _line([_rank(row), row.group, _model(row), format_metric(row.result.main), *numbers])
    for name, value in table.references.items():
        yield _line(["", "", f"*{name}*", format_number(value), *[""] * len(more)])
    yield ""
    yield from _bullets(table.left_out)


def _paper(board: Board) -> Iterator[str]:
    """Return the paper's Table 1 beside ours, where any model was measured in it."""
    tables = {table.task.id: table for table in board.tables if table.task.id in PAPER_TABLE_1}
    if not tables:
        return
    yield "## Table 1 of the paper, re-made"
    yield ""
    yield _PAPER
    yield ""
    yield from _head(["model", "TEAD", "BEAT"])
    found: dict[str, list[str]] = {}
    for place, task in enumerate(PAPER_TABLE_1):
        for row in tables[task].rows if task in tables else ():
            if row.result.model.role == "oracle":
                continue
            cells = found.setdefault(_model(row), [""] * len(PAPER_TABLE_1))
            cells[place] = format_metric(row.result.main)
    for name, cells in found.items():
        yield _line([name, *cells])
    for place, how in enumerate(("without", "with")):
        numbers = [f"{pair[place]:.3f}" for pair in PAPER_TABLE_1.values()]
        yield _line([f"*the paper, {how} augmentation (other data)*", *numbers])
    yield ""


def _left_out(board: Board) -> Iterator[str]:
    if board.skipped:
        yield "## Not measured"
        yield ""
        yield from _head(["model", "task", "reason"])
        for skip in board.skipped[:_SHOWN_SKIPS]:
            yield _line([_escape(skip.model.name), f"`{skip.task.id}`", _escape(skip.reason, 300)])
        if len(board.skipped) > _SHOWN_SKIPS:
            yield ""
            yield f"And {len(board.skipped) - _SHOWN_SKIPS:,} more."
        yield ""
    if board.problems:
        yield "## Files left out"
        yield ""
        yield from _bullets(board.problems)


def _bullets(lines: Iterable[str]) -> Iterator[str]:
    shown = [f"- {_escape(line, 400)}" for line in lines]
    yield from [*shown, ""] if shown else []


def _rank(row: Row) -> str:
    return f"{row.rank} =" if row.tied and row.rank else row.rank


def _model(row: Row) -> str:
    model = row.result.model
    name = _escape(model.name)
    name = f"**{name}**" if row.leads else name
    return name if model.role == "model" else f"{name} *({model.role})*"


def _head(names: Sequence[str]) -> Iterator[str]:
    yield _line(names)
    yield "|" + "---|" * len(names)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str, longest: int = _LONGEST) -> str:
    """Return a text as a Markdown cell that shows it and does nothing else."""
    return escape_markdown(one_line(text, longest))
