"""What makes variants of texts: the protocol, and augmenters of nlpaug."""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import numpy as np

from expclip.face.errors import MissingExtra
from expclip.tead.augmentation.eda import Variant

__all__ = ["Augmenter", "NlpaugAugmenter"]

log = logging.getLogger(__name__)


@runtime_checkable
class Augmenter(Protocol):
    """What makes variants of texts; each from seed, id and variant number alone."""

    @property
    def source(self) -> str:
        """What it works with, said to people."""

    def augment(
        self, texts: Sequence[str], ids: Sequence[str], *, seed: int = 0, variants: int = 1
    ) -> list[Variant]:
        """Return `variants` variants of every text, row by row."""


class NlpaugAugmenter:
    """Any augmenter or flow of nlpaug, or what has its ``augment(text)``.

    Each text is given to it alone, with Python's and NumPy's global generators seeded for
    it (and afterwards put back): a row in a batch is the same as the row alone. A row that
    the augmenter fails on stays as it was, with the outcome "failed".

    Args:
        augmenter: nlpaug's random deletion of words, ``RandomWordAug()``, if not given.

    Raises:
        MissingExtra: nlpaug is not installed, and no augmenter given.
    """

    def __init__(self, augmenter: Any = None) -> None:
        if augmenter is None:
            try:
                augmenter = import_module("nlpaug.augmenter.word").RandomWordAug()
            except ImportError:
                raise MissingExtra("nlpaug", "augment") from None
        if not callable(getattr(augmenter, "augment", None)):
            raise ValueError(f"{augmenter!r} has no method augment(text)")
        self._augmenter = augmenter
        self.name = str(getattr(augmenter, "name", type(augmenter).__name__))

    @property
    def source(self) -> str:
        """The augmenter's name."""
        return f"nlpaug's {self.name}"

    def augment(
        self, texts: Sequence[str], ids: Sequence[str], *, seed: int = 0, variants: int = 1
    ) -> list[Variant]:
        """Return the variants of every text, row by row."""
        return [
            self._one(text, id_, seed, variant)
            for text, id_ in zip(texts, ids, strict=True)
            for variant in range(variants)
        ]

    def _one(self, text: str, id_: str, seed: int, variant: int) -> Variant:
        with _seeded(f"{seed}\0{variant}\0{id_}"):
            try:
                answer = self._augmenter.augment(text)
                if isinstance(answer, list | tuple):
                    answer = answer[0] if answer else text  # it answers "" with []
                if not isinstance(answer, str):
                    raise TypeError(f"answered {type(answer).__name__}, expected str")
            except Exception as error:  # whatever a plug-in raises costs its row alone
                log.warning("row %s stays as it was: %s failed: %s", id_, self.name, error)
                return Variant(id_, variant, self.name, text, "failed")
        same = answer.split() == text.split()
        outcome = "unchanged" if same else "changed"
        return Variant(id_, variant, self.name, text if same else answer, outcome)


@contextmanager
def _seeded(what: str) -> Iterator[None]:
    """Seed the global generators that plug-ins draw from, and put them back afterwards."""
    seed = int.from_bytes(hashlib.blake2b(what.encode("utf-8", "surrogatepass")).digest()[:4])
    before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - nlpaug draws from it
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numpy_before)  # noqa: NPY002
