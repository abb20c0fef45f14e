"""BEAT: hours of speech with the speaker's face, from a disk to training batches."""

from expclip.beat_loader.audio import SAMPLE_RATE, Audio, audio_seconds, read_audio
from expclip.beat_loader.build import BuildOptions, build
from expclip.beat_loader.dataset import BeatDataset, Window
from expclip.beat_loader.index import BeatIndex, LeftOut, Take
from expclip.beat_loader.labels import EmotionSpan, GestureSpan, read_emotions, read_gestures
from expclip.beat_loader.names import EMOTIONS, LANGUAGES, SPEAKERS, TakeName, parse_take_name
from expclip.beat_loader.overlap import Overlap, measure_overlap
from expclip.beat_loader.read import read_face
from expclip.beat_loader.resample import resample
from expclip.beat_loader.splits import (
    FOUR_HOUR_SPEAKERS,
    SELECTIONS,
    SPLITS,
    Part,
    Selection,
    official_parts,
)
from expclip.beat_loader.summary import Summary, summarise
from expclip.beat_loader.textgrid import Interval, TextGrid, parse_textgrid, read_textgrid

__all__ = [
    "EMOTIONS",
    "FOUR_HOUR_SPEAKERS",
    "LANGUAGES",
    "SAMPLE_RATE",
    "SELECTIONS",
    "SPEAKERS",
    "SPLITS",
    "Audio",
    "BeatDataset",
    "BeatIndex",
    "BuildOptions",
    "EmotionSpan",
    "GestureSpan",
    "Interval",
    "LeftOut",
    "Overlap",
    "Part",
    "Selection",
    "Summary",
    "Take",
    "TakeName",
    "TextGrid",
    "Window",
    "audio_seconds",
    "build",
    "measure_overlap",
    "official_parts",
    "parse_take_name",
    "parse_textgrid",
    "read_audio",
    "read_emotions",
    "read_face",
    "read_gestures",
    "read_textgrid",
    "resample",
    "summarise",
]
