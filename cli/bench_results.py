"""`expclip bench compare|verify|...`: what is done with results that are there."""

from __future__ import annotations

import math
import shlex
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from expclip.benchmarks.board.hub import PublishedResults
    from expclip.benchmarks.results.compare import Difference
    from expclip.benchmarks.tasks import Task

__all__ = ["COMMANDS"]

_SHOWN = 5
_DIGITS, _ROUNDING, _LEAST_P = 9, 1e-12, 0.0001
_RESULTS = Path("out/results")


def compare(
    first: Annotated[Path, typer.Argument(help="A model's folder of results, or one result.")],
    second: Annotated[Path, typer.Argument(help="Another's.")],
    every: Annotated[
        bool, typer.Option("--all", help="All metrics, not only those that rank.")
    ] = False,
) -> None:
    """Compare two models, query by query: differences, their intervals, and how sure they are."""
    from expclip.benchmarks.results.compare import compare as compare_results

    found = compare_results(first, second)
    print(f"a: {found.a}\nb: {found.b}\n")
    for line in _tell_differences([one for one in found.differences if one.main or every]):
        print(line)
    if found.alone:
        print(f"\nof one model only: {', '.join(found.alone)}")
    print(f"\nnext: expclip bench verify {shlex.quote(str(first))}")


