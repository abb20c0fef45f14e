"""The leaderboard as one HTML page: no script, no network, nothing of a stranger's is markup."""

import base64
import hashlib
import html
from collections.abc import Iterable, Iterator
from importlib.metadata import version

from expclip.benchmarks.board.interval_plot import draw_intervals
from expclip.benchmarks.board.leaderboard import (
    PAPER_TABLE_1,
    Board,
    Row,
    Table,
    format_metric,
    format_number,
)
from expclip.face.text import one_line

__all__ = ["build_page"]

_LONGEST, _COLUMN = 60, 22

_STYLE = """
:root { color-scheme: light dark; --page: #f3f6f7; --card: #fff; --ink: #263238; --soft: #5b7280;
  --line: #dde5e8; --accent: #2f6f7f; --faint: #e6f0f2; --warm: #b3541e; }
@media (prefers-color-scheme: dark) { :root { --page: #172024; --card: #1f2a2f; --ink: #e3ebee;
  --soft: #93a9b2; --line: #33434a; --accent: #8cc3cf; --faint: #25393f; --warm: #e58f76; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px; max-width: 1240px; background: var(--page); color: var(--ink);
  font: 14px/1.5 system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 28px; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { margin: 0; font-size: 18px; overflow-wrap: anywhere; }
header p, .told { margin: 6px 0 14px; color: var(--soft); max-width: 90ch;
  overflow-wrap: anywhere; }
section { margin: 16px 0; padding: 18px 20px; background: var(--card); border-radius: 10px;
  border: 1px solid var(--line); }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
code { font: 12.5px ui-monospace, "DejaVu Sans Mono", monospace; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); text-align: left;
  white-space: nowrap; vertical-align: top; }
th { color: var(--soft); font-weight: 600; font-size: 12.5px; }
td.number, th.number { text-align: right; }
td.text { white-space: normal; overflow-wrap: anywhere; }
td small { color: var(--soft); }
tr.leads td { background: var(--faint); } tr.leads .name { font-weight: 650; }
td.leads { background: var(--faint); font-weight: 650; }
tr.aside td { color: var(--soft); font-style: italic; }
.wide td:first-child, .wide th:first-child { padding-left: 8px; }
.overview td, .overview th { padding: 5px 8px; }
.overview td:first-child, .overview th:first-child { position: sticky; left: 0; padding-left: 0;
  background: var(--card); }
.role { margin-left: 6px; padding: 0 6px; border-radius: 8px; border: 1px solid var(--line);
  color: var(--soft); font-size: 11px; font-weight: 400; }
.warning { padding: 8px 12px; border-left: 4px solid var(--warm); margin: 0 0 14px; }
img { display: block; max-width: 100%; height: auto; margin: 0 0 14px; border-radius: 6px; }
details { margin-top: 12px; } summary { cursor: pointer; color: var(--soft); }
details table { margin-top: 8px; font-size: 12.5px; }
footer { color: var(--soft); font-size: 12.5px; }
"""


