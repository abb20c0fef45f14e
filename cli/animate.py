"""`expclip animate`: speech and a prompt to a face that speaks."""

from __future__ import annotations

import json
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from expclip.models.animator.model import SpeechAnimator
    from expclip.models.speech import Blinks
    from expclip.models.speech.output import Spoken
    from expclip.models.speech.prompts import PromptTrack

__all__ = ["animate"]

_MODEL = "out/animator"
_TRAIN = "expclip train animator --preset small --out out/animator"
_PIPE = "-"
_OUT = Path("animation.csv")


def animate(
    speech: Annotated[
        str, typer.Argument(metavar="FILE | -", help="Sound: wav, flac, ogg, mp3; - for a pipe.")
    ],
    prompt: Annotated[
        str,
        typer.Option(
            help='What the face shows: a text, units ("AU6+AU12 strong"), @FILE (a face, a '
            'recording or a picture of one), none; or several: "0:calm 2.5:furious".'
        ),
    ] = "none",
    strength: Annotated[float, typer.Option(help="Of the prompt: 0 none of it, 1 all.")] = 1.0,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help=".csv (Live Link Face), .json (BEAT), .npz, .parquet; .glb or .usda with "
            "--basis; .html or .mp4, to be looked at; - for JSON lines as they come. "
            "May be given again.",
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="A checkpoint: folder or Hub id.")] = _MODEL,
    fps: Annotated[float | None, typer.Option(help="Frames a second. Default: 15.")] = None,
    blinks: Annotated[
        bool, typer.Option(help="Add blinks, by rule: the network makes none.")
    ] = True,
    blink_rate: Annotated[float | None, typer.Option(help="Blinks a minute. Default: 18.")] = None,
    blink_seed: Annotated[
        int, typer.Option(help="Of their moments; another for each face of a scene.")
    ] = 0,
    basis: Annotated[
        Path | None,
        typer.Option(help="The mesh for .glb and .usda: folder or zip of OBJ, or npz."),
    ] = None,
    rate: Annotated[int, typer.Option(help="Of a pipe of bare 16-bit samples, in Hz.")] = 16_000,
    channels: Annotated[int, typer.Option(help="Of a pipe of bare samples.")] = 1,
) -> None:
    """Make a face speak.

    A pipe is animated as it comes: arecord -f S16_LE -r 16000 | expclip animate - --out -
    """
    from expclip.cli.train import quiet_loading
    from expclip.face import read_basis
    from expclip.face.errors import DataError
    from expclip.models.animator.model import SpeechAnimator
    from expclip.models.speech import Blinks
    from expclip.models.speech.output import check_outputs, write_output
    from expclip.models.speech.prompts import parse_prompts

    outs = out or [_OUT]
    files = [path for path in outs if str(path) != _PIPE]
    check_outputs(files, basis)
    added = Blinks(seed=blink_seed) if blinks else None
    if added and blink_rate is not None:
        added = replace(added, per_minute=blink_rate)
    prompts = [(one.start_s, one.prompt) for one in parse_prompts(prompt, files=True)]
    if not Path(model).is_dir() and (model == _MODEL or model.count("/") != 1):
        raise DataError(f"{model}: no checkpoint there. This makes one: {_TRAIN}")
    mesh = read_basis(basis) if basis else None
    quiet_loading()
    speaker = SpeechAnimator.from_pretrained(model)
    track = speaker.encode_prompts(prompts, strength)
    speaker.encoder  # noqa: B018  # loaded before the clock runs
    lines = len(files) < len(outs)
    if added:
        _tell(
            f"blinks: {added.per_minute:g} a minute, seed {added.seed}, added by rule; "
            "--no-blinks for what the network makes"
        )
    if speech == _PIPE:
        spoken = _from_pipe(speaker, track, fps, added, (rate, channels), lines=lines)
    else:
        spoken = _from_file(speaker, track, fps, added, speech)
        if lines:
            _write_lines(spoken.sequence.weights, 0, spoken.sequence.fps)
    for path in files:
        write_output(path, spoken, mesh)
        _tell(f"wrote {path}")
    if not any(path.suffix.lower() in (".html", ".mp4") for path in files) and speech != _PIPE:
        again = ["expclip", "animate", speech, "--prompt", prompt, "--out", "face.html"]
        again += ["--model", model] if model != _MODEL else []
        again += _blink_options(added)
        _tell(f"next: {shlex.join(again)}")


