"""A model's space as a picture: t-SNE of faces and texts, and ways between faces, drawn.

The paper's Figure 6, for any model. It is as wide as one column of a page: its letters are
legible where it is printed 85 mm wide.
"""

import math
import textwrap
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from expclip.benchmarks.board.families import FAMILIES, OTHER, Family, family_of
from expclip.benchmarks.board.labels import Labels, shorten
from expclip.benchmarks.board.manifold_map import ManifoldMap, Marks, Way, map_manifold
from expclip.benchmarks.protocols import Asked
from expclip.benchmarks.run import fingerprint, name_model
from expclip.benchmarks.task_data import TeadData
from expclip.face.render import render_svg_sheet
from expclip.face.svg import FAINT, INK, build_svg, draw_dot, draw_text

__all__ = ["draw_manifold"]

_WIDTH, _MARGIN, _HEAD, _PAD = 440.0, 14.0, 36.0, 14.0
_LOWEST, _HIGHEST = 180.0, 400.0  # of the map
_INSIDE = _WIDTH - 2 * _MARGIN
_LEGEND_ROW, _COLUMNS = 18.0, 3
_STRIP_HEAD, _STRIP_GAP = 20.0, 6.0
_FOOT_ROW, _FOOT_LETTERS = 14.0, 68
_FACE, _TEXT = 2.9, 2.0  # radii of marks
_LONGEST, _TITLE = 24, 40
_NAMED, _SHARE, _AROUND = 20, 1 / 3, 8
_LETTERS, _DASHES = "ABC", ("none", "7 3", "2 2.5")
_BESIDE, _REACH = 5.0, 40.0
_FRAME = "#d5dce0"
_MIDDLE, _BOLD = 'text-anchor="middle"', 'font-weight="650"'


def draw_manifold(
    model: object,
    data: TeadData,
    *,
    name: str | None = None,
    seed: int = 0,
    points: int = 2000,
    progress: Callable[[str], None] = lambda stage: None,
) -> str:
    """Return the picture as SVG that stands alone; the same input gives the same bytes.

    A model with `encode_text` has its texts on the same map; one with `decode` has the faces
    on the ways drawn below it.

    Args:
        model: any object with `encode_expression`.
        data: whose test split is shown.
        name: of the model; its attribute ``name`` by default, or its class.
        seed: of every choice.
        points: at most so many faces and texts together.
        progress: told what is done next.

    Raises:
        ModelError: the model cannot encode expressions, fails, or answers with something else
            than finite numbers of the right shape.
        DataError: the test split has too few distinct faces.
        MissingExtra: scikit-learn is not installed.
    """
    drawn = map_manifold(Asked(model), data, seed=seed, points=points, progress=progress)
    title = shorten(name_model(model, name), _TITLE)
    parts = [draw_text(_MARGIN, 24.0, f"Space of {title}", 16, more=_BOLD)]
    scale = _Scale(drawn)
    parts += _draw_map(drawn, scale)
    y = _HEAD + scale.height + 18
    legend = _draw_legend(drawn)
    for place, entry in enumerate(legend):
        row, column = divmod(place, _COLUMNS)
        x = _MARGIN + 6 + column * _INSIDE / _COLUMNS
        parts += [f'<g transform="translate({x:.1f} {y + row * _LEGEND_ROW:.1f})">{entry}</g>']
    y += _LEGEND_ROW * math.ceil(len(legend) / _COLUMNS) - 4
    for way, letter, dash in zip(drawn.ways, _LETTERS, _DASHES, strict=False):
        parts += _draw_strip(way, letter, dash, y)
        y += _STRIP_HEAD + (0 if way.faces is None else _INSIDE / len(way.faces) + _STRIP_GAP)
    source = (
        f"Model {title}, sha256 {fingerprint(model)[:12]}; data {shorten(data.name, _TITLE)}, "
        f"test, sha256 {data.test.sha256[:12]}; seed {seed}"
    )
    for line in _foot(drawn, source):
        y += _FOOT_ROW
        parts.append(draw_text(_MARGIN, y, line, 11, FAINT))
    return build_svg(_WIDTH, y + 12, f"t-SNE map of the space of {title}", parts)


# The map


