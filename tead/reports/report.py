"""The report: a TEAD as one HTML page that needs no network, with all its rows in it.

Python reads, checks and packs; the page (``data/report/``) counts, filters and draws.
Rows travel as columns, gzip and base64, so that nothing of a text is ever markup; a
Content-Security-Policy lets only the page's own script run, and nothing be fetched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from expclip.face import ACTION_UNITS, AU_INDEX, BLENDSHAPES, parse_action
from expclip.face.errors import DataError, ParseError
from expclip.face.files import write_atomically
from expclip.face.page import compress, fill_holes, hash_source
from expclip.tead.folder import read_manifest, read_rows
from expclip.tead.validate import Validation, validate

__all__ = ["write_report"]

_LISTS = ("emotions", "au_codes", "situations", "labels")
_WORDS = ("split", "source", "llm", "prompt_version")


def write_report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write the report of a TEAD folder, and return where it is.

    The same folder gives the same bytes.

    Args:
        folder: the data set, as `build` made it.
        out: the page; by default ``<folder>-report.html`` beside the folder, which stays
            as it is published.

    Raises:
        DataError: the folder is no TEAD, a file of it is broken, or the page cannot be
            written.
    """
    folder = Path(folder)
    path = Path(out) if out else folder.resolve().with_name(f"{folder.resolve().name}-report.html")
    page = _page(*_pack(folder))
    with write_atomically(path) as temporary:
        temporary.write_text(page, "utf-8", newline="\n")
    return path


def _pack(folder: Path) -> tuple[bytes, bytes]:
    """Return what the page shows, as JSON, and the weights of all faces, a byte each."""
    found = validate(folder)
    columns, faces = _read_columns(folder)
    columns["near"] = list(found.near_rows)
    columns["au_codes"]["unit"] = [_unit(code) for code in columns["au_codes"]["names"]]
    data = {
        "manifest": read_manifest(folder),
        "checks": _checks(found),
        "units": [
            {"code": unit.code, "name": unit.name, "description": unit.description}
            for unit in ACTION_UNITS
        ],
        "shapes": BLENDSHAPES,
        "rows": columns,
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(), faces


def _checks(found: Validation) -> dict[str, Any]:
    """Return what was found wrong, or worth knowing, in the whole data set."""
    return {
        "rows": list(found.rows.items()),
        "errors": found.errors,
        "warnings": found.warnings,
        "units_per_row": found.units_per_row,
        "empty_units": found.empty_units,
        "prototype_share": found.prototype_share,
        "prototypes": found.prototypes,
        "near_across": found.near_across,
    }


class _Coded:
    """A column of words, each kept once, and numbered in the order of appearance."""

    def __init__(self) -> None:
        self.rows: list[int | list[int]] = []
        self._numbers: dict[str, int] = {}

    def number(self, word: str) -> int:
        """Return the number of a word."""
        return self._numbers.setdefault(word, len(self._numbers))

    def column(self) -> dict[str, Any]:
        """Return the column as the page reads it."""
        return {"names": list(self._numbers), "rows": self.rows}


def _read_columns(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Return the rows as columns, and their faces."""
    coded = {name: _Coded() for name in (*_LISTS, *_WORDS)}
    texts: list[str] = []
    ids: list[str] = []
    faces = bytearray()
    for row in read_rows(folder):
        texts.append(row["text"])
        ids.append(row["id"])
        for name in _LISTS:
            coded[name].rows.append([coded[name].number(word) for word in row[name]])
        for name in _WORDS:
            coded[name].rows.append(coded[name].number(row[name]))
        faces += _face(row)
    columns = {name: column.column() for name, column in coded.items()}
    return {"id": ids, "text": texts, **columns}, bytes(faces)


def _face(row: Mapping[str, Any]) -> bytes:
    """Return the weights of a row in 255ths."""
    weights = np.asarray(row["blendshapes"], np.float64)
    if weights.shape != (len(BLENDSHAPES),):
        expected = f"expected {len(BLENDSHAPES)} weights"
        raise DataError(f"row {row['id']}: blendshapes of shape {weights.shape}, {expected}")
    return bytes(np.rint(255 * np.nan_to_num(weights).clip(0, 1)).astype(np.uint8))


def _unit(code: str) -> int:
    """Return the position of a code's unit, or -1 if it is none of the 36."""
    try:
        return AU_INDEX[parse_action(code).code]
    except ParseError:
        return -1


def _page(data: bytes, faces: bytes) -> str:
    """Return the page with everything in it."""
    script = "".join(map(_template, ("face.js", "pieces.js", "page.js")))
    style = _template("style.css")
    policy = [
        "default-src 'none'",
        f"script-src '{hash_source(script)}'",
        f"style-src '{hash_source(style)}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return fill_holes(
        _template("page.html"),
        {
            "policy": "; ".join(policy),
            "version": version("expclip"),
            "style": style,
            "script": script,
            "data": compress(data),
            "faces": compress(faces),
        },
    )


def _template(name: str) -> str:
    return files("expclip.tead").joinpath("data/report", name).read_text("utf-8")