def _blink_options(blinks: Blinks | None) -> list[str]:
    """Return the options that give these blinks, those that are usual left out."""
    from expclip.models.speech import Blinks

    if blinks is None:
        return ["--no-blinks"]
    usual = Blinks()
    options = []
    if blinks.per_minute != usual.per_minute:
        options += ["--blink-rate", f"{blinks.per_minute:g}"]
    if blinks.seed != usual.seed:
        options += ["--blink-seed", str(blinks.seed)]
    return options


def _from_file(
    speaker: SpeechAnimator,
    track: PromptTrack,
    fps: float | None,
    blinks: Blinks | None,
    speech: str,
) -> Spoken:
    """Animate a file, and tell how fast that was."""
    from expclip.beat_loader.audio import SAMPLE_RATE
    from expclip.models.speech import read_speech

    samples = read_speech(speech)
    began = time.perf_counter()
    weights = speaker.animate(samples, SAMPLE_RATE, track, fps=fps, blinks=blinks)
    took = time.perf_counter() - began
    seconds = len(samples) / SAMPLE_RATE
    _tell(
        f"{speech}: {seconds:.1f} s of speech, {len(weights):,} frames at "
        f"{fps or speaker.fps:g} a second, in {took:.2f} s: {seconds / took:.0f} times real time"
    )
    for start_s, name in _captions(track):
        _tell(f"  from {start_s:g} s: {name}")
    return _spoken(weights, fps or speaker.fps, track, samples, SAMPLE_RATE)


def _from_pipe(
    speaker: SpeechAnimator,
    track: PromptTrack,
    fps: float | None,
    blinks: Blinks | None,
    bare: tuple[int, int],
    *,
    lines: bool,
) -> Spoken:
    """Animate a pipe while it comes; Ctrl-C is its end."""
    import numpy as np

    from expclip.face.errors import DataError
    from expclip.models.speech.pipe import read_pipe

    sound = read_pipe(sys.stdin.buffer, sample_rate=bare[0], channels=bare[1])
    stream = speaker.stream(sound.sample_rate, track, fps=fps, blinks=blinks)
    _tell(f"-: {sound.sample_rate:,} Hz; frames come {stream.latency_s:.1f} s after their sound")
    heard: list[Float[np.ndarray, " samples"]] = []
    frames: list[Float[np.ndarray, "frames 52"]] = []
    done = 0

    def take(weights: Float[np.ndarray, "frames 52"]) -> None:
        nonlocal done
        frames.append(weights)
        if lines:
            _write_lines(weights, done, stream.fps)
        done += len(weights)

    try:
        for samples in sound.chunks:
            heard.append(samples)
            take(stream.push(samples))
    except KeyboardInterrupt:
        _tell("stopped: what was heard counts")
    take(stream.close())
    if not done:
        raise DataError("-: no sound came")
    samples = np.concatenate(heard)
    _tell(f"-: {len(samples) / sound.sample_rate:.1f} s of speech, {done:,} frames")
    return _spoken(np.concatenate(frames), stream.fps, track, samples, sound.sample_rate)


def _spoken(weights: Any, fps: float, track: PromptTrack, samples: Any, rate: int) -> Spoken:
    from expclip.face import Sequence
    from expclip.models.speech.output import Spoken

    return Spoken(Sequence(weights, fps), tuple(_captions(track)), samples, rate)


def _captions(track: PromptTrack) -> list[tuple[float, str]]:
    return list(zip(track.starts_s, track.names, strict=True))


def _write_lines(weights: Float[np.ndarray, "frames 52"], first: int, fps: float) -> None:
    """Write frames as BEAT has them, a line each, and keep nothing back."""
    for number, row in enumerate(weights.astype(str).tolist(), first):
        time_s = json.dumps(round(number / fps, 6))
        sys.stdout.write(f'{{"time":{time_s},"weights":[{",".join(row)}]}}\n')
    sys.stdout.flush()


def _tell(line: str) -> None:
    """Print beside the frames, which have standard output for themselves."""
    print(line, file=sys.stderr)