def _draw_map(drawn: ManifoldMap, scale: "_Scale") -> Iterator[str]:
    """Return marks, ways, and words, each above those before."""
    box = f'width="{_INSIDE:g}" height="{scale.height:.1f}" fill="none" stroke="{_FRAME}"'
    yield f'<rect x="{_MARGIN:g}" y="{_HEAD:g}" rx="3" {box}/>'
    yield from _draw_marks(drawn.texts, scale, faces=False)
    yield from _draw_marks(drawn.faces, scale, faces=True)
    if not drawn.perplexity:
        middle = (_WIDTH / 2, _HEAD + scale.height / 2 + 26)
        yield draw_text(*middle, f"all {drawn.points:,} embeddings in one place", 12, INK, _MIDDLE)
        return
    labels = Labels((_MARGIN + 3, _HEAD + 3, _WIDTH - _MARGIN - 3, _HEAD + scale.height - 3))
    lines = [scale.at(way.places) for way in drawn.ways]
    yield from _draw_lines(lines, labels)
    for letter, at, way in zip(_LETTERS, lines, drawn.ways, strict=False):
        for (x, y), emotion in zip(at[[0, -1]].tolist(), way.ends, strict=True):
            text = f"{letter} {shorten(emotion, _LONGEST)}"
            found = labels.place(x, y, text, 12, _REACH)
            if found is None:
                text, found = letter, labels.place(x, y, letter, 12, _REACH)
            if found is not None:
                yield from _draw_word(*found, text, 12, INK)
    said = {emotion for way in drawn.ways for emotion in way.ends}
    yield from _draw_names(drawn.faces, said, scale, labels)


