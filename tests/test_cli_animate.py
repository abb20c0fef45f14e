"""`expclip animate`: files, pipes, and what is told of both."""

from __future__ import annotations

import io
import json
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from speakers import RATE, hum, make_speaker
from typer.testing import CliRunner, Result

from expclip.cli.animate import animate
from expclip.face import BLENDSHAPE_INDEX, Sequence, read_sequence, write_sequence
from expclip.face.errors import DataError
from expclip.models.animator.model import SpeechAnimator
from expclip.models.speech import Blinks, read_speech
from expclip.models.speech.pipe import read_pipe

torch.set_num_threads(1)  # networks this small only wait for one another

APP = typer.Typer()
APP.command()(animate)
DATA = Path(__file__).parents[2] / "shared" / "data"
REAL = sorted(
    path
    for folder in ("speech", "beat_audio", "livelink")
    for path in (DATA / folder).glob("*")
    if path.suffix in (".wav", ".flac")
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_speaker().save_pretrained(tmp_path_factory.mktemp("animator") / "model")


def pcm(samples: np.ndarray) -> bytes:
    return np.rint(samples.clip(-1, 1) * 32767).astype("<i2").tobytes()


def as_wav(samples: np.ndarray, rate: int = RATE, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(pcm(samples))
    return file.getvalue()


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    path.write_bytes(as_wav(hum(1.0)))
    return path


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(APP, list(map(str, arguments)), input=stdin)


def told(*arguments: object, stdin: bytes | None = None) -> str:
    done = run(*arguments, stdin=stdin)
    assert done.exit_code == 0, (done.stderr, done.exception)
    return str(done.stderr)


def fails(*arguments: object, stdin: bytes | None = None) -> str:
    """Run a command that must fail; return its one line."""
    done = run(*arguments, stdin=stdin)
    assert isinstance(done.exception, DataError | ValueError), done.exception
    assert "\n" not in str(done.exception)
    return str(done.exception)


def test_a_file_is_animated_and_the_speed_told(model: Path, speech: Path, tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("face.csv", "face.json", "face.html")]
    options = [part for out in outs for part in ("--out", out)]
    face = tmp_path / "smirk.csv"
    write_sequence(Sequence(np.full((1, 52), 0.3), 1.0), face)
    prompt = f"0:AU6+AU12 strong 0.5:@{face}"
    text = told(speech, "--model", model, "--prompt", prompt, "--fps", 30, *options)
    assert "1.0 s of speech, 29 frames at 30 a second" in text and "times real time" in text
    assert "from 0.5 s: smirk.csv" in text
    for out in outs:
        assert f"wrote {out}" in text and out.stat().st_size > 0
    assert len(read_sequence(outs[1])) == 29


def test_a_next_step_is_told(model: Path, speech: Path, tmp_path: Path) -> None:
    text = told(speech, "--model", model, "--out", tmp_path / "face.npz")
    assert f"next: expclip animate {speech} --prompt none --out face.html --model {model}" in text


def test_blinks_are_added_told_and_can_be_left_out(model: Path, tmp_path: Path) -> None:
    speech, out = tmp_path / "speech.wav", tmp_path / "face.npz"
    speech.write_bytes(as_wav(hum(4.0)))

    def animated(*options: object) -> tuple[str, np.ndarray]:
        text = told(speech, "--model", model, "--fps", 30, "--out", out, *options)
        return text, read_sequence(out).weights

    text, usual = animated()
    assert "blinks: 18 a minute, seed 0, added by rule" in text and "blink-" not in text
    bare_text, bare = animated("--no-blinks")
    assert "blinks: " not in bare_text and f"--model {model} --no-blinks" in bare_text
    samples = read_speech(speech)
    network = SpeechAnimator.from_pretrained(model).animate(samples, RATE, fps=30)
    assert bare.tobytes() == network.tobytes()
    assert usual.tobytes() == Blinks().add_to(network, 30).tobytes() != bare.tobytes()
    text, many = animated("--blink-rate", 40, "--blink-seed", 7)
    assert "blinks: 40 a minute, seed 7" in text and "--blink-rate 40 --blink-seed 7" in text
    assert many.tobytes() == Blinks(40, 7).add_to(network, 30).tobytes()


@pytest.mark.parametrize("wav", [True, False], ids=["wav", "bare"])
def test_a_pipe_gives_lines_like_the_file(
    model: Path, speech: Path, tmp_path: Path, wav: bool
) -> None:
    stdin = speech.read_bytes() if wav else pcm(hum(1.0))
    options = ["--model", model, "--prompt", "AU4", "--blink-rate", 60]
    done = run("-", *options, "--out", "-", stdin=stdin)
    assert done.exit_code == 0, done.exception
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    told(speech, *options, "--out", tmp_path / "face.json")
    whole = read_sequence(tmp_path / "face.json")
    assert whole.weights[:, BLENDSHAPE_INDEX["eyeBlinkLeft"]].max() > 0.9
    np.testing.assert_allclose([line["weights"] for line in lines], whole.weights, atol=1e-5)
    assert [line["time"] for line in lines] == [round(number / 15, 6) for number in range(15)]


def test_a_wav_that_was_piped_has_no_length(model: Path, tmp_path: Path) -> None:
    content = bytearray(as_wav(hum(0.5)))
    for at in (4, 40):
        content[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    out = tmp_path / "face.npz"
    told("-", "--model", model, "--out", out, stdin=bytes(content))
    assert len(read_sequence(out)) == 8


@pytest.mark.parametrize(
    ("kind", "tag", "bits"),
    [("u1", 1, 8), ("<i2", 1, 16), ("i3", 1, 24), ("<i4", 1, 32), ("<f4", 3, 32), ("<f8", 3, 64)],
)
def test_a_pipe_may_hold_any_plain_wav(kind: str, tag: int, bits: int) -> None:
    wanted = np.array([0.0, 0.5, -0.5, 0.25], np.float32)
    whole = np.rint(wanted * 2.0 ** (bits - 1)).astype(np.int64)
    if kind == "u1":
        body = (whole + 128).astype("u1").tobytes()
    elif kind == "i3":
        body = b"".join(int(one).to_bytes(3, "little", signed=True) for one in whole)
    else:
        body = (whole if tag == 1 else wanted).astype(kind).tobytes()
    form = struct.pack("<HHIIHH", tag, 2, 8000, 8000 * bits // 4, bits // 4, bits)
    head = b"RIFF\xff\xff\xff\xffWAVELIST" + struct.pack("<I", 4) + b"abcd"
    head += b"fmt " + struct.pack("<I", 16) + form + b"data\xff\xff\xff\xff"
    sound = read_pipe(io.BytesIO(head + body))
    assert sound.sample_rate == 8000
    np.testing.assert_allclose(np.concatenate(list(sound.chunks)), [0.25, -0.125], atol=1e-6)


@pytest.mark.parametrize(
    ("stdin", "line"),
    [
        (b"", "no sound came"),
        (b"RIFF\0\0\0\0WAVE", "a wav without sound"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "samples come before their format"),
    ],
)
def test_a_pipe_without_sound_is_one_line(model: Path, stdin: bytes, line: str) -> None:
    assert line in fails("-", "--model", model, "--out", "-", stdin=stdin)


def test_stereo_silence_and_clipping_give_a_face(model: Path, tmp_path: Path) -> None:
    for name, samples, channels in (
        ("stereo", np.repeat(hum(0.6), 2), 2),
        ("silence", np.zeros(9600), 1),
        ("clipped", 80 * hum(0.6), 1),
        ("short", hum(0.2), 1),
    ):
        path, out = tmp_path / f"{name}.wav", tmp_path / f"{name}.npz"
        path.write_bytes(as_wav(samples, channels=channels))
        told(path, "--model", model, "--out", out)
        assert len(read_sequence(out)) == (3 if name == "short" else 9)


def test_what_is_no_speech_is_one_line(model: Path, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    (tmp_path / "text.wav").write_text("this is no sound\n")
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "one.wav").write_bytes(as_wav(np.zeros(1)))
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan] * 4000), RATE, subtype="FLOAT")
    for name in ("text", "empty", "one", "nan", "absent"):
        path = tmp_path / f"{name}.wav"
        assert str(path) in fails(path, "--model", model, "--out", tmp_path / "face.csv")
    assert not (tmp_path / "face.csv").exists()


def test_mistakes_are_told_before_any_work(model: Path, speech: Path, tmp_path: Path) -> None:
    out = tmp_path / "face.csv"
    assert "needs a basis" in fails(speech, "--model", model, "--out", tmp_path / "a.glb")
    assert "expclip train animator" in fails(speech, "--model", tmp_path / "no", "--out", out)
    assert "absent.json" in fails(speech, "--model", model, "--prompt", "@absent.json")
    assert "must ascend" in fails(speech, "--model", model, "--prompt", "2:a 1:b", "--out", out)
    assert "AU99" in fails(speech, "--model", model, "--prompt", "AU99", "--out", out)
    assert "0 to 60, got 99" in fails(speech, "--model", model, "--blink-rate", 99, "--out", out)


@pytest.mark.skipif(not REAL, reason="the recordings are not here")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_speech_is_animated(model: Path, path: Path, tmp_path: Path) -> None:
    text = told(path, "--model", model, "--prompt", "AU1+AU4", "--out", tmp_path / "face.npz")
    assert "times real time" in text
    assert read_sequence(tmp_path / "face.npz").weights.max() <= 1
