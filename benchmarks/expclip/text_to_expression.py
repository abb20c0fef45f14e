"""Does a decoded face show what people say a text expresses? GoEmotions, never trained on.

Run: `python benchmarks/expclip/text_to_expression.py goemotions_dev.tsv --model out/expclip`

The answer of a face is the label whose prototypical face is nearest; it is right if it is
one of the row's human labels. Labels whose prototypes are the same face share the answer.
"all rows": nearest by Euclidean distance among all 28 labels, neutral included. "rows with
a feeling": of the rows that have a label other than neutral, nearest by cosine, among the
27. Beside the model, from the same frozen features:

- chance: any label;
- names: the label whose name is nearest to the text;
- ridge to faces: linear regression to the weights, on the same TEAD; answers as the model;
- ridge to labels: to the label of the first tag, on the same TEAD;
- ridge on GoEmotions: to the human labels, five-fold on the rows themselves: what is in
  the features.

Strengths of the ridge are chosen on a fifth of the training rows. The last column is by how
much ExpCLIP is right more often on the rows with a feeling, row by row.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from expclip.face import blendshapes_from_aus
from expclip.models import ExpCLIP, FeatureCache
from expclip.models.encoders import text_encoder
from expclip.models.expclip.data import read_tead
from expclip.tead import prototypes, read_corpus
from expclip.tead.corpora.readers import GO_EMOTIONS

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
DRAWS = 2000
NEUTRAL = GO_EMOTIONS.index("neutral")
FOLDS = 5


def prototype_faces() -> np.ndarray:
    """Return the face of each label (28, 52)."""
    faces = [[f"AU{code}" for code in prototypes()[name].units] for name in GO_EMOTIONS]
    return np.array([blendshapes_from_aus(units) for units in faces])


def face_scores(faces: np.ndarray, cosine: bool) -> np.ndarray:
    """Return how near each face is to each label's (rows, 28)."""
    shapes = prototype_faces()
    if not cosine:
        return -np.linalg.norm(faces[:, None] - shapes, axis=2)
    lengths = np.linalg.norm(faces, axis=1)[:, None] * np.linalg.norm(shapes, axis=1)
    return faces @ shapes.T / np.maximum(lengths, 1e-9)


def hits(scores: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the share of the best labels that are right, row by row; ties share."""
    best = scores >= scores.max(axis=1, keepdims=True) - 1e-6
    return (best & right).sum(axis=1) / best.sum(axis=1)


def ridge(inputs: np.ndarray, targets: np.ndarray, strength: float) -> np.ndarray:
    """Return weights and offsets (dim + 1, targets)."""
    rows = np.hstack([inputs, np.ones((len(inputs), 1), inputs.dtype)]).astype(np.float64)
    penalty = strength * np.eye(rows.shape[1])
    penalty[-1, -1] = 0
    return np.linalg.solve(rows.T @ rows + penalty, rows.T @ targets)


def fit(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the ridge of the strength that is best on a held-out fifth."""
    order = np.random.default_rng(0).permutation(len(inputs))
    held, kept = order[: len(order) // 5], order[len(order) // 5 :]
    errors = {
        strength: np.square(
            predict(ridge(inputs[kept], targets[kept], strength), inputs[held]) - targets[held]
        ).mean()
        for strength in STRENGTHS
    }
    return ridge(inputs, targets, min(errors, key=errors.__getitem__))


def predict(weights: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Return what a ridge gives."""
    return inputs @ weights[:-1] + weights[-1]


def cross_validated(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the scores of rows by ridges that have not seen them."""
    fold = np.random.default_rng(0).integers(0, FOLDS, len(inputs))
    scores = np.zeros_like(targets)
    for number in range(FOLDS):
        out = fold == number
        scores[out] = predict(fit(inputs[~out], targets[~out]), inputs[out])
    return scores


def tag_labels(tags: Sequence[str]) -> np.ndarray:
    """Return the label of each row's first tag, as one-hot rows; all 0 where there is none."""
    path = Path(__file__).parents[1] / "core" / "labels.csv"
    with path.open(encoding="utf-8", newline="") as file:
        joined = {row["emotion"]: row["label"] for row in csv.DictReader(file)}
    labels = [joined.get(tag.split(", ")[0], "") for tag in tags]
    return np.array([[label == name for name in GO_EMOTIONS] for label in labels], float)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("test", help="dev.tsv of GoEmotions")
    parser.add_argument("--model", default="out/expclip")
    parser.add_argument("--data", default="out/tead", help="the TEAD that it was trained on")
    args = parser.parse_args()
    model, cache = ExpCLIP.from_pretrained(args.model), FeatureCache()
    encoder = text_encoder(model.config.text_encoder)
    tead = read_tead(args.data)
    prompts = tead.train.prompts
    rows = read_corpus([args.test]).texts
    right = np.array([[name in row.labels for name in GO_EMOTIONS] for row in rows])
    test = cache.encode_texts(encoder, [row.text for row in rows])
    names = cache.encode_texts(encoder, list(GO_EMOTIONS))
    texts = cache.encode_texts(encoder, tead.texts)
    targets = tag_labels([tead.strings[item] for item in prompts["tags"].items[:, 0]])
    known = targets.any(axis=1)

    decoded = model.text_to_expression([row.text for row in rows])
    linear = predict(fit(texts, tead.train.faces), test).clip(0, 1)
    scores = {
        "chance": np.zeros(right.shape),
        "names, same encoder": test @ names.T,
        "ridge to faces, same TEAD": linear,
        "ridge to labels, same TEAD": predict(fit(texts[known], targets[known]), test),
        f"ExpCLIP ({model.name})": decoded,
        "ridge on GoEmotions itself": cross_validated(test, right.astype(float)),
    }
    felt = np.delete(right, NEUTRAL, axis=1).any(axis=1)
    answers = {name: answer(found, right, felt) for name, found in scores.items()}
    ours = next(feeling for name, (_, feeling) in answers.items() if name.startswith("ExpCLIP"))
    print(f"{len(rows)} rows, {felt.sum()} with a feeling; 95 % bootstrap intervals\n")
    print("| answers by | all rows | rows with a feeling | ExpCLIP more by |\n|---|---|---|---|")
    for name, (everything, feeling) in answers.items():
        columns = [interval(everything), interval(feeling), interval(ours - feeling)]
        print(f"| {name} | {' | '.join(columns)} |")


def answer(found: np.ndarray, right: np.ndarray, felt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how right the answers are: all rows, and those with a feeling."""
    is_face = found.shape[1] == 52
    everything = hits(face_scores(found, cosine=False) if is_face else found, right)
    some = face_scores(found, cosine=True) if is_face else found
    feeling = hits(np.delete(some, NEUTRAL, axis=1), np.delete(right, NEUTRAL, axis=1))
    return everything, feeling[felt]


def interval(values: np.ndarray) -> str:
    """Return a mean, and where 95 % of the bootstrap's means lie."""
    draws = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), [2.5, 97.5])
    return f"{values.mean():.3f} ({low:.3f}-{high:.3f})"


if __name__ == "__main__":
    main()
