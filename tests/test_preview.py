"""Previews: what is in the page and in the video, and what a real browser makes of it."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Browser

from expclip.face import BLENDSHAPE_INDEX
from expclip.models.speech.preview import Preview, write_page, write_video

READY = "document.documentElement?.dataset.ready > 0"
HOSTILE = (
    "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 1'> {{data}}"
)
FPS, SECONDS = 15.0, 2.0

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed here")


@pytest.fixture(scope="module")
def preview() -> Preview:
    """Two seconds: the mouth opens more and more, then a hostile prompt comes."""
    weights = np.zeros((30, 52), np.float32)
    weights[:, BLENDSHAPE_INDEX["jawOpen"]] = np.linspace(0, 1, 30)
    tone = 0.5 * np.sin(2 * np.pi * 220 * np.arange(round(SECONDS * 8000)) / 8000)
    captions = ((0.0, "calm"), (1.0, HOSTILE))
    return Preview(weights, FPS, captions, tone.astype(np.float32), 8000)


@pytest.fixture(scope="module")
def page(preview: Preview, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preview") / "face.html"
    write_page(preview, path)
    return path


def test_all_is_in_the_page(preview: Preview, page: Path, tmp_path: Path) -> None:
    text = page.read_text("utf-8")

    def unpacked(block: str) -> bytes:
        found = re.search(rf'id="{block}">([^<]*)<', text)
        assert found
        return gzip.decompress(base64.b64decode(found[1]))

    data = json.loads(unpacked("data"))
    assert (data["fps"], data["seconds"], data["captions"][1]) == (FPS, SECONDS, [1.0, HOSTILE])
    weights = np.frombuffer(unpacked("weights"), np.uint8).reshape(30, 52)
    np.testing.assert_allclose(weights / 255, preview.weights, atol=0.5 / 255 + 1e-6)
    sound = re.search(r"data:audio/wav;base64,([^\"]*)", text)
    assert sound
    with wave.open(io.BytesIO(base64.b64decode(sound[1]))) as heard:
        assert (heard.getframerate(), heard.getnframes(), heard.getnchannels()) == (8000, 16_000, 1)
    write_page(preview, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_no_prompt_is_markup_and_nothing_comes_from_elsewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    assert "window.broken" not in text and "{{" not in text
    assert text.count("<script") == 3
    assert not re.search(r"""(?:src|href)=["'](?!data:)|https?://(?!www\.w3\.org)""", text)


def test_a_preview_without_sound_lasts_as_long_as_the_face(preview: Preview) -> None:
    silent = Preview(preview.weights, FPS, (), np.zeros(0, np.float32), 8000)
    assert silent.seconds == 2 and silent.caption_at(1) == ""


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[Browser]:
    with Browser(700, 900) as found:
        found.open(page, READY)
        yield found


@needs_browser
def test_the_page_shows_face_and_prompt_of_any_time(browser: Browser) -> None:
    before = browser.run("preview.go(0), document.getElementById('face').toDataURL()")
    assert browser.run("document.getElementById('caption').textContent") == "calm"
    after = browser.run("preview.go(1.9), document.getElementById('face').toDataURL()")
    assert browser.run("document.getElementById('caption').textContent") == HOSTILE
    assert browser.run("document.getElementById('time').textContent") == "0:01.9 / 0:02.0"
    assert browser.run("document.getElementById('shapes').textContent").startswith("jawOpen 0.98")
    assert before != after


@needs_browser
def test_the_page_plays_at_a_click(browser: Browser) -> None:
    place = "(r => [r.x + r.width / 2, r.y + r.height / 2])(play.getBoundingClientRect())"
    x, y = browser.run(f"preview.go(0), {place.replace('play', 'document.getElementById(`play`)')}")
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    moved = "new Promise(done => { const look = () => preview.shown() > 0 ? done(true)"
    assert browser.run(f"{moved} : setTimeout(look, 20); look(); }})")
    browser.run("document.getElementById('sound').pause()")


@needs_browser
def test_the_page_runs_nothing_else_and_asks_for_nothing(browser: Browser) -> None:
    assert browser.run("window.broken === undefined")
    assert browser.complaints == []
    assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []


def test_a_video_has_picture_and_sound_of_one_length(preview: Preview, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    short = Preview(
        preview.weights[:6], FPS, ((0.0, "calm"), (0.2, "a " * 60)), preview.samples[:3200], 8000
    )
    write_video(short, tmp_path / "face.mp4")
    with av.open(str(tmp_path / "face.mp4")) as file:
        video, sound = file.streams.video[0], file.streams.audio[0]
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video)]
        assert video.average_rate == 30 and len(pictures) == 12
        assert float(sound.duration * sound.time_base) == pytest.approx(0.4, abs=0.01)
    assert pictures[0].shape[1] == 480 and pictures[0].shape[0] % 2 == 0
    assert np.abs(pictures[0].astype(int) - pictures[-1]).max() > 50  # the caption has changed