def build_page(board: Board, *, title: str = "Leaderboard") -> str:
    """Return the page; the same board gives the same bytes."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f'<meta name="generator" content="expclip {html.escape(version("expclip"))}">',
        f"<title>{_plain(title)}</title>",
        '<link rel="icon" href="data:,">',
        f"<style>{_STYLE}</style>",
        "</head>",
        "<body>",
        *_header(board, title),
        *_overview(board),
        *_paper(board),
    ]
    for table in board.tables:
        parts += _section(table)
    parts += [*_skipped(board), *_problems(board), *_footer(board), "</body>", "</html>", ""]
    return "\n".join(parts)


def _header(board: Board, title: str) -> Iterator[str]:
    yield f"<header><h1>{_plain(title)}</h1>"
    yield f"<p>{_count(len(board.models), 'model')}, {_count(len(board.tables), 'task')}."
    yield "Means over queries, with intervals from a bootstrap of whole clusters (texts, clips,"
    yield "actors). A place of 2-4 says that the data leave 2, 3 and 4 open; shaded: no model is"
    yield "surely better; “=”: the same number as another. Models that share a letter under"
    yield "“group” are not separated by paired sign-flip tests of all pairs, adjusted by"
    yield "Benjamini-Hochberg. Fewer than six clusters rank nobody. Oracles know the answers; they"
    yield "and chance are not ranked.</p>"
    yield "</header>"


def _overview(board: Board) -> Iterator[str]:
    """Return the main numbers: a row a task, a column a model."""
    yield '<section><h2>All tasks</h2><p class="told">The main metric of each, and the place.</p>'
    yield '<div class="wide"><table class="overview"><thead><tr><th>task</th><th>metric</th>'
    yield "".join(f'<th class="number">{_name(name, _COLUMN)}</th>' for name in board.models)
    yield "</tr></thead><tbody>"
    for table in board.tables:
        arrow = "↑" if table.task.higher_is_better else "↓"
        link = f'<a href="#{table.slug}">{_plain(board.name_of(table))}</a>'
        yield f"<tr><td>{link}</td><td>{_plain(table.task.main)} {arrow}</td>"
        rows = {row.result.model.name: row for row in table.rows}
        yield "".join(_overview_cell(rows.get(name)) for name in board.models)
        yield "</tr>"
    yield "</tbody></table></div></section>"


def _overview_cell(row: Row | None) -> str:
    if row is None:
        return '<td class="number"></td>'
    rank = f" <small>{_rank(row)}</small>" if row.rank else ""
    kind = "number leads" if row.leads else "number"
    return f'<td class="{kind}">{format_number(row.result.main.value)}{rank}</td>'


def _section(table: Table) -> Iterator[str]:
    task = table.task
    better = "higher is better" if task.higher_is_better else "lower is better"
    yield f'<section id="{table.slug}"><h2>{_plain(task.title)}</h2>'
    yield (
        f'<p class="told"><code>{_plain(task.id)}</code> version {task.version}; '
        f"{_plain(task.main)}, {better}{'' if task.ranked else '; printed only, not ranked'}; "
        f"{_count(table.queries, 'query', 'queries')} in {_count(table.clusters, 'cluster')}; "
        f"data <code>{task.data_sha256[:12]}</code></p>"
    )
    for line in table.left_out:
        yield f'<p class="warning">{_plain(line, 400)}</p>'
    plot = draw_intervals(table, heading=False)
    picture = base64.b64encode(plot.encode()).decode()
    told = f"{task.main} of each model with its interval"
    yield f'<img alt="{_plain(told)}" src="data:image/svg+xml;base64,{picture}">'
    yield from _numbers(table)
    yield from _notes(table)
    yield "</section>"


def _numbers(table: Table) -> Iterator[str]:
    main, *more = table.metrics
    yield '<div class="wide"><table><thead><tr><th>place</th><th>group</th><th>model</th>'
    yield f"<th>{_plain(main)} [{table.level:.0%}]</th>"
    yield "".join(f'<th class="number">{_plain(name)}</th>' for name in more)
    yield "</tr></thead><tbody>"
    for row in table.rows:
        metrics = row.result.metrics
        yield '<tr class="leads">' if row.leads else "<tr>"
        yield f"<td>{_rank(row)}</td><td>{row.group}</td>"
        yield f'<td class="name">{_model(row)}</td>'
        yield f"<td>{format_metric(row.result.main)}</td>"
        cells = (
            f'title="{format_metric(metrics[name])}">{format_number(metrics[name].value)}'
            if name in metrics
            else ">"
            for name in more
        )
        yield "".join(f'<td class="number" {cell}</td>' for cell in cells)
        yield "</tr>"
    for name, value in table.references.items():
        yield f'<tr class="aside"><td></td><td></td><td>{name}</td><td>{format_number(value)}</td>'
        yield "<td></td>" * len(more) + "</tr>"
    yield "</tbody></table></div>"


def _notes(table: Table) -> Iterator[str]:
    """Return what is told of the data, and of each model alone."""
    yield "<details><summary>Notes</summary><table><tbody>"
    for name, note in table.notes.items():
        yield _note_line("all models", name, note)
    for row in table.rows:
        result = row.result
        own = {name: note for name, note in result.notes.items() if name not in table.notes}
        own |= {"result": result.sha256, **result.environment}
        for name, note in own.items():
            yield _note_line(_name(result.model.name), name, note)
    yield "</tbody></table></details>"


def _note_line(whose: str, name: str, note: float | int | str) -> str:
    cells = f'<td>{_plain(name)}</td><td class="text">{_note(note)}</td>'
    return f"<tr><td>{whose}</td>{cells}</tr>"


def _note(note: float | int | str) -> str:
    if isinstance(note, str):
        return _plain(note, 300)
    return f"{note:,}" if isinstance(note, int) else format_number(note)


def _paper(board: Board) -> Iterator[str]:
    """Return the paper's Table 1 beside ours, where any model was measured in it."""
    tables = {table.task.id: table for table in board.tables if table.task.id in PAPER_TABLE_1}
    if not tables:
        return
    yield "<section><h2>Table 1 of the paper, re-made</h2>"
    yield '<p class="told">Mean squared error of faces given again, lower is better.</p>'
    yield '<p class="warning">Rows of the paper are of other data: its TEAD was never released, and'
    yield "it does not say how its error is summed. They do not compete.</p>"
    yield '<div class="wide"><table><thead><tr><th>model</th>'
    yield "<th>TEAD</th><th>BEAT</th></tr></thead><tbody>"
    found: dict[str, list[str]] = {}
    for place, task in enumerate(PAPER_TABLE_1):
        for row in tables[task].rows if task in tables else ():
            if row.result.model.role == "oracle":
                continue
            cells = found.setdefault(_model(row), [""] * len(PAPER_TABLE_1))
            cells[place] = format_metric(row.result.main)
    for name, cells in found.items():
        yield f"<tr><td>{name}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    for place, how in enumerate(("without", "with")):
        cells = [f"{pair[place]:.3f}" for pair in PAPER_TABLE_1.values()]
        yield f'<tr class="aside"><td>the paper, {how} augmentation (other data)</td>'
        yield f"{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    yield "</tbody></table></div></section>"


