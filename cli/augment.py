"""`expclip tead augment`: more texts for the same faces."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["augment"]


def augment(
    folder: Annotated[Path, typer.Argument(help="Folder of the data set.")] = Path("out/tead"),
    variants: Annotated[int, typer.Option(min=1, help="Variants of each text.")] = 6,
    operation: Annotated[
        list[str] | None,
        typer.Option(
            help="synonym, insertion, swap, deletion, stop_words or sentences. May be given "
            "again; variants take them in turn. Default: all.",
        ),
    ] = None,
    alpha: Annotated[float, typer.Option(help="Share of the words of a text to change.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    emotion_words: Annotated[
        str,
        typer.Option(help="same: replaced within their emotion; protect: never; free: as any."),
    ] = "same",
    wordnet: Annotated[
        Path | None,
        typer.Option(help="Folder of WordNet's files, or NLTK's wordnet.zip. Default: looked for."),
    ] = None,
    embedded_only: Annotated[
        bool, typer.Option("--embedded-only", help="No WordNet, even where there is one.")
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="Of the new configuration. Default: with -augmented.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Another folder, to hold originals and variants. Default: beside the originals."
        ),
    ] = None,
) -> None:
    """Write augmented texts beside a TEAD, as a configuration linked row by row."""
    import shlex

    from expclip.tead.augmentation.augment import Eda, augment_tead
    from expclip.tead.augmentation.synonyms import load_synonyms

    synonyms = load_synonyms(False if embedded_only else wordnet, emotion_words)
    eda = Eda(operation or (), alpha=alpha, synonyms=synonyms)
    print(f"synonyms: {eda.source}")
    manifest = augment_tead(folder, eda, seed=seed, variants=variants, name=name, out=out)
    folder = out or folder
    counts, config = manifest["counts"], manifest["config"]
    print(
        f"{counts['rows']:,} rows ({counts['train']:,} train, {counts['test']:,} test) "
        f"from {counts['originals']:,}"
    )
    left_out = {
        "unchanged": "had nothing to change",
        "repeated": "are in the data set already",
        "failed": "failed",
    }
    told = [f"{counts[key]:,} {words}" for key, words in left_out.items() if counts.get(key)]
    if told:
        print(f"left out: {', '.join(told)}")
    print(f"wrote {folder / 'data' / config}")
    print(f"wrote {folder / f'manifest-{config}.json'}")
    print(f'load it: datasets.load_dataset("{folder}", "{config}")')
    print(f"next: expclip tead validate {shlex.quote(str(folder))}")
