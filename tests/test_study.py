"""The user study: who sees what, what came back, and what it says."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import study_tree
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from expclip.benchmarks.study import (
    Item,
    Key,
    Media,
    PlanOptions,
    ScreeningRule,
    Stimuli,
    analyse_study,
    analysis_markdown,
    krippendorff_alpha,
    plan_trials,
    read_key,
    read_stimuli,
    write_analysis,
    write_study,
)
from expclip.benchmarks.study.answers import read_answers
from expclip.benchmarks.study.plan import name_raters
from expclip.benchmarks.study.stimuli import QUESTIONS
from expclip.cli.bench_study import app
from expclip.face import BLENDSHAPES, Sequence
from expclip.face.errors import DataError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(8)
HOSTILE = (
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 1'> {{data}} ${1+1} &amp;",
    "bell \x07 override \u202e txt.exe",
)
STILL = Sequence(np.zeros((1, len(BLENDSHAPES)), np.float32), 25.0)


def still_study(models: int = 3, items: int = 4, text: str = "I am glad.") -> Stimuli:
    names = [f"item{number}" for number in range(items)]
    return Stimuli(
        {f"model{number}": dict.fromkeys(names, STILL) for number in range(models)},
        {name: Item(text) for name in names},
    )


@pytest.fixture(scope="module")
def stimuli(tmp_path_factory: pytest.TempPathFactory) -> Stimuli:
    return read_stimuli(study_tree.write_tree(tmp_path_factory.mktemp("tree") / "study"))


@pytest.fixture(scope="module")
def key(stimuli: Stimuli, tmp_path_factory: pytest.TempPathFactory) -> Key:
    out = tmp_path_factory.mktemp("study")
    return read_key(write_study(stimuli, out, PlanOptions(raters=6)).key)


# The plan

plans = st.builds(
    lambda models, items, seen, **rest: (
        [f"m{number}" for number in range(models)],
        [f"i{number}" for number in range(items)],
        PlanOptions(items=min(seen, items), **rest),
    ),
    models=st.integers(1, 5),
    items=st.integers(1, 7),
    seen=st.integers(1, 7),
    raters=st.integers(1, 12),
    each=st.sampled_from(["all", "once"]),
    checks=st.integers(0, 1),
    seed=st.integers(0, 1000),
)


def spread(counts: Counter[object], possible: int) -> int:
    """Return by how much the most frequent exceeds the rarest, of all that are possible."""
    return max(counts.values()) - (min(counts.values()) if len(counts) == possible else 0)


@given(plans)
@settings(max_examples=30, deadline=None)
def test_every_clip_is_seen_equally_often(
    plan: tuple[list[str], list[str], PlanOptions],
) -> None:
    models, items, options = plan
    trials = plan_trials(models, items, options)
    assert len(trials) == options.raters
    rounds = len(models) if options.each == "all" else 1
    clips: Counter[object] = Counter()
    for rater in trials:
        real = [(trial.model, trial.item) for trial in rater if trial.asked is None]
        assert len(real) == len(set(real)) == options.items * rounds
        assert set(Counter(item for _, item in real).values()) == {rounds}
        assert len(rater) == len(real) + options.checks and rater[0].asked is None
        assert spread(Counter(model for model, _ in real), len(models)) <= 2
        if options.items > 1:
            assert all(one[1] != other[1] for one, other in pairwise(real))
        clips.update(real)
    assert spread(clips, len(models) * len(items)) <= 1


def test_a_latin_square_of_three_gives_each_clip_to_one_of_three_raters() -> None:
    trials = plan_trials("abc", "xyz", PlanOptions(raters=3, each="once", checks=0))
    assert sorted((one.model, one.item) for rater in trials for one in rater) == sorted(
        product("abc", "xyz")
    )
    for rater in trials:
        assert sorted(one.model for one in rater) == ["a", "b", "c"]


def test_more_raters_leave_the_earlier_plans_as_they_are() -> None:
    few, many = (plan_trials("abc", "wxyz", PlanOptions(raters=n)) for n in (4, 9))
    assert many[:4] == few
    few_names, many_names = (name_raters(PlanOptions(raters=n)) for n in (4, 9))
    assert many_names[:4] == few_names and len(set(many_names)) == 9
    assert plan_trials("cba", "zyxw", PlanOptions(raters=4)) == few
    assert plan_trials("abc", "wxyz", PlanOptions(raters=4, seed=1)) != few


def test_one_answer_throughout_fails_most_checks() -> None:
    for rater in plan_trials("abc", "wxyz", PlanOptions(raters=8, checks=3)):
        asked = [trial.asked for trial in rater if trial.asked is not None]
        assert len(asked) == len(set(asked)) == 3 and 3 not in asked


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (PlanOptions(items=3), "cannot see 3 items, there are 2"),
        (PlanOptions(checks=5), "5 checks among 4 clips"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(options: PlanOptions, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        plan_trials("ab", "xy", options)


# What is shown


def test_questions_are_those_that_an_item_can_answer(stimuli: Stimuli) -> None:
    assert stimuli.questions("a") == tuple(QUESTIONS)
    assert stimuli.questions("d") == ("emotion_text",)


def test_lips_are_not_asked_about_where_one_model_is_silent() -> None:
    clips = {"video": {"x": Media(MP4)}, "picture": {"x": Media(PNG)}}
    assert Stimuli(clips, {"x": Item("Hello")}).questions("x") == ("emotion_text",)
    del clips["picture"]
    assert Stimuli(clips, {"x": Item("Hello")}).questions("x") == ("lip_sync", "emotion_text")


@pytest.mark.parametrize(
    ("models", "items", "told"),
    [
        ({"m": {}}, {"x": Item("a")}, "model 'm' has no item 'x'"),
        ({"m": {"x": STILL, "y": STILL}}, {"x": Item("a")}, "'m' has the unknown item 'y'"),
        ({"m": {"x": STILL}}, {"x": Item()}, "item 'x' has nothing to be asked about"),
        ({"m\n": {"x": STILL}}, {"x": Item("a")}, "cannot be a name"),
        ({}, {"x": Item("a")}, "0 models"),
    ],
)
def test_stimuli_that_do_not_fit_are_refused(models: dict, items: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Stimuli(models, items)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("models/quiet/e.svg", b"<svg/>", "e.svg: expected one of"),
        ("models/quiet/a.png", PNG, "a.npz is the same item|a.png is the same item"),
        ("models/quiet/e.png", b"<html>", "e.png: is neither PNG, JPEG, MP4 nor WebM"),
        ("models/quiet/e.png", PNG, "model 'wild' has no item 'e'"),
        ("models/quiet/a.npz", b"PK\x03\x04 not really", "a.npz"),
        ("sound/z.wav", b"RIFF", "item 'z', but no model has a clip of it"),
        ("sound/a.wav", b"RIFF", "a.wav"),
        ("prompts.csv", b"item,text\na,one\na,two\n", "row 3 has 'a' again"),
        ("prompts.csv", b"item;text\na;one\n", "expected the columns item,text"),
        ("prompts.csv", b"item,text\na,\xff\n", "is no CSV in UTF-8"),
    ],
)
def test_a_broken_folder_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    folder = study_tree.write_tree(tmp_path / "study")
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=told) as caught:
        read_stimuli(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="models: cannot be read"):
        read_stimuli(tmp_path)


# The page and the key


def test_the_same_study_gives_the_same_bytes_and_never_replaces_another(tmp_path: Path) -> None:
    first = write_study(still_study(), tmp_path / "a")
    again = write_study(still_study(), tmp_path / "b")
    assert first.page.read_bytes() == again.page.read_bytes()
    assert first.key.read_bytes() == again.key.read_bytes()
    write_study(still_study(), tmp_path / "a")
    with pytest.raises(DataError, match="is the key of another study"):
        write_study(still_study(items=5), tmp_path / "a")
    assert first.key.read_bytes() == again.key.read_bytes()


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"version": 2}', b"\xff", b"[" * 100_000]
    + [
        json.dumps({"version": 1, "study": "s", "clips": clips, "raters": raters}).encode()
        for clips, raters in (
            ([], {}),
            ({"c": {"model": 1, "item": "x", "questions": ["lip_sync"]}}, {}),
            ({"c": {"model": "m", "item": "x", "questions": ["other"]}}, {}),
            ({}, {"r": [["c", None]]}),
            ({}, {"r": [[["c"], None]]}),
        )
    ],
)
def test_a_file_that_is_no_key_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.json").write_bytes(content)
    with pytest.raises(DataError, match=r"key\.json: is no key of a study") as caught:
        read_key(tmp_path / "key.json")
    assert "\n" not in str(caught.value)


# Krippendorff's alpha

N = math.nan
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
    ]
)
"""Four observers, twelve units: Krippendorff 2011, section C."""


@pytest.mark.parametrize(
    ("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_has_the_published_values(level: str, alpha: float) -> None:
    assert krippendorff_alpha(PUBLISHED, level) == pytest.approx(alpha, abs=5e-4)


def test_alpha_by_hand() -> None:
    # Units (1,1), (1,2), (2,2): pairs 11: 2, 12: 2, 22: 2; of each value 3. Expected
    # 2 * 3 * 3 / 5, observed 2: alpha = 1 - 5 * 2 / 18.
    ratings = np.array([[1.0, 1, 2], [1, 2, 2]])
    for level in ("nominal", "ordinal", "interval"):
        assert krippendorff_alpha(ratings, level) == pytest.approx(1 - 10 / 18)


scales = st.integers(2, 5).flatmap(
    lambda raters: st.lists(
        st.lists(st.sampled_from([N, 1.0, 2, 3, 4, 5]), min_size=raters, max_size=raters),
        min_size=1,
        max_size=8,
    )
)


@given(scales, st.sampled_from(["nominal", "ordinal", "interval"]), st.randoms())
@settings(max_examples=30, deadline=None)
def test_alpha_knows_no_order_of_raters_and_units(units: list, level: str, random: object) -> None:
    ratings = np.array(units).T
    rng = np.random.default_rng(0)
    shuffled = ratings[rng.permutation(len(ratings))][:, rng.permutation(ratings.shape[1])]
    alpha = krippendorff_alpha(ratings, level)
    assert krippendorff_alpha(shuffled, level) == pytest.approx(alpha, nan_ok=True)
    assert math.isnan(alpha) or alpha <= 1 + 1e-12
    alone = np.full((len(ratings), 1), N)
    alone[0] = 3
    assert krippendorff_alpha(np.hstack([ratings, alone]), level) == pytest.approx(
        alpha, nan_ok=True
    )
    if level != "nominal":  # a scale read backwards
        assert krippendorff_alpha(6 - ratings, level) == pytest.approx(alpha, nan_ok=True)


def test_alpha_is_one_if_all_agree_and_undefined_without_pairs_or_differences() -> None:
    assert krippendorff_alpha(np.array([[1.0, 3, 5]] * 3)) == 1
    for ratings in ([[4.0, 4]] * 2, [[1.0, N], [N, 2]], [[N], [N]]):
        assert math.isnan(krippendorff_alpha(np.array(ratings)))


# What came back


def test_means_and_differences_by_hand(key: Key, tmp_path: Path) -> None:
    files = [
        study_tree.write_answers(
            tmp_path / f"{rater}.csv",
            study_tree.rows(
                key, rater, lambda model, item, _, up=number % 2: 2 + up + 2 * (model == "wild")
            ),
        )
        for number, rater in enumerate(key.raters)
    ]
    analysis = analyse_study(files, key, draws=200)
    assert analysis.used == 6 and not analysis.aside
    assert [result.question for result in analysis.questions] == list(QUESTIONS)
    for result in analysis.questions:
        quiet, wild = result.scores
        assert (quiet.mean.value, wild.mean.value) == (2.5, 4.5)
        clips = 4 if result.question == "emotion_text" else 3
        assert quiet.counts == (0, 3 * clips, 3 * clips, 0, 0)
        assert 2 <= quiet.mean.low <= 2.5 <= quiet.mean.high <= 3
        (difference,) = result.differences
        assert (difference.first, difference.second, difference.raters) == ("quiet", "wild", 6)
        assert difference.value.value == difference.value.low == difference.value.high == -2
        # Six raters, all alike: two of 64 signs, then three questions. With 200 draws the
        # 64 are all tried.
        assert difference.p == pytest.approx(2 / 64)
        assert difference.adjusted == pytest.approx(6 / 64)
        assert result.alpha.low <= result.alpha.value <= result.alpha.high <= 1


def test_who_is_left_out_and_why(key: Key, tmp_path: Path) -> None:
    good, asleep, straight, lazy, *_ = key.raters

    def vary(model: str, item: str, question: str) -> int:
        return 1 + (len(model) + ord(item) + len(question)) % 5

    found = {
        good: study_tree.rows(key, good, vary),
        asleep: study_tree.rows(key, asleep, vary, attentive=False),
        straight: study_tree.rows(key, straight, lambda *_: 4),
        lazy: study_tree.rows(key, lazy, vary)[:4],
    }
    for rater, rows in found.items():
        study_tree.write_answers(tmp_path / f"{rater}.csv", rows)
    files = list(tmp_path.glob("*.csv"))
    analysis = analyse_study(files, key, draws=20)
    reasons = {rater.rater: rater.left_out for rater in analysis.raters}
    assert reasons[good] == ()
    assert [word.split(" of")[0] for word in reasons[straight]] == ["answered 4 in 20"]
    assert reasons[asleep][0].startswith("failed ")
    assert reasons[lazy][-1].startswith("answered ")
    assert analysis.used == 1
    assert {one.rater for one in analysis.ratings if one.used} == {good}
    told = analysis_markdown(analysis)
    assert "4 answered, 1 used" in told and "answered 4 in 20 of 20 cases" in told
    lenient = ScreeningRule(failed_checks=1.1, same_answer=1.1, answered=0)
    assert analyse_study(files, key, rule=lenient, draws=20).used == 4


def test_checks_are_no_ratings(key: Key, tmp_path: Path) -> None:
    rater = next(iter(key.raters))
    path = study_tree.write_answers(tmp_path / "a.csv", study_tree.rows(key, rater, lambda *_: 3))
    lenient = ScreeningRule(same_answer=1.1)
    analysis = analyse_study([path], key, rule=lenient, draws=20)
    assert {one.answer for one in analysis.ratings} == {3}
    assert len(analysis.ratings) == 2 * (3 * 3 + 1)
    assert analysis.raters[0].checks_passed == analysis.raters[0].checks_seen == 3


def test_of_two_files_of_a_rater_the_fuller_stands(key: Key, tmp_path: Path) -> None:
    rater = next(iter(key.raters))
    rows = study_tree.rows(key, rater, lambda model, item, _: 1 + (ord(item) + len(model)) % 4)
    study_tree.write_answers(tmp_path / "z.csv", rows[:-6])
    study_tree.write_answers(tmp_path / "a.csv", rows)
    analysis = analyse_study(tmp_path.glob("*.csv"), key, draws=20)
    assert analysis.raters[0].file == "a.csv"
    told = f"a.csv is of the same rater, {rater}, with as many answers or more"
    assert list(analysis.aside.values()) == [f"{tmp_path / 'z.csv'}: {told}"]


def test_what_is_no_file_of_answers_is_told_as_it_is(stimuli: Stimuli, tmp_path: Path) -> None:
    made = write_study(stimuli, tmp_path / "study", PlanOptions(raters=2))

    def told(*places: Path) -> str:
        command = ["analyse", *map(str, places), "--key", str(made.key)]
        return str(CliRunner().invoke(app, command).exception)

    assert told(tmp_path / "no.csv") == f"{tmp_path / 'no.csv'}: there is no such file"
    (tmp_path / "none").mkdir()
    assert told(tmp_path / "none") == f"{tmp_path / 'none'}: no CSV of answers in it"


def test_a_file_that_is_told_in_the_table_keeps_its_quotes(key: Key, tmp_path: Path) -> None:
    rater = next(iter(key.raters))
    study_tree.write_answers(
        tmp_path / "a.csv", study_tree.rows(key, rater, lambda m, i, _: 1 + ord(i) % 4)
    )
    (tmp_path / "b.csv").write_text("it's <b>\n")
    analysis = analyse_study(tmp_path.glob("*.csv"), key, draws=20)
    told = analysis_markdown(analysis)
    assert "&#x27;" not in told and "it's" in told and "<b>" not in told


def test_a_file_that_a_spreadsheet_saved_again_is_read(key: Key, tmp_path: Path) -> None:
    rater = next(iter(key.raters))
    path = study_tree.write_answers(tmp_path / "a.csv", study_tree.rows(key, rater, lambda *_: 3))
    text = path.read_text("utf-8").replace("4.5", "4;5").replace(",", "\t").replace(";", ",")
    again = tmp_path / "b.csv"
    again.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\t" * 7 + b"\r\n")
    assert read_answers(again, key).answers == read_answers(path, key).answers
    assert read_answers(again, key).median_s == 4.5


def changed(cell: int, value: str) -> object:
    return lambda rows: rows[0].__setitem__(cell, value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed(0, "other"), "row 2 is of the study 'other'"),
        (changed(1, "=CMD()"), r"row 2 is of the unknown rater '=CMD\(\)'"),
        (changed(2, "99"), "row 2 has the trial '99', expected 1 to 11"),
        (changed(2, "٣"), "row 2 has the trial"),
        (changed(3, "x" * 9999), "row 2 has the clip 'xxx"),
        (changed(4, "age"), "row 2 has the question 'age'"),
        (changed(5, "6"), "row 2 has the answer '6', expected 1 to 5"),
        (changed(5, "4.0"), "row 2 has the answer '4.0'"),
        (changed(5, "1" * 9999), "row 2 has the answer '111"),
        (changed(6, "nan"), "row 2 has 'nan' seconds"),
        (changed(6, "-1"), "row 2 has '-1' seconds"),
        (lambda rows: rows.insert(1, rows[0]), "row 3 answers trial 1, .* again"),
        (lambda rows: rows[0].pop(), "row 2 has 7 columns, expected 8"),
        (lambda rows: rows.clear(), "has no answers"),
    ],
)
def test_answers_that_no_page_can_have_saved_are_refused(
    key: Key, tmp_path: Path, change: object, told: str
) -> None:
    rows = study_tree.rows(key, next(iter(key.raters)), lambda *_: 3)
    change(rows)  # type: ignore[operator]
    path = study_tree.write_answers(tmp_path / "a.csv", rows)
    with pytest.raises(DataError, match=rf"a\.csv: {told}") as caught:
        read_answers(path, key)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_rows_of_two_raters_in_one_file_are_refused(key: Key, tmp_path: Path) -> None:
    first, second, *_ = key.raters
    rows = [*study_tree.rows(key, first, lambda *_: 3), *study_tree.rows(key, second, lambda *_: 3)]
    with pytest.raises(DataError, match=f"is of the rater '{second}', expected {first}"):
        read_answers(study_tree.write_answers(tmp_path / "a.csv", rows), key)


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=30, deadline=None)
def test_any_bytes_are_answers_or_refused_in_one_line(
    key: Key, tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_answers(path, key)
    assert "\n" not in str(caught.value)


def test_a_broken_file_is_told_and_the_others_are_used(key: Key, tmp_path: Path) -> None:
    rater = next(iter(key.raters))
    rows = study_tree.rows(key, rater, lambda model, item, _: 1 + (ord(item) + len(model)) % 4)
    study_tree.write_answers(tmp_path / "good.csv", rows)
    (tmp_path / "broken.csv").write_text("|<b>\n")
    analysis = analyse_study(tmp_path.glob("*.csv"), key, draws=20)
    assert analysis.used == 1 and len(analysis.aside) == 1
    told = analysis_markdown(analysis)
    assert "broken.csv" in told and "<b>" not in told
    with pytest.raises(DataError, match=r"broken\.csv: starts with"):
        analyse_study([tmp_path / "broken.csv"], key)
    with pytest.raises(DataError, match="no files of answers"):
        analyse_study([], key)


def test_the_tables_are_written_and_undefined_numbers_are_null(key: Key, tmp_path: Path) -> None:
    rater = next(iter(key.raters))
    rows = study_tree.rows(key, rater, lambda model, item, _: 1 + (ord(item) + len(model)) % 4)
    path = study_tree.write_answers(tmp_path / "a.csv", rows)
    analysis = analyse_study([path], key, draws=20)
    files = write_analysis(analysis, tmp_path / "out")
    assert [file.name for file in files] == ["study.md", "study.json", "ratings.csv"]
    found = json.loads(files[1].read_text("utf-8"))
    assert found["questions"][0]["alpha"]["value"] is None
    assert found["raters"][0]["rater"] == rater
    lines = files[2].read_text("utf-8").splitlines()
    assert lines[0] == "rater,model,item,question,answer,used"
    assert len(lines) == 1 + len(analysis.ratings)


def test_the_commands_go_hand_in_hand(tmp_path: Path) -> None:
    folder = study_tree.write_tree(tmp_path / "study")
    out, answers = tmp_path / "out", tmp_path / "answers"
    made = CliRunner().invoke(app, ["make", str(folder), "--out", str(out), "--raters", "2"])
    assert made.exit_code == 0, made.output
    key = read_key(out / "key.json")
    assert all(rater in made.stdout for rater in key.raters)
    answers.mkdir()
    for rater in key.raters:
        rows = study_tree.rows(key, rater, lambda model, item, _: 1 + (ord(item) + len(model)) % 4)
        study_tree.write_answers(answers / f"{rater}.csv", rows)
    words = ["analyse", str(answers), "--key", str(out / "key.json"), "--draws", "20"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "2 raters, 2 models, 8 clips" in done.stdout and (out / "study.md").is_file()
