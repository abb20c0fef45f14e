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
from expclip.tead.readers import GO_EMOTIONS

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
DRAWS = 2000


def joined() -> dict[str, str]:
    """Return the GoEmotions label of each emotion."""
    with Path(__file__).with_name("labels.csv").open(encoding="utf-8", newline="") as file:
        return {row["emotion"]: row["label"] for row in csv.DictReader(file)}


def ridge(vectors: np.ndarray, classes: np.ndarray, strength: float) -> np.ndarray:
    """Return the weights (dim + 1, labels) of a ridge regression to one-hot labels.

    Every label weighs the same in all: the corpora name them with different frequency.
    """
    inputs = np.hstack([vectors, np.ones((len(vectors), 1), np.float32)])
    targets = np.eye(len(GO_EMOTIONS))[classes]
    counts = np.bincount(classes, minlength=len(GO_EMOTIONS))
    weights = (len(classes) / np.maximum(counts, 1) / (counts > 0).sum())[classes, None]
    gram = inputs.T @ (inputs * weights)
    penalty = strength * np.eye(inputs.shape[1])
    penalty[-1, -1] = 0
    return np.linalg.solve(gram + penalty, inputs.T @ (targets * weights))


def predict(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the index of the strongest label of each row."""
    return (vectors @ weights[:-1] + weights[-1]).argmax(axis=1)


def fit(vectors: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the weights of the best strength on a held-out fifth, refitted on all rows."""
    order = np.random.default_rng(0).permutation(len(classes))
    held, kept = order[: len(order) // 5], order[len(order) // 5 :]
    scores = {}
    for strength in STRENGTHS:
        answers = predict(vectors[held], ridge(vectors[kept], classes[kept], strength))
        scores[strength] = (answers == classes[held]).mean()
    return ridge(vectors, classes, max(scores, key=scores.__getitem__))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("test", help="dev.tsv of GoEmotions")
    parser.add_argument("--grammar", type=int, default=46_000, help="rows of the grammar")
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
    hits = {
        name: right[np.arange(len(test)), predict(vectors, fit(*data))]
        for name, data in sets.items()
    }
    hits["always neutral"] = right[:, GO_EMOTIONS.index("neutral")]
    draws = np.random.default_rng(0).integers(0, len(test), (DRAWS, len(test)))
    felt = right[:, :-1].any(axis=1)
    print(f"{len(test)} rows of GoEmotions; 95 % bootstrap intervals\n")
    print("| trained on | rows | accuracy | on rows with a feeling |\n|---|---|---|---|")
    for name, hit in hits.items():
        low, high = np.percentile(hit[draws].mean(axis=1), [2.5, 97.5])
        rows = len(sets[name][1]) if name in sets else 0
        share = f"{hit.mean():.3f} ({low:.3f}-{high:.3f})"
        print(f"| {name} | {rows:,} | {share} | {hit[felt].mean():.3f} |")
    gain = hits["core"].astype(float) - hits["grammar"]
    low, high = np.percentile(gain[draws].mean(axis=1), [2.5, 97.5])
    print(f"\ncore less grammar, paired: {gain.mean():+.3f} ({low:+.3f} to {high:+.3f})")


if __name__ == "__main__":
    main()
