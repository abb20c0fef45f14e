"""Does core teach? Ridge regression on frozen sentence embeddings, tested on human labels.

Run: `python benchmarks/core/teaches.py goemotions_dev.tsv`

The same encoder (MiniLM) and the same regression from text to first tag are trained on
the grammar's rows, on core, and on both, and tested on the comments of GoEmotions, which
neither has seen. The 105 tags are joined to its 28 labels by `labels.csv`. An answer is
right if it is one of the row's human labels. The strength of the ridge is chosen on a
fifth of the training rows, never on the test.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from minilm import embed

from expclip.tead import SourceText, grammar_texts, read_core, read_corpus
from expclip.tead.corpora.readers import GO_EMOTIONS

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
DRAWS = 2000


def joined() -> dict[str, str]:
    """Return the GoEmotions label of each emotion."""
    with Path(__file__).with_name("labels.csv").open(encoding="utf-8", newline="") as file:
        return {row["emotion"]: row["label"] for row in csv.DictReader(file)}


def ridge(vectors: np.ndarray, classes: np.ndarray, strength: float, *, level: bool) -> np.ndarray:
    """Return the weights (dim + 1, labels) of a ridge regression to one-hot labels.

    With ``level`` every label weighs the same in all, however often it comes.
    """
    inputs = np.hstack([vectors, np.ones((len(vectors), 1), np.float32)])
    targets = np.eye(len(GO_EMOTIONS))[classes]
    counts = np.bincount(classes, minlength=len(GO_EMOTIONS))
    even = len(classes) / np.maximum(counts, 1) / (counts > 0).sum()
    weights = (even if level else np.ones(len(counts)))[classes, None]
    gram = inputs.T @ (inputs * weights)
    penalty = strength * np.eye(inputs.shape[1])
    penalty[-1, -1] = 0
    return np.linalg.solve(gram + penalty, inputs.T @ (targets * weights))


def predict(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the index of the strongest label of each row."""
    return (vectors @ weights[:-1] + weights[-1]).argmax(axis=1)


def fit(vectors: np.ndarray, classes: np.ndarray, *, level: bool) -> np.ndarray:
    """Return the weights of the best strength on a held-out fifth, refitted on all rows."""
    order = np.random.default_rng(0).permutation(len(classes))
    held, kept = order[: len(order) // 5], order[len(order) // 5 :]
    scores = {}
    for strength in STRENGTHS:
        weights = ridge(vectors[kept], classes[kept], strength, level=level)
        right = predict(vectors[held], weights) == classes[held]
        per_label = [right[classes[held] == k].mean() for k in np.unique(classes[held])]
        scores[strength] = np.mean(per_label) if level else right.mean()
    return ridge(vectors, classes, max(scores, key=scores.__getitem__), level=level)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("test", help="dev.tsv of GoEmotions")
    parser.add_argument("--grammar", type=int, default=42_212, help="rows of the grammar")
    args = parser.parse_args()
    join = joined()

    def encode(rows: list[tuple[SourceText, str]]) -> tuple[np.ndarray, np.ndarray]:
        known = [(text.text, join[tag]) for text, tag in rows if tag in join]
        classes = np.array([GO_EMOTIONS.index(label) for _, label in known])
        return embed([text for text, _ in known]), classes

    core = encode([(row.text, row.annotation.emotions[0]) for row in read_core()])
    grammar = encode([(text, text.labels[0]) for text in grammar_texts(args.grammar)])
    test = read_corpus([args.test]).texts
    vectors = embed([text.text for text in test])
    right = np.array([[label in text.labels for label in GO_EMOTIONS] for text in test])

    few = np.random.default_rng(0).permutation(len(grammar[1]))[: len(core[1])]
    both = tuple(np.concatenate(pair) for pair in zip(core, grammar, strict=True))
    sets = {
        "grammar": grammar,
        "grammar, as many rows as core": (grammar[0][few], grammar[1][few]),
        "core": core,
        "core and grammar": both,
    }
    draws = np.random.default_rng(0).integers(0, len(test), (DRAWS, len(test)))
    felt = right[:, :-1].any(axis=1)
    print(f"{len(test)} rows of GoEmotions; 95 % bootstrap intervals")
    for level in (True, False):
        title = "every label weighs the same" if level else "labels weigh as often as they come"
        print(f"\n{title}\n\n| trained on | rows | accuracy | on rows with a feeling |")
        print("|---|---|---|---|")
        hits = {}
        for name, data in sets.items():
            answers = predict(vectors, fit(*data, level=level))
            hit = hits[name] = right[np.arange(len(test)), answers]
            low, high = np.percentile(hit[draws].mean(axis=1), [2.5, 97.5])
            share = f"{hit.mean():.3f} ({low:.3f}-{high:.3f})"
            print(f"| {name} | {len(data[1]):,} | {share} | {hit[felt].mean():.3f} |")
        gain = hits["core"].astype(float) - hits["grammar"]
        low, high = np.percentile(gain[draws].mean(axis=1), [2.5, 97.5])
        print(f"\ncore less grammar, paired: {gain.mean():+.3f} ({low:+.3f} to {high:+.3f})")
    print(f"\nalways neutral: {right[:, GO_EMOTIONS.index('neutral')].mean():.3f}")


if __name__ == "__main__":
    main()
