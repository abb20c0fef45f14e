"""`expclip bench`: anyone's model on shared tasks, and what came out of it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expclip.cli import bench_picture, bench_results, bench_study

if TYPE_CHECKING:
    from expclip.benchmarks.run import Evaluation
    from expclip.benchmarks.tasks import Sources

__all__ = ["app"]

app = typer.Typer(help="Measure any model on shared tasks.", no_args_is_help=True)
app.add_typer(bench_study.app, name="study")
for command in bench_results.COMMANDS:
    app.command()(command)
app.command()(bench_picture.picture)

_TEAD = Path("out/tead")
_RESULTS = Path("out/results")
_SMOKE_DRAWS = 500

_Data = Annotated[
    str | None,
    typer.Option("--data", help="A TEAD: folder or Hub id. Default: out/tead, if it is there."),
]
_Config = Annotated[str | None, typer.Option("--config", help="Of the TEAD, where it has several.")]
_Sequences = Annotated[
    Path | None, typer.Option("--sequences", help="A folder of ARKit recordings.")
]
_Beat = Annotated[Path | None, typer.Option("--beat", help="A folder of `expclip beat build`.")]
_Pairs = Annotated[
    Path | None, typer.Option("--pairs", help="A folder of sounds and recordings of one name.")
]
_Mead3d = Annotated[
    Path | None, typer.Option("--mead3d", help="A folder of `expclip mead3d build`.")
]
_Labels = Annotated[
    Path | None, typer.Option("--labels", help="A tsv of GoEmotions, or texts with its labels.")
]
_Basis = Annotated[
    Path | None, typer.Option("--basis", help="A mesh basis: distances in millimetres too.")
]
_Tasks = Annotated[
    list[str] | None,
    typer.Option("--task", help='An id, or "tead/t2e-*". May be given again. Default: all.'),
]
_Smoke = Annotated[
    bool, typer.Option("--smoke", help="Every task on tiny data made in memory: does it run?")
]
_Out = Annotated[Path, typer.Option("--out", help="Folder of results.")]
_Draws = Annotated[int, typer.Option(min=1, help="Draws of the bootstrap.")]
_Seed = Annotated[int, typer.Option(min=0, help="Of the bootstrap.")]


@app.command(name="list")
def list_tasks() -> None:
    """List the tasks, and the data that each is measured on."""
    from expclip.benchmarks.baselines import BASELINES
    from expclip.benchmarks.tasks import CATALOGUE

    wide = max(len(entry.id) for entry in CATALOGUE)
    for entry in CATALOGUE:
        print(f"{entry.id:{wide}}  {entry.title}  [{entry.data}]")
    print(f"\nbaselines: {', '.join(BASELINES)}")
    print("next: expclip bench run --model my_module:MyModel --smoke")


@app.command()
def run(
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="module:factory of the current folder, a checkpoint's folder, or a Hub id. "
            "May be given again.",
        ),
    ] = None,
    baselines: Annotated[
        list[str] | None,
        typer.Option("--baseline", help="See `expclip bench list`; `all` for all of them."),
    ] = None,
    tasks: _Tasks = None,
    data: _Data = None,
    config: _Config = None,
    sequences: _Sequences = None,
    beat: _Beat = None,
    pairs: _Pairs = None,
    mead3d: _Mead3d = None,
    labels: _Labels = None,
    basis: _Basis = None,
    out: _Out = _RESULTS,
    name: Annotated[
        str | None, typer.Option(help="Of the model in results, where there is but one.")
    ] = None,
    encoder: Annotated[
        str, typer.Option(help="Text features of the baselines nearest and ridge: or `words`.")
    ] = "minilm",
    batch: Annotated[int, typer.Option(min=1, help="Items given to a method at once.")] = 256,
    draws: _Draws = 10_000,
    seed: _Seed = 0,
    smoke: _Smoke = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Measure again what is measured.")
    ] = False,
) -> None:
    """Measure models, and write a result for each task that model and data allow.

    Stopped at any moment, the same command goes on where it was.
    """
    from expclip.benchmarks.loading import load_model
    from expclip.benchmarks.results.record import Statistics

    if not models and not baselines:
        if not smoke:
            raise ValueError("name a --model or a --baseline (see `expclip bench list`)")
        baselines = ["constant", "perfect"]
    if name is not None and len(models or ()) + len(baselines or ()) != 1:
        raise ValueError("--name is for one model")
    sources = _sources(data, config, sequences, beat, pairs, mead3d, labels, basis, smoke)
    features = {"nearest", "ridge", "all"} & {*(baselines or ())} and encoder != "words"
    if any(":" not in one for one in models or ()) or (features and not smoke):
        _quiet()
    subjects: list[Any] = [load_model(one) for one in models or ()]
    subjects += _baselines(baselines or (), sources, "words" if smoke else encoder)
    statistics = Statistics(min(draws, _SMOKE_DRAWS) if smoke else draws, seed)
    out = out / "smoke" if smoke else out
    done = [
        _measure(
            subject,
            tasks,
            data=sources,
            out=out,
            name=name,
            statistics=statistics,
            batch=batch,
            overwrite=overwrite,
        )
        for subject in subjects
    ]
    _finish(done, out)


@app.command()
def score(
    predictions: Annotated[Path, typer.Argument(help="An npz of saved answers.")],
    tasks: _Tasks = None,
    data: _Data = None,
    config: _Config = None,
    sequences: _Sequences = None,
    beat: _Beat = None,
    pairs: _Pairs = None,
    mead3d: _Mead3d = None,
    labels: _Labels = None,
    basis: _Basis = None,
    out: _Out = _RESULTS,
    name: Annotated[
        str | None, typer.Option(help="Of the model in results; the file's by default.")
    ] = None,
    draws: _Draws = 10_000,
    seed: _Seed = 0,
    smoke: _Smoke = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Measure again what is measured.")
    ] = False,
) -> None:
    """Score saved answers; the model is not needed. `expclip bench inputs` writes what is asked."""
    from expclip.benchmarks.predictions import read_predictions
    from expclip.benchmarks.results.record import Statistics

    answers = read_predictions(predictions)
    sources = _sources(data, config, sequences, beat, pairs, mead3d, labels, basis, smoke)
    statistics = Statistics(min(draws, _SMOKE_DRAWS) if smoke else draws, seed)
    out = out / "smoke" if smoke else out
    done = _measure(
        answers,
        tasks,
        data=sources,
        out=out,
        name=name,
        statistics=statistics,
        overwrite=overwrite,
    )
    _finish([done], out)


@app.command()
def inputs(
    tasks: _Tasks = None,
    data: _Data = None,
    config: _Config = None,
    sequences: _Sequences = None,
    beat: _Beat = None,
    pairs: _Pairs = None,
    mead3d: _Mead3d = None,
    labels: _Labels = None,
    out: Annotated[Path, typer.Option(help="Folder of what is asked.")] = Path("out/inputs"),
    smoke: _Smoke = False,
) -> None:
    """Write what the tasks ask, for a model that is run elsewhere and scored from a file."""
    from expclip.benchmarks.predictions import write_inputs
    from expclip.benchmarks.tasks import collect_tasks
    from expclip.face.errors import DataError

    sources = _sources(data, config, sequences, beat, pairs, mead3d, labels, None, smoke)
    chosen, left_out = collect_tasks(sources, tasks)
    _tell_skipped(left_out, tasks)
    if not chosen:
        raise DataError("no task has its data: name some (--data, --beat, ...)")
    counts = write_inputs(out, chosen)
    told = ", ".join(f"{count:,} of {kind}" for kind, count in counts.items() if count)
    print(f"wrote {out / 'inputs.jsonl'}: {told}")
    print("next: save the answers as an npz, and: expclip bench score predictions.npz")


def _sources(
    data: str | None,
    config: str | None,
    sequences: Path | None,
    beat: Path | None,
    pairs: Path | None,
    mead3d: Path | None,
    labels: Path | None,
    basis: Path | None,
    smoke: bool,
) -> Sources:
    """Return where the data lie; what is named must be there."""
    from expclip.benchmarks.tasks import Sources
    from expclip.face.errors import DataError

    for path in (sequences, beat, pairs, mead3d, labels, basis):
        if path is not None and not path.exists():
            raise DataError(f"{path}: no such file or folder")
    if data is None and not smoke and _TEAD.is_dir():
        data = str(_TEAD)
    return Sources(
        tead=data,
        config=config,
        sequences=sequences,
        beat=beat,
        pairs=pairs,
        mead3d=mead3d,
        labels=labels,
        basis=basis,
        smoke=smoke,
    )


def _quiet() -> None:
    """Turn off the bars of weights that are loaded, where there is what loads them."""
    from expclip.cli.train import quiet_loading
    from expclip.face.errors import MissingExtra

    with suppress(MissingExtra):  # the model says it better
        quiet_loading()


def _baselines(names: Sequence[str], sources: Sources, encoder: str) -> list[object]:
    from expclip.benchmarks.baselines import BASELINES, UNTAUGHT, baseline
    from expclip.benchmarks.protocols import Skip
    from expclip.face.errors import DataError

    every = [one for name in names for one in (BASELINES if name == "all" else (name,))]
    try:
        data = None if UNTAUGHT.keys() >= {*every} else sources.tead_data
        return [baseline(name, data, encoder=encoder) for name in every]
    except Skip as reason:
        raise DataError(f"baselines: {reason}") from None


def _measure(subject: object, tasks: Sequence[str] | None, **options: Any) -> Evaluation:
    """Measure one model; tell what it got, and why not in the other tasks."""
    from expclip.benchmarks.run import evaluate
    from expclip.cli.bars import WorkProgress

    with WorkProgress() as bar:
        found = evaluate(
            subject,
            tasks,
            progress=lambda task, done, total: bar.show("tasks", done, total, lambda _: task),
            **options,
        )
    print(f"{found.model.name}:")
    wide = max([len(one.task.id) for one in found.measured], default=0)
    for one in found.measured:
        main = one.metrics[one.task.main]
        again = ", from an earlier run" if one.resumed else ""
        print(f"  {one.task.id:{wide}}  {one.task.main} {main.value:.4f} "
              f"({main.low:.4f} to {main.high:.4f}{again})")  # fmt: skip
    _tell_skipped(found.skipped, tasks)
    return found


def _tell_skipped(skipped: Any, tasks: Sequence[str] | None) -> None:
    """Tell why tasks are left out: one line a reason, and a task that was asked for by name."""
    reasons: dict[str, list[str]] = {}
    for task, reason in skipped.items():
        reasons.setdefault(reason, []).append(task)
    for reason, left in reasons.items():
        named = ", ".join(left) if tasks or len(left) < 4 else f"{left[0]} and {len(left) - 1} more"
        print(f"  skipped {named}: {reason}")


def _finish(done: Sequence[Evaluation], out: Path) -> None:
    from expclip.face.errors import DataError

    if not any(found.measured for found in done):
        raise DataError("nothing was measured: see the reasons above")
    folders = sorted({str(one.path.parent) for found in done for one in found.measured if one.path})
    for folder in folders:
        print(f"wrote {folder}")
    print(f"next: expclip bench report {shlex.quote(str(out))}")
