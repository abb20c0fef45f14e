"""The offline annotator against human labels, and against the core corpus.

Run: `python benchmarks/core/offline.py [goemotions_dev.tsv] [--embedding]`

A row is a hit if one of its human labels, or a synonym of one (label_synonyms.csv), is
its first tag, or among its tags. The peer, under the same rule on the same rows, takes
the label names nearest to the text by sentence embedding, as many as the annotator gave
tags.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from expclip.face import aus_from_codes
from expclip.tead import annotate_offline, matches_label, read_core, read_corpus
from expclip.tead.corpora.readers import GO_EMOTIONS
from expclip.tead.reports.agreement import cohen_kappa

USED = 0.02
"""A unit counts towards the mean kappa if more than so many rows show it."""


def report(name: str, tags: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]) -> None:
    """Print the shares of hits."""
    pairs = list(zip(tags, labels, strict=True))
    first = np.mean([matches_label(mine[:1], human) for mine, human in pairs])
    anywhere = np.mean([matches_label(mine, human) for mine, human in pairs])
    print(f"| {name} | {first:.3f} | {anywhere:.3f} | {np.mean(list(map(len, tags))):.2f} |")


def against_labels(path: str, *, embedding: bool) -> None:
    """Print the shares on a labelled corpus."""
    texts = read_corpus([path]).texts
    labels = [text.labels for text in texts]
    tags = [annotate_offline(text.text).emotions for text in texts]
    print(f"{len(texts)} rows of {path}\n\n| tags by | first tag | any tag | tags a row |")
    print("|---|---|---|---|")
    report("offline annotator", tags, labels)
    if embedding:
        from minilm import embed

        vectors, names = embed([text.text for text in texts]), embed(GO_EMOTIONS)
        nearest = np.argsort(-(vectors @ names.T), axis=1, kind="stable")
        taken = [
            [GO_EMOTIONS[i] for i in row[: len(mine)]]
            for row, mine in zip(nearest, tags, strict=True)
        ]
        report(f"nearest of {len(GO_EMOTIONS)} label names, MiniLM", taken, labels)


def against_core() -> None:
    """Print the agreement with core's own annotations."""
    rows = read_core()
    mine = [annotate_offline(row.text.text) for row in rows]
    theirs = [row.annotation for row in rows]
    same = np.mean([a.emotions[0] == b.emotions[0] for a, b in zip(mine, theirs, strict=True)])
    pairs = [(set(a.emotions), set(b.emotions)) for a, b in zip(mine, theirs, strict=True)]
    tags = np.mean([len(a & b) / len(a | b) for a, b in pairs])
    first, second = (
        np.array([aus_from_codes(one.au_codes) for one in side]) for side in (theirs, mine)
    )
    both_use = (first.mean(0) > USED) & (second.mean(0) > USED)
    kappa = cohen_kappa(first, second)[both_use]
    print(f"\n{len(rows)} rows of core: same first tag {same:.3f}, tag Jaccard {tags:.3f},")
    print(f"mean kappa {kappa.mean():.3f} over {len(kappa)} units that both use in over 2 %")


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labelled", nargs="?", help="a labelled corpus, as GoEmotions' dev.tsv")
    parser.add_argument("--embedding", action="store_true", help="measure MiniLM as well")
    args = parser.parse_args()
    if args.labelled:
        against_labels(args.labelled, embedding=args.embedding)
    against_core()


if __name__ == "__main__":
    main()
