"""`expclip bench`: anyone's model on shared tasks, and what came out of it."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expclip.cli import bench_picture, bench_results, bench_study

if TYPE_CHECKING:
    from expclip.benchmarks.run import Evaluation
    from expclip.benchmarks.tasks import Sources

__all__ = ["app"]

app = typer.Typer(help="Measure any model on shared tasks.", no_args_is_help=True)

_TEAD = Path("out/tead")
_RESULTS = Path("out/results")
_SMOKE_DRAWS = 500

_Data = Annotated[
    str | None,
    typer.Option("--data", help="A TEAD: folder or Hub id. Default: out/tead, if it is there."),
]
_Config = Annotated[
    str | None, typer.Option("--config", help="Config of the TEAD, where it has several.")
]
_Sequences = Annotated[
    Path | None,
    typer.Option("--sequences", help="Folder of ARKit recordings, in any layout we read."),
]
_Beat = Annotated[
    Path | None, typer.Option("--beat", help="Folder that `expclip beat build` wrote.")
]
_Pairs = Annotated[
    Path | None,
    typer.Option("--pairs", help="Folder of sounds and ARKit recordings: a.wav and a.csv."),
]
_Mead3d = Annotated[
    Path | None, typer.Option("--mead3d", help="Folder that `expclip mead3d build` wrote.")
]
_Labels = Annotated[
    Path | None, typer.Option("--labels", help="File of texts with GoEmotions' labels: its tsv.")
]
_Basis = Annotated[
    Path | None,
    typer.Option("--basis", help="Mesh basis, for millimetres: folder or zip of OBJ, or npz."),
]
_Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        metavar="ID",
        help='A task, or several: "tead/t2e-*". May be given again. Default: all that the data '
        "allow.",
    ),
]
_Smoke = Annotated[
    bool,
    typer.Option("--smoke", help="Tiny data made in memory, for every task: does it run?"),
]
_Out = Annotated[Path, typer.Option("--out", help="Folder of results; --smoke's lie in smoke/.")]
_Draws = Annotated[
    int,
    typer.Option(
        min=1, help=f"Bootstrap draws of an interval; with --smoke at most {_SMOKE_DRAWS}."
    ),
]
_Seed = Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")]
_Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Measure again what is measured already.")
]
_PROTOCOLS = """\
class    distinct texts against distinct expressions; right is what some row has together
graded   the same; gain is the overlap of action units
diverse  256 expressions as different as can be, a text each
batch32  mean over all galleries of 32"""
_KINDS = {"text": "texts", "face": "faces", "image": "images", "speech": "clips of speech"}
_OPTIONS = """\
[tead] is --data, [beat] --beat, and so on; [synthetic] is made here and needs none."""


@app.command(name="list")
def list_tasks() -> None:
    """List the tasks, and the data that each is measured on."""
    from expclip.benchmarks.baselines import BASELINES
    from expclip.benchmarks.tasks import CATALOGUE

    wide = max(len(entry.id) for entry in CATALOGUE)
    for entry in CATALOGUE:
        print(f"{entry.id:{wide}}  {entry.title}  [{entry.data}]")
    print(f"\n{_PROTOCOLS}\n\n{_OPTIONS}")
    print(f"baselines: {', '.join(BASELINES)}")
    print("next: expclip bench run --model my_module:MyModel --smoke")


@app.command()
def run(
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="module:factory or file.py:factory (a class, a function, or an object), a "
            "checkpoint's folder, or a Hub id. May be given again.",
        ),
    ] = None,
    baselines: Annotated[
        list[str] | None,
        typer.Option(
            "--baseline",
            metavar="NAME",
            help="One that `expclip bench list` names; `all` for all. May be given again.",
        ),
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
        str | None,
        typer.Option(help="Name in results, for one model. Default: its `name`, or its class."),
    ] = None,
    encoder: Annotated[
        str,
        typer.Option(help="Text features of nearest and ridge; `words` needs no weights."),
    ] = "minilm",
    batch: Annotated[int, typer.Option(min=1, help="Items given to a method at once.")] = 256,
    draws: _Draws = 10_000,
    seed: _Seed = 0,
    smoke: _Smoke = False,
    overwrite: _Overwrite = False,
) -> None:
    """Measure models, and write a result for each task that model and data allow.

    Stopped at any moment, the same command goes on where it was.
    """
    from expclip.benchmarks.loading import load_model
    from expclip.benchmarks.results.record import Statistics
    from expclip.benchmarks.run import name_model
    from expclip.cli.train import quiet_loading

    if not models and not baselines:
        if not smoke:
            raise ValueError("name a --model or a --baseline (see `expclip bench list`)")
        baselines = ["constant", "perfect"]
    if name is not None and len(models or ()) + len(baselines or ()) != 1:
        raise ValueError("--name is for one model")
    sources = _sources(data, config, sequences, beat, pairs, mead3d, labels, basis, smoke)
    features = {"nearest", "ridge", "all"} & {*(baselines or ())} and encoder != "words"
    if any(":" not in one for one in models or ()) or (features and not smoke):
        quiet_loading(missing_ok=True)
    subjects: list[Any] = [load_model(one) for one in models or ()]
    subjects += _baselines(baselines or (), sources, "words" if smoke else encoder)
    called = Counter(name_model(one, name) for one in subjects).most_common(1)[0]
    if called[1] > 1:
        raise ValueError(f"{called[1]} models are called {called[0]!r}: measure each in a run of "
                         "its own, with a --name")  # fmt: skip
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
    told = ", ".join(f"{count:,} {_KINDS[kind]}" for kind, count in counts.items())
    print(f"wrote {out / 'inputs.jsonl'}: {told}")
    print("next: save the answers (how: expclip bench score --help), and:")
    named = {"data": data, "config": config, "sequences": sequences, "beat": beat,
             "pairs": pairs, "mead3d": mead3d, "labels": labels}  # fmt: skip
    rest = [f"--{option}={place}" for option, place in named.items() if place is not None]
    rest += [f"--task={one}" for one in tasks or ()] + ["--smoke"] * smoke
    print(f"expclip bench score answers.npz {shlex.join(rest)}".rstrip())


@app.command()
def score(
    predictions: Annotated[Path, typer.Argument(help="Saved answers, an npz as told above.")],
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
        str | None, typer.Option(help="Name in results. Default: the npz's, or the file's.")
    ] = None,
    draws: _Draws = 10_000,
    seed: _Seed = 0,
    smoke: _Smoke = False,
    overwrite: _Overwrite = False,
) -> None:
    """Score saved answers: no model is needed.

    `expclip bench inputs` writes what is asked. The npz has two arrays for a METHOD, such as
    text_to_expression: METHOD.ids, the ids of inputs.jsonl as strings, and METHOD.values, a
    row of numbers for each. In NumPy:

    np.savez("answers.npz", **{"text_to_expression.ids": ids, "text_to_expression.values": rows})

    METHOD is text_to_expression or encode_text of a text, encode_expression or reconstruct of
    a face, encode_image of an image. Of speech it is animate: animate.values has the frames of
    all clips, one after the other, animate.frames how many each has, animate.fps the rate. A
    string called name names the model.
    """
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
        batch=sys.maxsize,  # a task's answers at once: those that are missing are counted
        overwrite=overwrite,
    )
    _finish([done], out)


for command in (bench_picture.picture, *bench_results.COMMANDS):
    app.command()(command)
app.add_typer(bench_study.app, name="study")


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


def _baselines(names: Sequence[str], sources: Sources, encoder: str) -> list[object]:
    from expclip.benchmarks.baselines import BASELINES, UNTAUGHT, baseline
    from expclip.benchmarks.protocols import Skip
    from expclip.face.errors import DataError, MissingExtra, ModelError

    every = [one for name in names for one in (BASELINES if name == "all" else (name,))]
    try:
        data = None if UNTAUGHT.keys() >= {*every} else sources.tead_data
        return [baseline(name, data, encoder=encoder) for name in every]
    except Skip as reason:
        raise DataError(f"baselines: {reason}") from None
    except MissingExtra as error:  # or the model's folder has a module of the package's name
        file = getattr(sys.modules.get(str(error).partition(" ")[0]), "__file__", None)
        if file is None or "site-packages" in Path(file).parts:
            raise
        raise ModelError(
            f"{file} hides a package that the baselines need: measure them in a run of their own"
        ) from None


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
    if replaced := sum(one.replaced for one in found.measured):
        print(f"  replaced {replaced} of another model of this name: --name keeps both")
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
