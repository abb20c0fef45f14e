"""Speech and faces: encoders of sound, a set of our own, pairs to learn from."""

from expclip.models.speech.audio import read_speech
from expclip.models.speech.blinks import Blinks
from expclip.models.speech.clips import (
    SPEECH_SPLITS,
    SYNTHETIC_CLIPS,
    SpeechCache,
    SpeechPairs,
    read_built_beat,
    read_folder,
    read_synthetic,
)
from expclip.models.speech.encoders import LOG_MEL, SpeechEncoder, speech_encoder
from expclip.models.speech.motion import show_expression
from expclip.models.speech.synthetic import (
    SEEN_EMOTIONS,
    UNSEEN_EMOTIONS,
    SpeechClip,
    expression_of,
    make_clip,
)

__all__ = [
    "LOG_MEL",
    "SEEN_EMOTIONS",
    "SPEECH_SPLITS",
    "SYNTHETIC_CLIPS",
    "UNSEEN_EMOTIONS",
    "Blinks",
    "SpeechCache",
    "SpeechClip",
    "SpeechEncoder",
    "SpeechPairs",
    "expression_of",
    "make_clip",
    "read_built_beat",
    "read_folder",
    "read_speech",
    "read_synthetic",
    "show_expression",
    "speech_encoder",
]