class _Scale:
    """From places on the map to those in the picture: one scale for both axes.

    Attributes:
        height: of the map in the picture, as its points want it.
    """

    def __init__(self, drawn: ManifoldMap) -> None:
        every = [drawn.faces.places, drawn.texts.places, *(way.places for way in drawn.ways)]
        places = np.concatenate(every)
        least, most = places.min(axis=0), places.max(axis=0)
        wide, high = np.maximum(most - least, 1e-9).tolist()
        room = _INSIDE - 2 * _PAD
        wanted = room * high / wide if wide > 1e-9 else 0.0
        self.height = min(max(wanted + 2 * _PAD, _LOWEST), _HIGHEST)
        self._factor = min(room / wide, (self.height - 2 * _PAD) / high)
        self._middle = (least + most) / 2

    def at(self, places: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Return where places are drawn."""
        centre = np.array([_WIDTH / 2, _HEAD + self.height / 2])
        return np.asarray((places - self._middle) * self._factor + centre)


def _draw_marks(marks: Marks, scale: _Scale, *, faces: bool) -> Iterator[str]:
    """Return a mark each, in an order that chance has given: no family covers the others."""
    for emotion, (x, y) in zip(marks.emotions, scale.at(marks.places), strict=True):
        yield _draw_mark(family_of(emotion), float(x), float(y), face=faces)


def _draw_mark(family: Family, x: float, y: float, *, face: bool) -> str:
    radius, fill = (_FACE, family.colour) if face else (_TEXT, _lighten(family.colour))
    if not family.corners:
        return draw_dot(x, y, fill, radius)
    radius *= 1.6 if family.waist else 1.25  # for as much ink
    count = family.corners * (2 if family.waist else 1)
    corners = []
    for corner in range(count):
        angle = math.radians(360 * corner / count + family.turn - 90)
        reach = radius * family.waist if family.waist and corner % 2 else radius
        corners.append(f"{x + reach * math.cos(angle):.1f} {y + reach * math.sin(angle):.1f}")
    return f'<path d="M{"L".join(corners)}Z" fill="{fill}"/>'


def _lighten(colour: str) -> str:
    """Return a colour half way to white."""
    return "#" + bytes((part + 255) // 2 for part in bytes.fromhex(colour[1:])).hex()


def _draw_lines(lines: Sequence[Float[np.ndarray, "steps 2"]], labels: Labels) -> Iterator[str]:
    """Return the ways, then their points, then their ends; no word is to cover them."""
    for at, dash in zip(lines, _DASHES, strict=False):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in at.tolist())
        shape = f'<polyline points="{points}" fill="none" stroke-linejoin="round"'
        yield f'{shape} stroke="#fff" stroke-width="4.5"/>'
        yield f'{shape} stroke="{INK}" stroke-width="1.6" stroke-dasharray="{dash}"/>'
        for (x, y), (to_x, to_y) in pairwise(at.tolist()):
            pieces = 1 + int(math.hypot(to_x - x, to_y - y) / _BESIDE)
            for share in np.linspace(0, 1, pieces).tolist():
                labels.keep_free(x + share * (to_x - x), y + share * (to_y - y), 1.5)
    for is_end, rim, radius in ((False, 3.6, 2.2), (True, 6.0, 4.5)):
        for at in lines:
            for x, y in (at[[0, -1]] if is_end else at[1:-1]).tolist():
                yield draw_dot(x, y, "#fff", rim)
                yield draw_dot(x, y, INK, radius)
                labels.keep_free(x, y, rim)


def _draw_names(
    faces: Marks, said: Collection[str], scale: _Scale, labels: Labels
) -> Iterator[str]:
    """Return names of frequent emotions that no way has named, each where its faces lie densest.

    An emotion whose faces lie anywhere gets no name: around a name its family prevails.
    """
    at, families = scale.at(faces.places), [family_of(emotion) for emotion in faces.emotions]
    counts = sorted(Counter(faces.emotions).items(), key=lambda item: (-item[1], item[0]))
    for emotion, count in [item for item in counts if item[0] not in said][:_NAMED]:
        mine = at[[one == emotion for one in faces.emotions]]
        near = max(1, round(_SHARE * count))
        apart = np.sort(np.linalg.norm(mine[:, None] - mine[None], axis=2), axis=1)
        point = mine[apart[:, :near].mean(axis=1).argmin()]
        around = np.linalg.norm(at - point, axis=1).argsort(kind="stable")[: max(near, _AROUND)]
        alike = sum(families[place] == family_of(emotion) for place in around.tolist())
        text, (x, y) = shorten(emotion, _LONGEST), point.tolist()
        if 2 * alike >= len(around) and (found := labels.place(x, y, text, 11, 15)):
            yield from _draw_word(*found, text, 11, _darken(family_of(emotion).colour))


def _darken(colour: str) -> str:
    """Return a colour half way to black, for letters."""
    return "#" + bytes(part // 2 for part in bytes.fromhex(colour[1:])).hex()


def _draw_word(x: float, y: float, text: str, size: int, colour: str) -> Iterator[str]:
    """Return a word with a white rim; twice, for not all programs know paint-order."""
    rim = f'{_MIDDLE} {_BOLD} stroke="#fff" stroke-width="3.5" stroke-linejoin="round"'
    yield draw_text(x, y, text, size, "#fff", f'{rim} aria-hidden="true"')
    yield draw_text(x, y, text, size, colour, f"{_MIDDLE} {_BOLD}")


# Below the map


def _draw_legend(drawn: ManifoldMap) -> list[str]:
    """Return its entries, each beginning at the point 0, 0."""
    shown = {family_of(name) for name in (*drawn.faces.emotions, *drawn.texts.emotions)}
    entries = [
        _draw_mark(family, 0, 0, face=True) + draw_text(9, 4, family.name, 12)
        for family in (*FAMILIES, OTHER)
        if family in shown
    ]
    if drawn.texts.emotions:
        marks = [
            _draw_mark(family, 7.0 * place, 0, face=False)
            for place, family in enumerate(FAMILIES[:3])
        ]
        entries.append("".join(marks) + draw_text(23, 4, "light: texts", 12))
    return entries


def _draw_strip(way: Way, letter: str, dash: str, y: float) -> Iterator[str]:
    """Return the ends of a way in words, with its line; and its faces."""
    base = y + 14
    yield draw_text(_MARGIN, base, letter, 12, INK, _BOLD)
    yield (
        f'<path d="M{_MARGIN + 15:g} {base - 4:.1f}h28" stroke="{INK}" stroke-width="1.6" '
        f'stroke-dasharray="{dash}"/>'
    )
    first, last = (shorten(emotion, _LONGEST) for emotion in way.ends)
    yield draw_text(_MARGIN + 50, base, f"{first} to {last}", 12)
    if way.faces is not None:
        height = _INSIDE / len(way.faces)
        box = f'x="{_MARGIN:g}" y="{y + _STRIP_HEAD:.1f}" width="{_INSIDE:g}" height="{height:.1f}"'
        sheet = render_svg_sheet(way.faces, columns=len(way.faces)).strip()
        yield sheet.replace("<svg ", f"<svg {box} ", 1)


def _foot(drawn: ManifoldMap, source: str) -> list[str]:
    """Return what the picture is, and is not, in lines."""
    shown = f"{len(drawn.faces.emotions):,} faces"
    if drawn.texts.emotions:
        shown += f" and {len(drawn.texts.emotions):,} texts"
    told = [
        f"{shown} of the test split, coloured by their leading emotion; a name stands where "
        "an emotion's faces lie densest, if its family prevails there. t-SNE is a picture: axes, "
        "sizes of clusters and distances between them mean nothing. The numbers are those of "
        "the tasks tead/neighbourhoods and tead/paths."
    ]
    if drawn.ways:
        below = "; below, as the model decodes them" if drawn.ways[0].faces is not None else ""
        told.append(
            f"{', '.join(_LETTERS[: len(drawn.ways)])}: straight lines between embeddings of "
            f"faces that lie far apart, placed on the map with all the rest{below}."
        )
    told += [f"{reason[0].upper()}{reason[1:]}." for reason in drawn.left_out]
    how = f"t-SNE by cosine, perplexity {drawn.perplexity:.3g}" if drawn.perplexity else "no t-SNE"
    told.append(f"{source}; {how}; {drawn.points:,} points; {drawn.tool}.")
    return [line for text in told for line in textwrap.wrap(text, _FOOT_LETTERS)]
