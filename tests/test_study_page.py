"""The rating page: that it is blind, and what a real browser makes of it."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import study_tree
from browser import CHROMIUM, Browser

from expclip.beat_loader.audio import Audio
from expclip.benchmarks.study import (
    Item,
    Key,
    Media,
    PlanOptions,
    Stimuli,
    read_key,
    read_stimuli,
    write_study,
)
from expclip.benchmarks.study.answers import read_answers
from expclip.benchmarks.study.page import StudyFiles
from expclip.face import BLENDSHAPES, Sequence, render_png

READY = "document.documentElement?.dataset.ready > 0"
HOSTILE = (
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 1'> {{data}} ${1+1} &amp;",
    "bell \x07 override \u202e txt.exe",
)
STILL = Sequence(np.zeros((1, len(BLENDSHAPES)), np.float32), 25.0)
_FEW = PlanOptions(raters=3, items=2, checks=1)

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed here")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> StudyFiles:
    folder = tmp_path_factory.mktemp("page")
    stimuli = read_stimuli(study_tree.write_tree(folder / "stimuli"))
    return write_study(stimuli, folder / "out", _FEW, title="My <b>study</b>")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> StudyFiles:
    items = {f"item{place}": Item(text) for place, text in enumerate(HOSTILE)}
    picture = Media(render_png(np.zeros(52), size=64))
    clips = {
        "first-model": dict.fromkeys(items, STILL),
        "second-model": dict.fromkeys(items, picture),
    }
    options = PlanOptions(raters=1, checks=0)
    return write_study(Stimuli(clips, items), tmp_path_factory.mktemp("hostile"), options)


def unpacked(page: Path, block: str) -> bytes:
    found = re.search(rf'id="{block}">([^<]*)<', page.read_text("utf-8"))
    assert found
    return gzip.decompress(base64.b64decode(found[1]))


def test_the_page_names_no_model_and_no_item(hostile: StudyFiles) -> None:
    page, data = hostile.page.read_text("utf-8"), unpacked(hostile.page, "data").decode()
    media = unpacked(hostile.page, "media")
    for name in ("first-model", "second-model", "item0"):
        assert name not in page and name not in data and name.encode() not in media
        assert name in hostile.key.read_text("utf-8")
    assert list(json.loads(data)["clips"]) == sorted(read_key(hostile.key).clips)


def test_codes_depend_on_the_seed(tmp_path: Path) -> None:
    stimuli = Stimuli({"m": {"x": STILL}}, {"x": Item("a")})
    codes = [
        read_key(
            write_study(stimuli, tmp_path / str(seed), PlanOptions(1, checks=0, seed=seed)).key
        )
        for seed in (0, 1)
    ]
    assert codes[0].clips.keys() != codes[1].clips.keys()


def test_no_text_is_in_the_markup(hostile: StudyFiles) -> None:
    markup = hostile.page.read_text("utf-8")
    assert "window.broken" not in markup
    assert markup.count("<script") == 3
    assert "{{" not in markup.replace("\\{\\{", "")


def test_speech_is_embedded_once_as_16_bits_without_its_tags(tmp_path: Path) -> None:
    samples = np.array([0, 0.5, -1, 2], np.float32)
    moving = Sequence(np.full((3, 52), 0.2, np.float32), 30.0)
    stimuli = Stimuli(
        {"a": {"x": moving}, "b": {"x": moving}}, {"x": Item(sound=Audio(samples, 8000))}
    )
    page = write_study(stimuli, tmp_path, PlanOptions(1, checks=0)).page
    data, media = json.loads(unpacked(page, "data")), unpacked(page, "media")
    face, sound = data["parts"]
    assert (face["kind"], face["fps"], sound["kind"]) == ("face", 30.0, "audio/wav")
    assert media[: face["end"]] == bytes([51]) * 3 * 52
    with wave.open(io.BytesIO(media[sound["start"] : sound["end"]])) as file:
        assert file.getparams()[:4] == (1, 2, 8000, 4)
        assert np.frombuffer(file.readframes(4), "<i2").tolist() == [0, 16384, -32767, 32767]
    assert {clip["sound"] for clip in data["clips"].values()} == {1}


# In a browser


def press(browser: Browser, key: str) -> None:
    code = {"Enter": 13, "Backspace": 8}.get(key) or ord(key.upper())
    text = "\r" if key == "Enter" else key if len(key) == 1 else ""
    common = {"key": key, "windowsVirtualKeyCode": code}
    browser.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
    browser.call("Input.dispatchKeyEvent", type="keyUp", **common)


def wait(browser: Browser, script: str) -> None:
    start = time.monotonic()
    while not browser.run(script):
        assert time.monotonic() - start < 20, (script, browser.complaints)
        time.sleep(0.01)


def enter(browser: Browser, files: StudyFiles, rater: str) -> None:
    browser.open(files.page, READY)
    browser.run(f"document.getElementById('rater').value = ' {rater.lower()} '")
    press(browser, "Enter")
    wait(browser, "document.getElementById('start').hidden")


def shown(browser: Browser) -> str:
    """Return the place of the clip that is shown, as the page tells it."""
    return str(browser.run("document.getElementById('count').textContent"))


def play(browser: Browser) -> None:
    """Play what can be played, by key, each to its end."""
    for key, stage in (("p", "clip"), ("r", "reference")):
        button = f"#{stage}:not([hidden]) .play:not([hidden])"
        if browser.run(f"Boolean(document.querySelector('{button}'))"):
            press(browser, key)
            wait(browser, f"document.querySelector('{button}').textContent.includes('again')")


@pytest.fixture(scope="module")
def opened() -> Iterator[Browser]:
    with Browser(1280, 860) as browser:
        yield browser


@needs_browser
def test_a_study_is_answered_by_keyboard_and_its_file_is_read(
    opened: Browser, files: StudyFiles, tmp_path: Path
) -> None:
    key: Key = read_key(files.key)
    rater = next(iter(key.raters))
    enter(opened, files, rater)
    expected = {}
    for trial, (code, asked) in enumerate(key.raters[rater]):
        assert shown(opened) == f"{trial + 1} of {len(key.raters[rater])}"
        told = opened.run("document.getElementById('prompt').textContent")
        assert (f"choose {asked} " in told) == (asked is not None)
        locked = "document.querySelector('#questions fieldset').disabled"
        assert opened.run(locked) == ("lip_sync" in key.clips[code].questions)
        play(opened)
        for place, question in enumerate(key.clips[code].questions):
            expected[trial, question] = asked or 1 + (trial + place) % 5
            press(opened, str(expected[trial, question]))
        press(opened, "Enter")
    assert "All 5 clips" in opened.run("document.getElementById('finished').textContent")
    path = tmp_path / "answers.csv"
    path.write_text(opened.run("document.getElementById('table').value"), "utf-8")
    returned = read_answers(path, key)
    assert returned.rater == rater and returned.answers == expected
    assert opened.complaints == []
    assert all(url.startswith(("blob:", "file:")) for url in opened.requests)
    assert opened.run("document.title") == "My <b>study</b>"


@needs_browser
def test_answers_are_kept_and_the_rater_goes_on_where_they_were(
    opened: Browser, files: StudyFiles
) -> None:
    key = read_key(files.key)
    _, rater, other = key.raters
    enter(opened, files, rater)
    play(opened)
    questions = key.clips[key.raters[rater][0][0]].questions
    for _ in questions:
        press(opened, "2")
    press(opened, "Enter")
    assert shown(opened) == "2 of 5"
    enter(opened, files, rater)
    assert shown(opened) == "2 of 5"
    press(opened, "Backspace")
    assert opened.run("document.querySelectorAll('input[value=\"2\"]:checked').length") == len(
        questions
    )
    enter(opened, files, other)
    assert shown(opened) == "1 of 5"
    assert opened.run("document.querySelectorAll(':checked').length") == 0


@needs_browser
def test_next_waits_for_all_answers(opened: Browser, files: StudyFiles) -> None:
    key = read_key(files.key)
    rater = next(
        rater
        for rater, [(code, _), *_] in key.raters.items()
        if "lip_sync" in key.clips[code].questions
    )
    opened.open(files.page, READY)
    opened.run("localStorage.clear()")
    enter(opened, files, rater)
    for name in ("1", "Enter"):
        press(opened, name)
    assert shown(opened) == "1 of 5"
    assert opened.run("document.querySelectorAll(':checked').length") == 0
    assert opened.run("document.getElementById('next').disabled")


@needs_browser
def test_an_unknown_code_is_refused(opened: Browser, files: StudyFiles) -> None:
    opened.open(files.page, READY)
    for word in ("constructor", "AAAAA", ""):
        opened.run(f"document.getElementById('rater').value = '{word}'")
        press(opened, "Enter")
        assert "not in the list" in opened.run("document.getElementById('refused').textContent")
    assert opened.run("document.getElementById('trial').hidden")


@needs_browser
def test_a_link_that_was_cut_still_opens_the_page(opened: Browser, files: StudyFiles) -> None:
    opened.open(files.page, READY)
    for told, code in (("AB%", ""), ("ab%20", "ab")):
        opened.run("delete document.documentElement.dataset.ready")
        opened.run(f"location.hash = '{told}'; location.reload()")
        wait(opened, READY)
        assert opened.run("document.getElementById('rater').value.trim()") == code
        assert not opened.run("document.getElementById('start').hidden")


@needs_browser
def test_hostile_text_is_shown_as_text(opened: Browser, hostile: StudyFiles) -> None:
    key = read_key(hostile.key)
    (rater,) = key.raters
    enter(opened, hostile, rater)
    told = set()
    for _ in key.raters[rater]:
        told.add(opened.run("document.getElementById('prompt').textContent"))
        for name in ("3", "Enter"):
            press(opened, name)
    assert told == {*HOSTILE[:2], "bell ⟨U+0007⟩ override ⟨U+202E⟩ txt.exe"}
    assert opened.run("window.broken ?? 0") == 0
    assert "All 6 clips" in opened.run("document.getElementById('finished').textContent")
    assert opened.complaints == []


@needs_browser
def test_a_video_that_cannot_be_played_may_be_skipped(opened: Browser, tmp_path: Path) -> None:
    video = Media(b"\x00\x00\x00\x18ftypisom" + bytes(64))
    stimuli = Stimuli({"m": {"x": video}}, {"x": Item("Hello")})
    files = write_study(stimuli, tmp_path, PlanOptions(1, checks=0))
    enter(opened, files, next(iter(read_key(files.key).raters)))
    wait(opened, "document.getElementById('next').textContent === 'Skip this clip'")
    press(opened, "Enter")
    finished = opened.run("document.getElementById('finished').textContent")
    assert finished == "0 of 1 clips are rated. Without an answer: 1."
