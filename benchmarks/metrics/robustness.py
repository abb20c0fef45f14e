"""Texts said otherwise: fixed variants, and what a model loses by them, one number a text."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped

from expclip.benchmarks.metrics.channels import check_weights
from expclip.tead.augmentation.eda import Eda
from expclip.tead.augmentation.synonyms import load_synonyms

__all__ = [
    "FRAMES",
    "VARIANTS",
    "TextVariants",
    "face_shift",
    "flip_rate",
    "robustness_metrics",
    "vary_texts",
]

FRAMES = (
    "A face that says: {}",
    "Someone who would say this: {}",
    "The look on my face right now. {}",
)
"""Prompts that a text is put into; {} is the text."""

_EDA = ("stop_words", "synonym", "sentences")
_SHORTEST = 4  # letters of a word that gets a slip of the keyboard


@dataclass(frozen=True, slots=True)
class TextVariants:
    """The variants of some texts.

    Attributes:
        names: of the variants, as in VARIANTS.
        texts: of each text its variants, in that order.
        changed: which of them differ from the text; the others count in no metric.
    """

    names: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    changed: Bool[np.ndarray, "texts variants"]


def vary_texts(texts: Sequence[str], *, seed: int = 0) -> TextVariants:
    """Return the fixed variants of each text, decided by the text and the seed alone.

    - `stop_words`: words that say little are gone; negations and emotion words stay.
    - `synonym`: a tenth of the words, one at least, give way to synonyms from the package's
      own table of emotion words; no WordNet is asked, for not every machine has one.
    - `sentences`: the sentences in another order.
    - `typo`: two neighbouring letters inside the longest words (a tenth of them, one at
      least) have changed places.
    - `lower`, `upper`: the case.
    - `frame_1`...: within each of FRAMES.

    The first three are those of `expclip.tead`'s EDA, the paper's own augmentation: a model
    trained with it has seen such, the others it has not. Where an operation finds nothing to
    do the variant is the text, and `changed` says so.
    """
    eda = Eda(_EDA, synonyms=load_synonyms(False))
    made = eda.augment(texts, texts, seed=seed, variants=len(_EDA))
    rows = [
        (
            *(item.text for item in made[place * len(_EDA) : (place + 1) * len(_EDA)]),
            *(vary(text, seed) for vary in _OWN.values()),
        )
        for place, text in enumerate(texts)
    ]
    differs = [[other != text for other in row] for row, text in zip(rows, texts, strict=True)]
    changed = np.array(differs, bool).reshape(len(texts), len(VARIANTS))
    return TextVariants(VARIANTS, tuple(rows), changed)


def _mistype(text: str, seed: int) -> str:
    """Exchange two letters, neither of them first or last, in some of the longest words."""
    words = text.split(" ")
    fit = [place for place, word in enumerate(words) if word.isalpha() and len(word) >= _SHORTEST]
    fit.sort(key=lambda place: (-len(words[place]), place))
    for place in fit[: max(1, len(words) // 10)]:
        word = words[place]
        swaps = [n for n in range(1, len(word) - 2) if word[n] != word[n + 1]]
        if swaps:
            name = f"{seed}\0{place}\0{text}".encode("utf-8", "surrogatepass")
            number = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")
            n = swaps[number % len(swaps)]
            words[place] = word[:n] + word[n + 1] + word[n] + word[n + 2 :]
    return " ".join(words)


def _framed(frame: str) -> Callable[[str, int], str]:
    return lambda text, seed: frame.replace("{}", text)


_OWN: dict[str, Callable[[str, int], str]] = {
    "typo": _mistype,
    "lower": lambda text, seed: text.lower(),
    "upper": lambda text, seed: text.upper(),
    **{f"frame_{number}": _framed(frame) for number, frame in enumerate(FRAMES, 1)},
}

VARIANTS = (*_EDA, *_OWN)
"""The names of the variants of `vary_texts`."""


def robustness_metrics(
    clean: Float[np.ndarray, " texts"],
    varied: Float[np.ndarray, "texts variants"],
    changed: Bool[np.ndarray, "texts variants"],
    *,
    higher_is_better: bool,
) -> dict[str, Float[np.ndarray, " texts"]]:
    """Return what is left of any score under the variants of each text that changed.

    - `clean`: the score of the text itself.
    - `mean`: of the variants.
    - `worst`: of the variants: the least, or the most where low is good. Main (MTEB's worst
      of m). It falls with m for noise alone: compare it at one list of variants.
    - `drop`: by how much `mean` is worse than `clean`; below 0, variants do better.
    - `worst_drop`: the same of `worst`.
    - `changed_share`: of the variants: the coverage. Where none changed, the score under them
      is that of the text.

    A model that does not look at the text has drop 0: robust, and useless. Read `worst`.

    Raises:
        ValueError: the arrays do not fit, or a score that counts is not finite.
    """
    score, others = np.asarray(clean, np.float64), np.asarray(varied, np.float64)
    counted = _check_changed(changed, others.shape, len(score))
    if not (np.isfinite(score).all() and np.isfinite(others[counted]).all()):
        raise ValueError("scores have NaN or infinite entries")
    sign = 1.0 if higher_is_better else -1.0
    worst = np.where(counted, sign * others, np.inf).min(axis=1, initial=np.inf)
    any_changed = counted.any(axis=1)
    worst = np.where(any_changed, sign * worst, score)
    mean = np.where(any_changed, _mean_counted(others, counted), score)
    return {
        "clean": score,
        "mean": mean,
        "worst": worst,
        "drop": sign * (score - mean),
        "worst_drop": sign * (score - worst),
        "changed_share": counted.mean(axis=1) if counted.size else np.zeros(len(score)),
    }


def flip_rate(
    clean: Shaped[np.ndarray, " texts"],
    varied: Shaped[np.ndarray, "texts variants"],
    changed: Bool[np.ndarray, "texts variants"],
) -> dict[str, Float[np.ndarray, " texts"]]:
    """Return `flip_rate`: the share of the changed variants with another answer than the text.

    Args:
        clean: the first answer (a key, or its number) to each text.
        varied: those to its variants.
        changed: as `vary_texts` gives it. Where none changed, nothing flips: 0.

    A constant has 0, right or wrong.
    """
    counted = _check_changed(changed, varied.shape, len(clean))
    differs = np.asarray(varied != clean[:, None], np.float64)
    return {"flip_rate": _mean_counted(differs, counted)}


def face_shift(
    clean: Float[np.ndarray, "texts 52"],
    varied: Float[np.ndarray, "texts variants 52"],
    changed: Bool[np.ndarray, "texts variants"],
) -> dict[str, Float[np.ndarray, " texts"]]:
    """Return how far the face moves when the text is said otherwise.

    `face_shift` is the mean over changed variants of ||w(t) - w(t')||, `face_shift_worst` the
    most; in weights, Euclidean over the 52. 0 where none changed. A constant has 0.
    """
    faces = check_weights("clean", clean)
    others = np.asarray(varied, np.float64)
    if others.ndim != 3 or others.shape[2] != faces.shape[1]:
        raise ValueError(f"varied have shape {others.shape}, expected (texts, variants, 52)")
    counted = _check_changed(changed, others.shape[:2], len(faces))
    if not np.isfinite(others[counted]).all():
        raise ValueError("varied have NaN or infinite entries")
    apart = np.linalg.norm(np.where(counted[..., None], others - faces[:, None], 0), axis=2)
    return {
        "face_shift": _mean_counted(apart, counted),
        "face_shift_worst": apart.max(axis=1, initial=0),
    }


def _check_changed(
    changed: Bool[np.ndarray, "texts variants"], shape: tuple[int, ...], texts: int
) -> Bool[np.ndarray, "texts variants"]:
    if (
        changed.dtype != bool
        or changed.ndim != 2
        or changed.shape != shape
        or len(changed) != texts
    ):
        found = f"{changed.dtype} {changed.shape} for {texts} texts and variants {shape}"
        raise ValueError(f"changed is {found}, expected bool of one shape with them")
    return changed


def _mean_counted(
    values: Float[np.ndarray, "texts variants"], counted: Bool[np.ndarray, "texts variants"]
) -> Float[np.ndarray, " texts"]:
    """Return the mean of what counts in each row, 0 where nothing does."""
    sums = np.where(counted, values, 0).sum(axis=1)
    mean: Float[np.ndarray, " texts"] = sums / np.maximum(counted.sum(axis=1), 1)
    return mean
