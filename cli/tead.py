"""`expclip tead`: build, replay, prompts, validate, and what stands in files of its own."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from expclip.cli import augment, compare, publish, report

__all__ = ["app"]

app = typer.Typer(
    help="Emotional text in, a publishable TEAD out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.command(name="augment")(augment.augment)
app.command(name="compare")(compare.compare)
app.command(name="report")(report.report)
app.command(name="publish")(publish.publish)

_OUT = Path("out/tead")


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder of the data set.")] = _OUT,
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            help="core, grammar, a txt/csv/tsv/jsonl/parquet file, go_emotions, "
            "tweet_eval/emotion, or a Hub data set. May be given again. "
            "Default: core, and grammar up to 50,000 rows.",
        ),
    ] = None,
    llm: Annotated[str, typer.Option(help="Model name; 'offline' needs none.")] = "offline",
    base_url: Annotated[
        str | None, typer.Option(help="Any server that speaks OpenAI's chat completions.")
    ] = None,
    api_key_env: Annotated[
        str, typer.Option(help="Environment variable with the key.")
    ] = "OPENAI_API_KEY",
    backend: Annotated[
        str,
        typer.Option(
            help="server: one call a question; batch: OpenAI's Batch API; "
            "local: a transformers model, its folder or Hub name as --llm."
        ),
    ] = "server",
    prices: Annotated[
        str | None,
        typer.Option(metavar="IN,OUT", help="Of a million tokens, such as 0.15,0.60."),
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(help="Stop before all answers cost more; needs --prices.")
    ] = None,
    single_call: Annotated[
        bool, typer.Option("--single-call", help="One call a row instead of two.")
    ] = False,
    temperature: Annotated[
        float, typer.Option(help="Of the sampling; below 0 leaves it to the server.")
    ] = 0.3,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    attempts: Annotated[
        int, typer.Option(help="Times a question is asked before its row is rejected.")
    ] = 5,
    in_flight: Annotated[
        int, typer.Option(help="Most requests open at a time; fewer where more bring nothing.")
    ] = 64,
    max_tokens: Annotated[int, typer.Option(help="Limit of one answer.")] = 2048,
    timeout: Annotated[float, typer.Option(help="Longest wait for one answer, seconds.")] = 120.0,
    patience: Annotated[float, typer.Option(help="Longest silence of the server, seconds.")] = 60.0,
    prompts: Annotated[Path | None, typer.Option(help="Folder of your own prompts.")] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Name, or number from 1, of the text column.")
    ] = None,
    label_column: Annotated[str | None, typer.Option(help="The same of the human labels.")] = None,
    encoding: Annotated[str, typer.Option(help="Of local text files.")] = "utf-8",
    split: Annotated[str | None, typer.Option(help="Split of a Hub data set.")] = None,
    mask: Annotated[
        bool, typer.Option("--mask", help="Replace mentions and URLs in the texts.")
    ] = False,
    max_chars: Annotated[int, typer.Option(help="Longer texts are left out.")] = 1000,
    max_rows: Annotated[
        int | None, typer.Option(help="At most so many texts of each corpus.")
    ] = None,
    strength: Annotated[
        float, typer.Option(help="Multiplies every action unit; 0.7 is nearer to speech.")
    ] = 1.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a data set built otherwise.")
    ] = False,
) -> None:
    """Build a TEAD: corpus, LLM, parser, action units, blendshapes, Parquet, card.

    Stopped at any moment, the same command goes on where it was.
    """
    from expclip.cli.progress import AnnotationProgress
    from expclip.tead import BuildPlan, CorpusOptions, LlmOptions, Prices, Prompts
    from expclip.tead import build as build_tead

    llm_options = None
    if llm == "offline" and (backend != "server" or prices or max_cost):
        raise ValueError("--backend, --prices and --max-cost need an LLM: --llm NAME")
    if llm != "offline":
        llm_options = LlmOptions(
            model=llm,
            base_url=base_url,
            api_key_env=api_key_env,
            temperature=None if temperature < 0 else temperature,
            seed=seed,
            max_tokens=max_tokens,
            attempts=attempts,
            in_flight=in_flight,
            timeout_s=timeout,
            patience_s=patience,
            single_call=single_call,
            prices=Prices.parse(prices) if prices else None,
            max_cost=max_cost,
            backend=backend,
        )
    options = CorpusOptions(
        text_column=text_column,
        label_column=label_column,
        encoding=encoding,
        max_chars=max_chars,
        mask=mask,
        split=split,
        limit=max_rows,
        seed=seed,
    )
    plan = BuildPlan(
        corpora=tuple(corpus or BuildPlan.corpora),
        corpus=options,
        llm=llm_options,
        prompts=Prompts.load(prompts) if prompts else None,
        strength=strength,
    )
    start = time.monotonic()
    with AnnotationProgress() as progress:
        manifest = build_tead(out, plan, overwrite=overwrite, progress=progress)
    _tell(out, manifest, time.monotonic() - start)


@app.command()
def replay(
    out: Annotated[Path, typer.Argument(help="Folder of a data set built with an LLM.")] = _OUT,
) -> None:
    """Build a TEAD again from the answers on disk, with no call.

    For a newer parser or mapping: the answers stay, the rows are made anew.
    """
    from expclip.tead import build as build_tead
    from expclip.tead import read_plan

    start = time.monotonic()
    manifest = build_tead(out, read_plan(out), ask=False, overwrite=True)
    _tell(out, manifest, time.monotonic() - start)


@app.command()
def prompts(
    name: Annotated[str, typer.Argument(help="tags, situations or single.")] = "tags",
    folder: Annotated[Path | None, typer.Option(help="Folder of your own prompts.")] = None,
    text: Annotated[
        str, typer.Option(help="Text to ask about.")
    ] = "The last train left without me, and it started to snow.",
    as_json: Annotated[bool, typer.Option("--json", help="As the messages are sent.")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write the templates to this folder, to change them.")
    ] = None,
) -> None:
    """Print a prompt as a model gets it, worked examples included."""
    from expclip.tead import PROMPT_NAMES, Prompts

    loaded = Prompts.load(folder)
    if export is not None:
        for path in loaded.export(export):
            print(path)
        print(f"next: change them, then expclip tead build --prompts {export}")
        return
    if name not in PROMPT_NAMES:
        raise ValueError(f"no prompt {name!r}, expected one of {', '.join(PROMPT_NAMES)}")
    messages = loaded.messages(name, {"text": text, "emotions": "relief, exhaustion, gratitude"})
    if as_json:
        print(json.dumps(messages, indent=2, ensure_ascii=False))
        return
    for message in messages:
        print(f"--- {message['role']}\n{message['content']}")
    print(f"--- version {loaded.version}")


@app.command()
def validate(
    folder: Annotated[Path, typer.Argument(help="Folder of the data set.")] = _OUT,
    flag: Annotated[
        str | None,
        typer.Option(
            help="A plug-in, MODULE:FUNCTION: from a list of texts to True (toxic, say) or False."
        ),
    ] = None,
) -> None:
    """Check every row of a TEAD; exit status 1 if a rule is broken."""
    from expclip.tead import validate as validate_tead

    found = validate_tead(folder, flag=_load_flag(flag) if flag else None)
    rows = ", ".join(f"{count:,} {split}" for split, count in found.rows.items())
    print(f"{folder}: {rows}; {found.units_per_row:.2f} action units a row")
    for name, splits in found.augmented.items():
        print(f"{name}, augmented: " + ", ".join(f"{n:,} {split}" for split, n in splits.items()))
    print(f"prototype agreement {found.prototype_share:.1%}; content {found.content_sha256[:16]}")
    weakest = sorted(
        (hits / count, tag) for tag, (hits, count) in found.prototypes.items() if count >= 50
    )
    if weakest:
        told = ", ".join(f"{tag} {share:.0%}" for share, tag in weakest[:3])
        print(f"furthest from their prototype, of the tags in 50 rows or more: {told}")
    print(
        f"AU1 in {found.au1_share:.1%} of rows; fewer than 2 units or more than 9 in "
        f"{found.unusual_share:.1%}; letters not Latin {found.non_latin_share:.1%}"
    )
    print(f"nearly the same: {found.near_within:,} within a split, {found.near_across:,} across")
    for pair in found.near_examples[:3]:
        first, second = (repr(text[:100]) for text in pair.texts)
        print(f"  {pair.similarity:.2f} {first} / {second}")
    if found.empty_units:
        print("never shown: " + " ".join(f"AU{code}" for code in found.empty_units))
    for problem, (count, example) in found.warnings.items():
        print(f"warning: {problem}: {count:,} rows, first {example}")
    for problem, (count, example) in found.errors.items():
        print(f"error: {problem}: {count:,} rows, first {example}")
    if not found.ok:
        raise typer.Exit(1)
    print("every row keeps every rule")


def _load_flag(name: str) -> Callable[[Sequence[str]], Iterable[bool]]:
    """Return the function that MODULE:FUNCTION names."""
    from importlib import import_module

    module, _, function = name.partition(":")
    try:
        found: Callable[[Sequence[str]], Iterable[bool]] = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"--flag {name}: {error}, expected MODULE:FUNCTION") from None
    return found


def _tell(out: Path, manifest: Mapping[str, Any], seconds: float) -> None:
    """Print what was built, where it lies, and what to do next."""
    counts = manifest["counts"]
    print(
        f"{counts['rows']:,} rows ({counts['train']:,} train, {counts['test']:,} test) "
        f"in {seconds:.1f} s by {manifest['annotator']['llm']}"
    )
    if "usage" in manifest:
        print(_tell_usage(manifest["usage"]))
    for title in ("rejects", "left_out", "notes"):
        if counts[title]:
            told = ", ".join(f"{name} {count:,}" for name, count in counts[title].items())
            print(f"{title.replace('_', ' ')}: {told}")
    agreement = manifest["label_agreement"]
    if agreement:
        print(
            f"corpus label among the tags: {agreement['any_tag']:.3f} of {agreement['rows']:,} "
            f"labelled rows (first tag: {agreement['first_tag']:.3f})"
        )
    for path in (*manifest["files"], "rejects.parquet", "README.md", "manifest.json"):
        print(f"wrote {out / path}")
    print(f'load it: datasets.load_dataset("{out}")')
    print(f"next: expclip tead validate {out}")


def _tell_usage(usage: Mapping[str, Any]) -> str:
    """Return in words what the answers behind the rows took."""
    told = f"{usage['answers']:,} answers"
    if usage["unmeasured"]:
        return f"{told}; cost unknown: of {usage['unmeasured']:,} the server counted no tokens"
    told += f", {usage['tokens_in']:,} tokens in, {usage['tokens_out']:,} out"
    return told if usage["cost"] is None else f"{told}, cost {usage['cost']:.4f}"
