"""Figures of the core corpus, and a contact sheet of rows drawn by seed.

Run: `python benchmarks/core/figures.py [--sheet faces.png] [--seed 0]`
"""

import argparse
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from expclip.face import ACTION_UNITS, blendshapes_from_actions, find_conflicts
from expclip.face.files import write_atomically
from expclip.face.render import render_contact_sheet
from expclip.tead import CoreRow, find_near_duplicates, prototypes, read_core
from expclip.tead.corpora.core import REGISTERS, TRAITS, emotion_words, words_of

SHEET_ROWS = 48
LEAST_AS_FIRST_TAG = 15
LEAST_PER_UNIT = 20


def table(title: str, counts: Iterable[tuple[str, int]], total: int) -> None:
    """Print counts and shares."""
    print(f"\n| {title} | rows | share |\n|---|---|---|")
    for name, count in counts:
        print(f"| {name} | {count:,} | {count / total:.1%} |")


def print_figures(rows: tuple[CoreRow, ...]) -> None:
    """Print every figure that the guideline asks for."""
    total = len(rows)
    texts = [row.text.text for row in rows]
    words = [words_of(text) for text in texts]
    forms = {word for text in words for word in text}
    openings = Counter(" ".join(text[:5]) for text in words)
    alike = max((similar for *_, similar in find_near_duplicates(texts, 0.2)), default=0.0)
    named = np.array([len(emotion_words(text)) for text in texts])
    units = np.array([len(row.annotation.actions) for row in rows])
    opening, times = openings.most_common(1)[0]
    print(f"{total:,} rows, {sum(map(len, words)):,} words, {len(forms):,} distinct word forms")
    print(f"most alike two texts: {alike:.2f} (Jaccard of word trigrams)")
    print(f"first five words used most: {times} times ({opening!r})")
    none = (named == 0).mean()
    print(f"emotion words a row, by a short list: {named.mean():.2f}; none in {none:.1%}")
    print(f"action units a row: {units.mean():.2f}, standard deviation {units.std():.2f}")
    conflicts = sum(
        bool(find_conflicts(action.code for action in row.annotation.actions)) for row in rows
    )
    print(f"rows with units that no face shows together: {conflicts}")

    table("trait", ((name, sum(name in row.traits for row in rows)) for name in TRAITS), total)
    registers = Counter(row.register for row in rows)
    table("register", ((name, registers[name]) for name in REGISTERS), total)
    table("theme", sorted(Counter(row.theme for row in rows).items()), total)
    lengths = np.array([len(text.split()) for text in texts])
    bands = ((3, 5), (6, 9), (10, 15), (16, 25), (26, 40), (41, 60))
    table(
        "words",
        ((f"{a} to {b}", int(((lengths >= a) & (lengths <= b)).sum())) for a, b in bands),
        total,
    )
    first = Counter(row.annotation.emotions[0] for row in rows)
    table("first tag", ((name, first[name]) for name in prototypes()), total)
    others = {name: count for name, count in first.items() if name not in prototypes()}
    print(f"\nfirst tags outside the 105: {others or 'none'}")
    few = [name for name in prototypes() if first[name] < LEAST_AS_FIRST_TAG]
    print(f"first tags in fewer than {LEAST_AS_FIRST_TAG} rows: {', '.join(few) or 'none'}")
    shown = Counter(
        code for row in rows for code in {action.code for action in row.annotation.actions}
    )
    table(
        "unit", ((f"AU{unit.code} {unit.name}", shown[unit.code]) for unit in ACTION_UNITS), total
    )
    rare = [f"AU{unit.code}" for unit in ACTION_UNITS if shown[unit.code] < LEAST_PER_UNIT]
    print(f"\nunits in fewer than {LEAST_PER_UNIT} rows: {', '.join(rare) or 'none'}")


def draw_sheet(rows: tuple[CoreRow, ...], path: Path, seed: int) -> None:
    """Draw rows chosen by seed, the text under each face."""
    drawn = random.Random(seed).sample(rows, SHEET_ROWS)
    faces = blendshapes_from_actions(row.annotation.actions for row in drawn)
    captions = [row.text.text for row in drawn]
    sheet = render_contact_sheet(faces, captions, columns=8, size=220)
    with write_atomically(path) as temporary:
        sheet.save(temporary, "PNG")
    for number, row in enumerate(drawn):
        print(f"{number // 8 + 1}.{number % 8 + 1} {row.annotation.emotions} {row.text.text}")


def main() -> None:
    """Print the figures, and draw the sheet if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.sheet:
        draw_sheet(read_core(), args.sheet, args.seed)
    else:
        print_figures(read_core())


if __name__ == "__main__":
    main()