def verify(
    results: Annotated[
        Path, typer.Argument(help="A result, a model's folder, or the folder of all.")
    ],
    inputs: Annotated[
        list[Path] | None,
        typer.Option(
            "--inputs",
            metavar="FOLDER",
            help="The data measured on: their files are checked. May be given again.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="The TEAD measured on: its tasks are built again, and compared."),
    ] = None,
) -> None:
    """Check that results are as they were written: every hash, and every number again."""
    from expclip.benchmarks.results.verification import verify as verify_results
    from expclip.benchmarks.tasks import Sources, collect_tasks
    from expclip.face.errors import DataError

    tasks: Sequence[Task] = ()
    if data is not None:
        tasks, _ = collect_tasks(Sources(tead=data), ["tead/*"])
    found = verify_results(results, inputs=inputs or (), tasks=[task.info for task in tasks])
    for problem in found.problems:
        print(problem)
    if found.unseen:
        more = len(found.unseen) - _SHOWN
        rest = f" and {more} more" if more > 0 else ""
        print(f"not checked: {', '.join(found.unseen[:_SHOWN])}{rest}")
        print("name the data to check these too: --data, --inputs")
    if not found.ok:
        count = len(found.problems)
        faults = "1 fault" if count == 1 else f"{count} faults"
        raise DataError(f"{results}: {faults} in {found.checked} results")
    print(f"{results}: {found.checked} results are as they were written")
    print(f"next: expclip bench report {shlex.quote(str(results))}")


def report(
    results: Annotated[Path, typer.Argument(help="Folder of results.")] = _RESULTS,
    out: Annotated[
        Path | None, typer.Option(help="Folder of tables and plots. Default: that of the results.")
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the page and the tables.")] = "Leaderboard",
) -> None:
    """Write the leaderboard as Markdown and HTML: intervals, ranges of ranks, plots."""
    from expclip.benchmarks.board.report import write_leaderboard

    found = write_leaderboard(results, out, title=title)
    for problem in found.board.problems:
        print(f"left out: {problem}")
    for path in (found.markdown, found.page):
        print(f"wrote {path}")
    print(f"wrote {len(found.plots)} plots in {found.page.parent / 'plots'}")
    print(f"next: expclip bench verify {shlex.quote(str(results))}")


def publish(
    folder: Annotated[Path, typer.Argument(help="One model's folder of results.")],
    *,
    repo: Annotated[str, typer.Option(help="OWNER/NAME of the model on the Hub.")],
    dataset: Annotated[str, typer.Option(help="OWNER/NAME of the data set measured on.")],
    revision: Annotated[
        str | None, typer.Option(help="Commit of the data set that was measured on.")
    ] = None,
    sidecars: Annotated[
        bool, typer.Option("--sidecars", help="Send the values of each query too: with texts.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent.")] = False,
    endpoint: Annotated[
        str | None, typer.Option(help="Another Hub; by default HF_ENDPOINT, or huggingface.co.")
    ] = None,
) -> None:
    """Publish a model's results in its Hub repository, where the Hub shows them.

    Log in first with `hf auth login`, or set HF_TOKEN.
    """
    from expclip.benchmarks.board.hub import publish_results

    found = publish_results(
        folder,
        repo,
        dataset=dataset,
        revision=revision,
        sidecars=sidecars,
        dry_run=dry_run,
        endpoint=endpoint,
    )
    _tell_sent(found, dry_run)


def publish_tasks(
    *,
    repo: Annotated[str, typer.Option(help="OWNER/NAME of the TEAD on the Hub.")],
    data: Annotated[
        str | None, typer.Option(help="The same TEAD in a folder. Default: from the Hub.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="Config of the TEAD, where it has several.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent.")] = False,
    endpoint: Annotated[
        str | None, typer.Option(help="Another Hub; by default HF_ENDPOINT, or huggingface.co.")
    ] = None,
) -> None:
    """Publish eval.yaml, which makes a published TEAD a benchmark of these tasks."""
    from expclip.benchmarks.board.hub import publish_benchmark
    from expclip.benchmarks.tasks import Sources, collect_tasks

    sources = Sources(tead=data or repo, config=config)
    tasks, _ = collect_tasks(sources, ["tead/*"])
    found = publish_benchmark(
        repo,
        [task.info for task in tasks],
        config=sources.tead_data.name,
        dry_run=dry_run,
        endpoint=endpoint,
    )
    _tell_sent(found, dry_run)


def _tell_differences(shown: Sequence[Difference]) -> Iterator[str]:
    """Yield a table, without the columns in which nothing stands, and what it tells."""
    level = " or ".join(f"{level:.0%}" for level in sorted({one.level for one in shown}))
    told = "task", "metric", "better", "a", "b", f"a - b [{level}]"
    heads = *told, "p", "p (Holm)", "p (McNemar)", "detectable"
    cells = zip(heads, *map(_difference_cells, shown), strict=True)
    columns = [column for column in cells if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    head, *lines = zip(*columns, strict=True)
    for line in (head, ["-" * width for width in widths], *lines):
        texts = [text.ljust(width) for text, width in zip(line[:3], widths[:3], strict=True)]
        texts += [text.rjust(width) for text, width in zip(line[3:], widths[3:], strict=True)]
        yield f"| {' | '.join(texts)} |"
    yield ""
    yield "p: paired sign flips over clusters. Holm: adjusted for all tasks compared."
    if any(one.p_mcnemar is not None for one in shown):
        yield "McNemar: exact, where each query is right or wrong, and a cluster of its own."
    yield "detectable: a difference that as many queries would show four times in five."


def _difference_cells(one: Difference) -> tuple[str, ...]:
    """Return the cells of a row; digits as far as the interval is sure, and one more."""
    sure = next((x for x in (one.high - one.low, abs(one.value)) if x > _ROUNDING), 0.01)
    digits = max(0, min(_DIGITS, 2 - math.floor(math.log10(sure))))
    ends = f"[{one.low:+.{digits}f}, {one.high:+.{digits}f}]"
    varies = one.detectable is not None and one.detectable > _ROUNDING
    return (
        one.task,
        one.metric,
        {True: "higher", False: "lower", None: ""}[one.higher_is_better],
        f"{one.a:.{digits}f}",
        f"{one.b:.{digits}f}",
        f"{one.value:+.{digits}f} {ends}",
        *(_p_cell(p) for p in (one.p, one.p_holm, one.p_mcnemar)),
        f"{one.detectable:.{digits}f}" if varies else "",
    )


def _p_cell(p: float | None) -> str:
    if p is None:
        return ""
    return f"{p:.4f}" if p >= _LEAST_P else f"<{_LEAST_P}"


def _tell_sent(found: PublishedResults, dry_run: bool) -> None:
    for name, content in sorted(found.files.items()):
        print(f"{'would send' if dry_run else 'sent'} {name} ({len(content):,} bytes)")
        if dry_run and name.endswith(".yaml"):  # what the Hub shows
            print(textwrap.indent(content.decode(), "  "), end="")
    for name in found.unchanged:
        print(f"there already: {name}")
    if not found.reached:
        print("the Hub was not reached: what it has already would not be sent")
    if dry_run:
        print(f"next: the same without --dry-run publishes to {found.url}")
    else:
        print(f"published: {found.url}")


COMMANDS = (compare, verify, report, publish, publish_tasks)
