"""Texts of strangers, shown: one line of them, as no markup, without what does not show."""

import re
import unicodedata

__all__ = ["as_code", "escape_markdown", "is_visible", "one_line"]

_JOINERS = "\u200c\u200d"
_LINKS = re.compile(r"(?<![A-Za-z0-9])@(?=[A-Za-z])|@(?=[\w-]+\.)|:(?=//)|(?<=mailto):")
"""What makes a link or a mention of a text."""


def is_visible(char: str) -> bool:
    """Return whether a character shows, is space, or joins others as their spelling wants.

    Joiners hold emoji together, and are letters' business in some scripts. Controls and
    marks that turn the direction of writing do not show.
    """
    return char.isspace() or char in _JOINERS or unicodedata.category(char)[0] != "C"


def one_line(text: str, longest: int | None = None) -> str:
    """Return what shows of a text, on one line; where it is cut, it ends with an ellipsis."""
    shown = " ".join("".join(filter(is_visible, text)).split())
    return shown if longest is None or len(shown) <= longest else f"{shown[: longest - 1]}…"


def escape_markdown(text: str) -> str:
    """Return a line that Markdown shows as it is, in a cell of a table too; no link of it."""
    for mark, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(mark, entity)
    for mark in "\\`*_[]|#~$!":
        text = text.replace(mark, f"\\{mark}")
    text = _LINKS.sub(lambda mark: f"&#{ord(mark[0])};", text)
    return text.replace("www.", "www&#46;")


def as_code(text: str, longest: int = 200) -> str:
    """Return a text as code in Markdown, whatever is in it; a cell of a table holds no bar."""
    return f"`{one_line(text, longest).replace('`', chr(39))}`"
