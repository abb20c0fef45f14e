"""Agreement of two annotations of the same texts: kappa per unit, Jaccard of tags.

Run: `python benchmarks/core/agreement.py FIRST.jsonl SECOND.jsonl`

Both files hold one object a line with "key", "emotions" and "aus". The review of core
keeps its two in `benchmarks/core/review/`.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from expclip.face import ACTION_UNITS, aus_from_codes
from expclip.tead import prototypes
from expclip.tead.reports.agreement import cohen_kappa, jaccard

USED = 0.02
"""A unit counts towards the mean if more than so many rows show it, on average of both."""

DRAWS = 2000


def read(path: Path) -> dict[str, dict]:
    """Return the annotations of a file by key."""
    rows = map(json.loads, path.read_text("utf-8").splitlines())
    return {row["key"]: row for row in rows}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    args = parser.parse_args()
    one, two = read(args.first), read(args.second)
    if one.keys() != two.keys():
        parser.error(f"keys differ: {sorted(one.keys() ^ two.keys())[:3]} ...")
    keys = sorted(one)
    first, second = (
        np.array([aus_from_codes(rows[key]["aus"]) for key in keys]) for rows in (one, two)
    )
    values = cohen_kappa(first, second)
    share = (first.mean(axis=0) + second.mean(axis=0)) / 2
    used = share > USED
    print(f"{len(keys)} rows annotated twice, blind\n")
    print("| unit | kappa | first | second |\n|---|---|---|---|")
    for unit, kappa, p, q in zip(
        ACTION_UNITS, values, first.mean(axis=0), second.mean(axis=0), strict=True
    ):
        print(f"| AU{unit.code} {unit.name} | {kappa:.2f} | {p:.1%} | {q:.1%} |")
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(keys), (DRAWS, len(keys)))
    means = [np.nanmean(cohen_kappa(first[draw], second[draw])[used]) for draw in draws]
    low, high = np.percentile(means, [2.5, 97.5])
    print(
        f"\nmean kappa over {used.sum()} units used in more than {USED:.0%} of rows: "
        f"{np.nanmean(values[used]):.3f} (95 % interval {low:.3f} to {high:.3f})"
    )
    print(f"mean kappa weighted by use: {np.nansum(values * share) / share.sum():.3f}")
    tags = [jaccard(set(one[key]["emotions"]), set(two[key]["emotions"])) for key in keys]
    same = np.mean([one[key]["emotions"][0] == two[key]["emotions"][0] for key in keys])
    near = np.mean([one[key]["emotions"][0] in two[key]["emotions"] for key in keys])
    print(f"tag Jaccard {np.mean(tags):.3f}; same first tag {same:.3f}; first tag among the")
    print(f"other's tags {near:.3f} ({len(prototypes())} emotions to choose from)")
    units = [jaccard(set(one[key]["aus"]), set(two[key]["aus"])) for key in keys if one[key]["aus"]]
    print(f"unit Jaccard, intensity and side included: {np.mean(units):.3f}")


if __name__ == "__main__":
    main()
