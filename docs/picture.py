"""Draw the README's picture from the worked examples of the prompts: `python docs/picture.py`."""

import json
import textwrap
from pathlib import Path
from xml.sax.saxutils import escape

from expclip.face import blendshapes_from_aus, render_face
from expclip.face.files import write_atomically
from expclip.tead import Prompts

CARD_WIDTH, CARD_HEIGHT, FACE = 560, 226, 170
STYLES = {
    "text": "font-size:16px;fill:#1f2d3a;font-weight:600",
    "emotions": "font-size:14px;fill:#2d6f7e",
    "units": "font-size:13px;fill:#7a4a2b;font-family:ui-monospace,Menlo,monospace",
    "situation": "font-size:13px;fill:#5b6873;font-style:italic",
}


def card(example: dict) -> str:
    """Return one example: the face, and beside it what it comes from."""
    face = render_face(blendshapes_from_aus(example["aus"]))
    face = face.replace("<svg ", f'<svg x="16" y="20" width="{FACE}" height="{FACE}" ', 1)
    lines = [("text", line) for line in textwrap.wrap(f"“{example['text']}”", 33)]
    lines += [("emotions", " · ".join(example["emotions"]))]
    lines += [("units", " ".join(example["aus"]))]
    lines += [("situation", line) for line in textwrap.wrap(example["situations"][0], 44)]
    y, texts = 42, []
    for (kind, line), (before, _) in zip(lines, [("", ""), *lines], strict=False):
        y += 0 if not before else 21 if kind == before else 27
        texts.append(f'<text x="{FACE + 36}" y="{y}" style="{STYLES[kind]}">{escape(line)}</text>')
    size = f'width="{CARD_WIDTH - 8}" height="{CARD_HEIGHT - 8}"'
    frame = f'<rect x="4" y="4" {size} rx="14" fill="#fff"/>'
    return frame + face + "".join(texts)


examples = [json.loads(line) for line in Prompts.load().templates["examples.jsonl"].splitlines()]
cards = [
    f'<g transform="translate({index % 2 * CARD_WIDTH} {index // 2 * CARD_HEIGHT})">{card(one)}</g>'
    for index, one in enumerate(examples[:6])
]
svg = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * CARD_WIDTH} {3 * CARD_HEIGHT}" '
    'font-family="system-ui,Segoe UI,Helvetica,Arial,sans-serif">'
    f'<rect width="100%" height="100%" fill="#e9eff1"/>{"".join(cards)}</svg>\n'
)
with write_atomically(Path(__file__).with_name("tead.svg")) as temporary:
    temporary.write_text(svg, "utf-8")
