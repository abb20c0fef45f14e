"""Previews: the drawn face with its sound and its prompts, as one page or one video.

The page draws the face itself, with the script that a test holds to the pixels of
`face.render`; all is in the one file, and a Content-Security-Policy lets nothing be fetched
and no other script run. Texts of prompts travel compressed, and are never markup.
"""

import base64
import io
import json
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from expclip.beat_loader.resample import resample
from expclip.face import BLENDSHAPES, render_contact_sheet
from expclip.face.errors import MissingExtra
from expclip.face.files import write_atomically
from expclip.face.page import compress, fill_holes, hash_source

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["NO_PROMPT", "Preview", "require_video", "write_page", "write_video"]

NO_PROMPT = "no prompt"

_VIDEO_FPS = 30
_VIDEO_SIZE = 480
_PEAKS = 480
_LONGEST_CAPTION = 300
_SOUND_BLOCK = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """What is seen and heard.

    Attributes:
        weights: of the face, 0..1.
        fps: of them.
        captions: from which second on which text stands below, ascending.
        samples: the sound, -1..1; may be empty.
        sample_rate: of it, in Hz.
    """

    weights: Float[np.ndarray, "frames 52"]
    fps: float
    captions: tuple[tuple[float, str], ...]
    samples: Float[np.ndarray, " samples"]
    sample_rate: int

    @property
    def seconds(self) -> float:
        """How long it is: as the sound, or as the face where there is none."""
        return len(self.samples) / self.sample_rate or len(self.weights) / self.fps

    def caption_at(self, second: float) -> str:
        """Return the text that stands below at a time."""
        found = [text for start, text in self.captions if start <= second + 1e-6]
        return found[-1] if found else ""


def write_page(preview: Preview, path: Path) -> None:
    """Write one HTML file that plays anywhere, without a network; equal previews, equal bytes.

    Raises:
        DataError: it cannot be written.
    """
    data = {
        "fps": preview.fps,
        "seconds": preview.seconds,
        "shapes": BLENDSHAPES,
        "captions": [(start, text[:_LONGEST_CAPTION]) for start, text in preview.captions],
        "none": NO_PROMPT,
        "peaks": _peaks(preview.samples).tolist(),
    }
    drawing = files("expclip.tead").joinpath("data/report/face.js").read_text("utf-8")
    script, style = drawing + _part("player.js"), _part("style.css")
    policy = [
        "default-src 'none'",
        f"script-src '{hash_source(script)}'",
        f"style-src '{hash_source(style)}'",
        "media-src data:",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    holes = {
        "policy": "; ".join(policy),
        "version": version("expclip"),
        "style": style,
        "script": script,
        "sound": f"data:audio/wav;base64,{base64.b64encode(_wav(preview)).decode()}",
        "data": compress(json.dumps(data, ensure_ascii=False).encode()),
        "weights": compress(np.rint(255 * preview.weights.clip(0, 1)).astype(np.uint8).tobytes()),
    }
    page = fill_holes(_part("page.html"), holes)
    with write_atomically(path) as temporary:
        temporary.write_text(page, "utf-8", newline="\n")


def _part(name: str) -> str:
    return files("expclip.models.speech").joinpath("page", name).read_text("utf-8")


def _wav(preview: Preview) -> bytes:
    """Return the sound as a 16-bit wav, which every browser plays, to the sample."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(preview.sample_rate)
        sound.writeframes(np.rint(32767 * preview.samples.clip(-1, 1)).astype("<i2").tobytes())
    return file.getvalue()


def _peaks(samples: Float[np.ndarray, " samples"]) -> np.ndarray:
    """Return how loud the sound is from beginning to end, 0..255."""
    if not len(samples):
        return np.zeros(1, np.int64)
    edges = np.linspace(0, len(samples), min(_PEAKS, len(samples)), endpoint=False).astype(int)
    loud = np.maximum.reduceat(np.abs(samples), edges)
    return np.asarray(np.rint(255 * np.sqrt(loud.clip(0, 1))), np.int64)


# Video


def require_video() -> Any:
    """Return PyAV.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise MissingExtra("av", "mead3d") from None
    return av


def write_video(preview: Preview, path: Path) -> None:
    """Write an mp4 (H.264, AAC) of 30 frames a second.

    Raises:
        MissingExtra: PyAV is not installed.
        DataError: it cannot be written.
    """
    av = require_video()
    pictures = _pictures(preview)
    first = next(pictures)
    with write_atomically(path) as temporary, av.open(str(temporary), "w", format="mp4") as file:
        video = file.add_stream("libx264", rate=_VIDEO_FPS)
        video.width, video.height, video.pix_fmt = first.width, first.height, "yuv420p"
        video.options = {"crf": "20", "preset": "veryfast", "threads": "1"}
        sound = file.add_stream("aac", rate=preview.sample_rate, layout="mono")
        for number, picture in enumerate(_chain(first, pictures)):
            frame = av.VideoFrame.from_image(picture)
            frame.pts, frame.time_base = number, Fraction(1, _VIDEO_FPS)
            file.mux(video.encode(frame))
        file.mux(video.encode())
        for start in range(0, len(preview.samples), _SOUND_BLOCK):
            block = preview.samples[start : start + _SOUND_BLOCK].clip(-1, 1).astype(np.float32)
            heard = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
            heard.sample_rate, heard.pts = preview.sample_rate, start
            heard.time_base = Fraction(1, preview.sample_rate)
            file.mux(sound.encode(heard))
        file.mux(sound.encode())


def _chain(first: "Image", others: "Iterator[Image]") -> "Iterator[Image]":
    yield first
    yield from others


def _pictures(preview: Preview) -> "Iterator[Image]":
    """Yield the frames of a video, all of one size with even sides, as H.264 needs them."""
    from PIL import Image

    faces = resample(preview.weights, preview.fps, _VIDEO_FPS).clip(0, 1)
    texts = {text for _, text in preview.captions} | {""}
    rest = np.zeros(len(BLENDSHAPES))
    height = max(_draw(rest, text).height for text in texts)
    height += height % 2
    count = max(len(faces), round(preview.seconds * _VIDEO_FPS))
    for number in range(count):
        face = faces[min(number, len(faces) - 1)]
        drawn = _draw(face, preview.caption_at(number / _VIDEO_FPS))
        picture = Image.new("RGB", (drawn.width, height), drawn.getpixel((0, drawn.height - 1)))
        picture.paste(drawn)
        yield picture


def _draw(face: Float[np.ndarray, " 52"], caption: str) -> "Image":
    return render_contact_sheet([face], [caption], columns=1, size=_VIDEO_SIZE)
