"""The review of core: its two annotations, and the script that compares them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from expclip.face import find_conflicts, parse_action
from expclip.tead import read_core

FOLDER = Path(__file__).parents[1] / "benchmarks" / "core"
REVIEW = FOLDER / "review"


def compare(*paths: Path) -> str:
    command = [sys.executable, str(FOLDER / "agreement.py"), *map(str, paths)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def rows_of(name: str) -> dict[str, dict[str, Any]]:
    lines = (REVIEW / name).read_text("utf-8").splitlines()
    return {row["key"]: row for row in map(json.loads, lines)}


def test_kappa_and_jaccard_are_those_computed_by_hand(tmp_path: Path) -> None:
    # AU12: yes yes no no against yes no no no: agreed 3/4, chance 1/2 * 1/4 + 1/2 * 3/4 = 1/2.
    first = [["AU12C"], ["AU12C"], ["AU4B"], ["AU4B"]]
    second = [["AU12B"], ["AU4B"], ["AU4B"], ["AU4B"]]
    for name, units in (("a", first), ("b", second)):
        rows = (
            {"key": str(key), "emotions": ["joy", name, "x"], "aus": aus}
            for key, aus in enumerate(units)
        )
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = compare(tmp_path / "a", tmp_path / "b")
    assert "| AU12 lip corner puller | 0.50 | 50.0% | 25.0% |" in told
    assert "| AU4 brow lowerer | 0.50 | 50.0% | 75.0% |" in told
    assert "mean kappa over 2 units" in told and "0.500" in told
    assert "tag Jaccard 0.500; same first tag 1.000" in told  # joy and x of joy, a, b, x


def test_the_blind_annotation_is_of_a_tenth_of_the_rows_and_sound() -> None:
    first, second = rows_of("round2_first.jsonl"), rows_of("round2_second.jsonl")
    core = {row.text.text: row.annotation for row in read_core()}
    assert first.keys() == second.keys()
    assert len(first) / len(core) == pytest.approx(0.1, abs=0.005)
    for key, row in first.items():
        assert tuple(row["aus"]) == core[row["text"]].au_codes
        for units in (row["aus"], second[key]["aus"]):
            assert not find_conflicts(parse_action(unit).code for unit in units)


def test_two_coders_agree_beyond_chance() -> None:
    told = compare(REVIEW / "round2_first.jsonl", REVIEW / "round2_second.jsonl")
    [kappa] = re.findall(r"used in more than 2% of rows: (\d\.\d+)", told)
    assert float(kappa) >= 0.6
