"""A comparison on paper: Markdown, JSON, and a picture of each pair."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from expclip.face import ACTION_UNITS
from expclip.face.errors import DataError
from expclip.face.files import write_atomically
from expclip.face.svg import FAINT, INK, build_svg, draw_dot, draw_line, draw_text
from expclip.tead.reports.compare import MEASURES, Comparison, Estimate, PairAgreement

__all__ = ["comparison_json", "comparison_markdown", "comparison_svg", "write_comparison"]

_SHARES = frozenset({"same_first_tag", "first_tag_among"})
_FIRST, _SECOND, _GRID = "#1b7f8c", "#d9732f", "#e3e8eb"
_ROW, _TOP, _BOTTOM, _WIDTH = 22.0, 132.0, 46.0, 1080.0
_KAPPA, _SHARE = (270.0, 640.0), (710.0, 1040.0)  # from left to right edge of the two panels
_LOWEST = -0.2


def write_comparison(comparison: Comparison, out: str | Path) -> list[Path]:
    """Write compare.md, compare.json and one SVG for each pair; return their paths.

    Raises:
        DataError: the folder cannot be made or written.
    """
    out = Path(out)
    pictures = dict(zip(_picture_names(comparison), comparison.pairs, strict=True))
    links = "\n\n".join(f"![{_pair(pair)}]({name})" for name, pair in pictures.items())
    texts = {
        "compare.md": f"{comparison_markdown(comparison)}\n{links}\n",
        "compare.json": json.dumps(comparison_json(comparison), indent=2, ensure_ascii=False)
        + "\n",
        **{name: comparison_svg(pair, comparison.rows) for name, pair in pictures.items()},
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be made: {error.strerror}") from None
    for name, text in texts.items():
        with write_atomically(out / name) as temporary:
            temporary.write_text(text, "utf-8")
    return [out / name for name in texts]


def comparison_markdown(comparison: Comparison) -> str:
    """Return the tables: the sets, the pairs, the units."""
    names = [_cell(one.name) for one in comparison.sets]
    parts = [
        f"# {', '.join(names)}",
        f"{comparison.rows:,} texts annotated by each. In brackets the 95 % interval: bootstrap "
        f"over texts, {comparison.draws:,} draws, seed {comparison.seed}.",
        _table(_set_rows(comparison)),
        _table(_measure_rows(comparison)),
        *_alpha_line(comparison),
        _table(_unit_rows(comparison)),
    ]
    return "\n\n".join(parts) + "\n"


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return all numbers, undefined ones as None."""
    units = [f"AU{unit.code}" for unit in ACTION_UNITS]

    def by_unit(values: Sequence[Estimate]) -> dict[str, Any]:
        return {name: _numbers(value) for name, value in zip(units, values, strict=True)}

    return {
        "rows": comparison.rows,
        "draws": comparison.draws,
        "seed": comparison.seed,
        "sets": [
            {
                "name": one.name,
                "rows": one.rows,
                "content_sha256": one.content_sha256,
                "units_per_row": one.units_per_row,
                "conflicts": one.conflicts,
                "empty_units": [f"AU{code}" for code in one.empty_units],
                "prevalence": dict(zip(units, one.prevalence, strict=True)),
            }
            for one in comparison.sets
        ],
        "pairs": [
            {
                "first": pair.first.name,
                "second": pair.second.name,
                **{name: _numbers(value) for name, value in pair.measures.items()},
                "kappa": by_unit(pair.kappa),
            }
            for pair in comparison.pairs
        ],
        "mean_alpha": comparison.mean_alpha and _numbers(comparison.mean_alpha),
        "alpha": comparison.alpha and by_unit(comparison.alpha),
    }


def comparison_svg(pair: PairAgreement, rows: int) -> str:
    """Return a picture of a pair: kappa with its interval, and prevalence, unit by unit."""
    bottom = _TOP + _ROW * len(ACTION_UNITS)
    parts = [*_heading(pair, rows), *_axes(pair, bottom)]
    for place in range(len(ACTION_UNITS)):
        parts += _unit(pair, place)
    title = f"{pair.first.name} and {pair.second.name}"
    return build_svg(_WIDTH, bottom + _BOTTOM, title, parts)


def _set_rows(comparison: Comparison) -> Iterator[list[str]]:
    yield ["data set", "rows", "units a row", "conflicts", "units never shown"]
    for one in comparison.sets:
        empty = " ".join(f"AU{code}" for code in one.empty_units) or "none"
        units = f"{one.units_per_row:.2f}"
        yield [_cell(one.name), f"{one.rows:,}", units, f"{one.conflicts:,}", empty]


def _measure_rows(comparison: Comparison) -> Iterator[list[str]]:
    yield ["measure", *map(_pair, comparison.pairs)]
    for name, title in MEASURES.items():
        share = name in _SHARES
        yield [title, *(_told(pair.measures[name], share) for pair in comparison.pairs)]


def _alpha_line(comparison: Comparison) -> Iterator[str]:
    if comparison.mean_alpha:
        units = MEASURES["mean_kappa"].removeprefix("mean kappa ")
        yield (
            f"Krippendorff's alpha of all {len(comparison.sets)}, "
            f"mean {units}: {_told(comparison.mean_alpha)}."
        )


def _unit_rows(comparison: Comparison) -> Iterator[list[str]]:
    alpha = comparison.alpha
    kappas = [f"kappa {_pair(pair)}" for pair in comparison.pairs] if alpha else ["kappa"]
    yield ["unit", *["alpha"] * bool(alpha), *kappas, *(_cell(one.name) for one in comparison.sets)]
    for place, unit in enumerate(ACTION_UNITS):
        yield [
            f"AU{unit.code} {unit.name}",
            *([_told(alpha[place])] if alpha else []),
            *(_told(pair.kappa[place]) for pair in comparison.pairs),
            *(f"{one.prevalence[place]:.1%}" for one in comparison.sets),
        ]


