"""`expclip text2face`: what a trained model makes of texts, drawn and written."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

__all__ = ["text2face"]

_MODEL = "out/expclip"
_TRAIN = "expclip train expclip --preset small --data out/tead --out out/expclip"
_LIVE_LINK = ".livelink.csv"
_PICTURES = (".png", ".svg")


def text2face(
    texts: Annotated[list[str], typer.Argument(metavar="TEXT...", help="Each gives a face.")],
    out: Annotated[Path, typer.Option(help="The picture: .png or .svg.")] = Path("faces.png"),
    model: Annotated[str, typer.Option(help="A checkpoint: folder or Hub id.")] = _MODEL,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the weights: .json, .csv (a row each), or .livelink.csv "
            "(a Live Link Face recording, a frame each).",
        ),
    ] = None,
    columns: Annotated[int | None, typer.Option(help="Faces in a row.")] = None,
    size: Annotated[int, typer.Option(help="Width of a face in pixels, in PNG.")] = 256,
) -> None:
    """Draw the faces that a trained model decodes from texts."""
    from expclip.face.errors import DataError

    if out.suffix.lower() not in _PICTURES:
        raise DataError(f"{out}: suffix {out.suffix!r}, expected one of {', '.join(_PICTURES)}")
    if weights is not None and weights.suffix.lower() not in (".json", ".csv"):
        raise DataError(f"{weights}: suffix {weights.suffix!r}, expected .json or .csv")
    if any(not text.strip() for text in texts):
        raise ValueError("a text is empty")
    if not Path(model).is_dir() and (model == _MODEL or model.count("/") != 1):
        raise DataError(f"{model}: no checkpoint there. This makes one: {_TRAIN}")

    from expclip.cli.train import quiet_loading
    from expclip.face.files import write_atomically
    from expclip.face.render import encode_png, render_contact_sheet, render_svg_sheet
    from expclip.models import ExpCLIP

    quiet_loading()
    faces = ExpCLIP.from_pretrained(model).text_to_expression(texts)
    if out.suffix.lower() == ".svg":
        picture = render_svg_sheet(faces, texts, columns=columns).encode()
    else:
        picture = encode_png(render_contact_sheet(faces, texts, columns=columns, size=size))
    with write_atomically(out) as temporary:
        temporary.write_bytes(picture)
    for text, face in zip(texts, faces, strict=True):
        print(f"{text}: {_strongest(face)}")
    print(f"wrote {out}")
    if weights is not None:
        _write_weights(weights, texts, faces)
        print(f"wrote {weights}")


def _strongest(face: Float[np.ndarray, " 52"], most: int = 5, least: float = 0.1) -> str:
    """Return the strongest weights in words."""
    from expclip.face.blendshapes import BLENDSHAPES

    order = sorted(range(len(face)), key=lambda index: -face[index])[:most]
    named = [f"{BLENDSHAPES[index]} {face[index]:.2f}" for index in order if face[index] >= least]
    return ", ".join(named) or "neutral"


def _write_weights(path: Path, texts: list[str], faces: Float[np.ndarray, "texts 52"]) -> None:
    """Write the weights as the file's name says."""
    from expclip.face.blendshapes import BLENDSHAPES
    from expclip.face.files import write_atomically
    from expclip.face.sequence import Sequence, write_sequence

    if path.name.lower().endswith(_LIVE_LINK):
        write_sequence(Sequence(faces, fps=1.0), path)
        return
    rows: list[dict[str, Any]] = [
        {"text": text, "weights": dict(zip(BLENDSHAPES, map(_rounded, face), strict=True))}
        for text, face in zip(texts, faces, strict=True)
    ]
    if path.suffix.lower() == ".json":
        content = json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    else:
        file = io.StringIO()
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["text", *BLENDSHAPES])
        table.writerows([row["text"], *row["weights"].values()] for row in rows)
        content = file.getvalue()
    with write_atomically(path) as temporary:
        temporary.write_text(content, "utf-8")


def _rounded(value: Any) -> float:
    return round(float(value), 6)