def _skipped(board: Board) -> Iterator[str]:
    if not board.skipped:
        return
    yield '<section><h2>Not measured</h2><div class="wide"><table><thead><tr><th>model</th>'
    yield "<th>task</th><th>reason</th></tr></thead><tbody>"
    for skip in board.skipped:
        yield f"<tr><td>{_name(skip.model.name)}</td><td><code>{_plain(skip.task.id)}</code></td>"
        yield f'<td class="text">{_plain(skip.reason, 300)}</td></tr>'
    yield "</tbody></table></div></section>"


def _problems(board: Board) -> Iterator[str]:
    if not board.problems:
        return
    yield "<section><h2>Files left out</h2><ul>"
    yield from (f"<li>{_plain(line, 400)}</li>" for line in board.problems)
    yield "</ul></section>"


def _footer(board: Board) -> Iterator[str]:
    made = _distinct(
        row.result.environment.get("expclip", "") for table in board.tables for row in table.rows
    )
    told = f"Measured with expclip {_plain(', '.join(made))}. " if made else ""
    yield f"<footer>{told}Every number can be made again from the files beside the results:"
    yield "<code>expclip bench verify</code>.</footer>"


def _distinct(words: Iterable[str]) -> list[str]:
    return sorted({word for word in words if word})


def _rank(row: Row) -> str:
    return f"{row.rank} =" if row.tied and row.rank else row.rank


def _model(row: Row) -> str:
    model = row.result.model
    at = f" <small>{_plain(model.revision, 12)}</small>" if model.revision else ""
    role = "" if model.role == "model" else f'<span class="role">{model.role}</span>'
    return f"{_name(model.name)}{at}{role}"


def _name(name: str, longest: int = _LONGEST) -> str:
    return f'<span title="{_plain(name, 200)}">{_plain(name, longest)}</span>'


def _plain(text: str, longest: int = _LONGEST) -> str:
    """Return a text that shows, and is neither markup nor turns what stands beside it."""
    return html.escape(one_line(text, longest))


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
