"""The writing of a text: a simple sign of its language."""

import unicodedata
from functools import cache

__all__ = ["count_letters"]


def count_letters(text: str) -> tuple[int, int]:
    """Return how many letters of a text are not Latin, and how many it has."""
    if text.isascii():
        return 0, sum(map(str.isalpha, text))
    letters = [character for character in text if character.isalpha()]
    return sum(not _is_latin(letter) for letter in letters), len(letters)


@cache
def _is_latin(letter: str) -> bool:
    return "LATIN" in unicodedata.name(letter, "")