def _table(rows: Iterable[list[str]]) -> str:
    first, *others = rows
    line = ["---", *["---:"] * (len(first) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (first, line, *others))


def _told(estimate: Estimate, share: bool = False) -> str:
    if math.isnan(estimate.value):
        return "–"  # noqa: RUF001
    form = ".1%" if share else ".3f"
    ends = f"{estimate.low:{form}}", f"{estimate.high:{form}}"
    return f"{estimate.value:{form}} [{', '.join(ends)}]"


def _numbers(estimate: Estimate) -> dict[str, float | None]:
    ends = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: None if math.isnan(number) else number for name, number in ends.items()}


def _cell(name: str) -> str:
    """Return a name that neither a table nor a picture takes for its own signs."""
    return html.escape(re.sub(r"[|\\`*\[\]\s]+", " ", name).strip())


def _pair(pair: PairAgreement) -> str:
    return f"{_cell(pair.first.name)} / {_cell(pair.second.name)}"


def _picture_names(comparison: Comparison) -> list[str]:
    if len(comparison.pairs) == 1:
        return ["compare.svg"]
    place = {one.name: number for number, one in enumerate(comparison.sets, start=1)}
    return [
        f"compare-{place[pair.first.name]}-{place[pair.second.name]}.svg"
        for pair in comparison.pairs
    ]


# The picture


def _heading(pair: PairAgreement, rows: int) -> Iterator[str]:
    names = pair.first.name, pair.second.name
    yield draw_text(
        32.0, 40.0, " and ".join(name[:40] for name in names), 22, more='font-weight="650"'
    )
    told = [
        f"mean kappa {_told(pair.measures['mean_kappa'])}",
        f"tag Jaccard {pair.measures['tag_jaccard'].value:.3f}",
        f"same first tag {pair.measures['same_first_tag'].value:.1%}",
        f"blendshapes RMS {pair.measures['blendshape_rms'].value:.3f}",
    ]
    yield draw_text(32.0, 64.0, f"{rows:,} texts  ·  {'  ·  '.join(told)}", 13, FAINT)
    left, right = _KAPPA[0], _SHARE[0]
    first, second = (name[:22] for name in names)
    bold = 'font-weight="600"'
    yield draw_text(left, 96.0, "Cohen's kappa, 95 % interval", more=bold)
    yield draw_text(right, 96.0, "share of texts that show the unit", more=bold)
    yield draw_dot(right + 6, 110.0, _FIRST, 5.5)
    yield draw_text(right + 16, 114.0, first, 12)
    yield draw_dot(right + 176, 110.0, _SECOND, 3.5)
    yield draw_text(right + 186, 114.0, second, 12)


def _axes(pair: PairAgreement, bottom: float) -> Iterator[str]:
    for place in range(0, len(ACTION_UNITS), 2):
        y = _TOP + _ROW * place
        yield f'<rect x="24" y="{y:g}" width="{_WIDTH - 48:g}" height="{_ROW:g}" fill="#f6f8f9"/>'
    top = _most_shown(pair)
    middle = 'text-anchor="middle"'
    for tick in (-0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        x = _kappa_x(tick)
        yield draw_line((x, x), (_TOP, bottom), FAINT if tick == 0 else _GRID)
        yield draw_text(x, bottom + 20, f"{tick:.1f}", 11, FAINT, middle)
    for step in range(5):
        x = _share_x(top * step / 4, top)
        yield draw_line((x, x), (_TOP, bottom), _GRID)
        yield draw_text(x, bottom + 20, f"{top * step / 4:.0%}", 11, FAINT, middle)


def _unit(pair: PairAgreement, place: int) -> Iterator[str]:
    unit, kappa = ACTION_UNITS[place], pair.kappa[place]
    y = _TOP + _ROW * (place + 0.5)
    shares = pair.first.prevalence[place], pair.second.prevalence[place]
    fill = INK if any(shares) else FAINT
    yield draw_text(80.0, y + 4, f"AU{unit.code}", 12, fill, 'text-anchor="end" font-weight="600"')
    yield draw_text(90.0, y + 4, unit.name, 12, fill)
    if not any(shares):
        yield draw_text(_share_x(0.0, 1.0) + 6, y + 4, "never shown", 11, FAINT)
        return
    if not math.isnan(kappa.value):
        low, high = _kappa_x(kappa.low), _kappa_x(kappa.high)
        yield draw_line((low, high), (y, y), "#8fa3ae", 2.5)
        yield draw_dot(_kappa_x(kappa.value), y, INK)
    first, second = (_share_x(share, _most_shown(pair)) for share in shares)
    yield draw_line((first, second), (y, y), "#b9c4ca", 2.5)
    yield draw_dot(first, y, _FIRST, 5.5)  # the larger below, so that both are seen
    yield draw_dot(second, y, _SECOND, 3.5)


def _most_shown(pair: PairAgreement) -> float:
    """Return the end of the axis of shares: the highest, rounded up to a fifth."""
    return max(math.ceil(5 * max(*pair.first.prevalence, *pair.second.prevalence)) / 5, 0.2)


def _kappa_x(kappa: float) -> float:
    left, right = _KAPPA
    at = 0.0 if math.isnan(kappa) else kappa
    return left + (right - left) * (max(at, _LOWEST) - _LOWEST) / (1 - _LOWEST)


def _share_x(share: float, most: float) -> float:
    return _SHARE[0] + (_SHARE[1] - _SHARE[0]) * share / most
