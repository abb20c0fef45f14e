"""A voice: pulses and noise through formants, in a room, by a microphone.

A source-filter synthesis in short spectra: a train of glottal pulses and white noise are cut
into windows of 32 ms, shaped by the formants of the moment (Fant's cascade of resonances)
and added up again. All of a clip at once, so a second of sound costs about 3 ms.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float
from scipy import fft
from scipy.signal import oaconvolve

from expclip.beat_loader.audio import SAMPLE_RATE
from expclip.models.speech.phones import PHONES, Utterance, phone_table

__all__ = ["Mood", "Voice", "blend", "make_sound", "make_voice"]

_WINDOW, _HOP = 512, 128
_BINS = np.arange(_WINDOW // 2 + 1) * (SAMPLE_RATE / _WINDOW)
_UPPER_HZ = (3500.0, 4500.0)
"""Fourth and fifth resonance, which no phone moves much."""
_WIDTHS_HZ = np.array([60.0, 90.0, 140.0, 250.0, 250.0])
_ECHO = 3200
_DULL = (np.hanning(17)[1:-1] / 3).astype(np.float32)
_GRIP_S = 0.02
"""How fast a phone's hold on the formants fades beyond its ends."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How somebody speaks.

    Attributes:
        pitch_hz: middle of the voice.
        range: of its melody, in octaves.
        tract: formants against those of a man.
        breath: noise in the voice, 0..1.
        tilt_hz: above this its spectrum falls.
        rate: of speech.
        jitter: of the pulses' times.
    """

    pitch_hz: float
    range: float
    tract: float
    breath: float
    tilt_hz: float
    rate: float
    jitter: float


@dataclass(frozen=True, slots=True)
class Mood:
    """What an emotion does to a voice: arousal -1..1, and how far lips are spread, 0..1."""

    arousal: float = 0.0
    smile: float = 0.0


def make_voice(rng: np.random.Generator) -> Voice:
    """Return a random voice: a man's, a woman's or a child's, or between."""
    size = float(rng.uniform(0, 1))
    return Voice(
        pitch_hz=95.0 * 2 ** (1.35 * size + float(rng.normal(0, 0.12))),
        range=float(rng.uniform(0.2, 0.5)),
        tract=0.95 + 0.27 * size + float(rng.normal(0, 0.02)),
        breath=float(rng.uniform(0.01, 0.12)),
        tilt_hz=float(rng.uniform(250, 700)),
        rate=float(rng.uniform(0.85, 1.2)),
        jitter=float(rng.uniform(0.002, 0.012)),
    )


def make_sound(
    rng: np.random.Generator, said: Utterance, voice: Voice, mood: Mood, samples: int
) -> Float[np.ndarray, " samples"]:
    """Return an utterance as sound, as a microphone in a room takes it up; -1..1."""
    hops = samples // _HOP + _WINDOW // _HOP
    times = (np.arange(hops) * _HOP - (_WINDOW - _HOP) / 2) / SAMPLE_RATE
    pulses = _spectra(_pulses(rng, said, voice, mood, samples), hops)
    noise = _spectra(rng.standard_normal(samples, np.float32) * np.float32(0.03), hops)
    voiced, breath, hiss = _loudness(said, voice, times)
    tube = _tube(said, voice, mood, times)
    microphone = _microphone(rng)
    shaped = pulses * (voiced[:, None] * tube * (_glottis(voice, mood) * microphone))
    hissing = hiss[:, None] * _hiss(said, times)
    shaped += noise * ((breath[:, None] * tube + hissing) * microphone)
    return _recorded(rng, _overlap_add(shaped, samples), mood)


def blend(
    said: Utterance,
    values: Float[np.ndarray, "phones values"],
    grip: Float[np.ndarray, "phones values"],
    times: Float[np.ndarray, " times"],
    fade_s: float,
) -> Float[np.ndarray, "times values"]:
    """Return targets as they blend in time: coarticulation by dominance (Cohen & Massaro 1993).

    Each phone holds its targets while it lasts; its grip fades by 1/e every `fade_s` beyond.
    """
    begin, end = said.bounds_s[:-1], said.bounds_s[1:]
    away = np.maximum(np.maximum(begin - times[:, None], times[:, None] - end), 0)
    hold = np.exp(-away / fade_s)  # (times, phones)
    return np.asarray((hold @ (grip * values)) / (hold @ grip))


def _pulses(
    rng: np.random.Generator, said: Utterance, voice: Voice, mood: Mood, samples: int
) -> Float[np.ndarray, " samples"]:
    """Return a pulse for each opening of the glottis, between two samples where need be."""
    grid = np.arange(0, samples + _HOP, _HOP) / SAMPLE_RATE
    middle = (said.bounds_s[:-1] + said.bounds_s[1:]) / 2
    bumps = np.exp(-(((grid[:, None] - middle - 0.02) / 0.09) ** 2)) @ said.stress
    first = np.searchsorted(said.phrase, np.arange(said.phrase[-1] + 1))
    since = grid - said.bounds_s[first][_at(said, grid, said.phrase)]
    wobble = np.interp(grid, np.linspace(0, grid[-1], 24), rng.normal(0, 0.05, 24))
    lift = 1 + 0.6 * max(mood.arousal, -0.8)
    octaves = voice.range * lift * (0.5 * bumps - 0.12 * since) + wobble + 0.5 * mood.arousal
    pitch = np.clip(voice.pitch_hz * 2**octaves, 55, 600)
    cycles = np.concatenate([[0.0], np.cumsum(pitch[:-1]) * (_HOP / SAMPLE_RATE)])
    number = np.arange(1, int(cycles[-1]))
    places = np.interp(number, cycles, grid) * SAMPLE_RATE
    period = SAMPLE_RATE / np.interp(places / SAMPLE_RATE, grid, pitch)
    places = np.clip(places + rng.normal(0, voice.jitter, len(number)) * period, 0, samples - 2)
    height = (1 + 0.06 * rng.standard_normal(len(number))) * np.sqrt(period / 100)
    whole = places.astype(np.int64)
    part = places - whole
    train = np.bincount(whole, height * (1 - part), samples)
    train += np.bincount(whole + 1, height * part, samples)
    return train.astype(np.float32)


def _loudness(
    said: Utterance, voice: Voice, times: Float[np.ndarray, " hops"]
) -> tuple[Float[np.ndarray, " hops"], Float[np.ndarray, " hops"], Float[np.ndarray, " hops"]]:
    """Return how loud voice, breath and hiss are.

    A stop is closed for its first 60 %; then it bursts and, unvoiced, breathes.
    """
    kinds = np.array([phone.kind for phone in PHONES.values()])[said.phones]
    voiced = np.array([phone.voice for phone in PHONES.values()])[said.phones]
    hiss = phone_table("noise")[said.phones, 0]
    closes = np.isin(kinds, ("stop", "affricate"))
    aspirated = (closes & (voiced == 0)) | (kinds == "breath")
    number = _at(said, times, np.arange(len(said.phones)))
    length = np.diff(said.bounds_s)[number]
    share = np.clip((times - said.bounds_s[number]) / length, 0, 1)
    closed = closes[number] & (share < 0.6)
    voiced_now = voiced[number] * np.where(closed, 0.35, 1.0) * (0.75 + 0.5 * said.stress[number])
    breath_now = np.where(aspirated[number] & ~closed, 0.5, 0.0) + voice.breath * voiced_now
    burst = np.where(kinds[number] == "stop", np.exp(-(((share - 0.65) / 0.12) ** 2)), 1.0)
    hiss_now = np.where(closed, 0.0, hiss[number] * burst)
    return _smooth(voiced_now), _smooth(breath_now), _smooth(hiss_now)


def _tube(
    said: Utterance, voice: Voice, mood: Mood, times: Float[np.ndarray, " hops"]
) -> Float[np.ndarray, "hops bins"]:
    """Return the gain of the vocal tract: five resonances in a row, muffled in nasals."""
    grip = np.repeat(phone_table("grip")[said.phones, :1], 3, axis=1)
    formants = blend(said, phone_table("formants")[said.phones], grip, times, _GRIP_S)
    tract = voice.tract * (1 + 0.08 * mood.smile)
    upper = np.broadcast_to(_UPPER_HZ, (len(times), len(_UPPER_HZ)))
    hertz = (np.hstack([formants, upper]) * tract).astype(np.float32)  # (hops, resonances)
    nasal = np.array([phone.kind == "nasal" for phone in PHONES.values()])[said.phones]
    muffled = _smooth(nasal[_at(said, times, np.arange(len(nasal)))].astype(np.float64))
    damping = np.square(_WIDTHS_HZ * (1 + 1.5 * muffled[:, None]) / hertz).astype(np.float32)
    squares = (_BINS**2).astype(np.float32)
    product = np.ones((len(times), len(_BINS)), np.float32)
    for centre, loss in zip(hertz.T, damping.T, strict=True):
        ratio = squares / np.square(centre)[:, None]
        np.multiply(product, np.square(1 - ratio) + ratio * loss[:, None], out=product)
    # The resonances above the fifth lift what these let fall.
    lift = 1 + squares / np.float32((3800 * tract) ** 2)
    gain: np.ndarray = lift**2.5 / np.sqrt(product)
    return gain


def _glottis(voice: Voice, mood: Mood) -> Float[np.ndarray, " bins"]:
    """Return the spectrum of a pulse as it leaves the lips; excitement makes it brighter."""
    corner = voice.tilt_hz * 2 ** (0.8 * mood.arousal)
    shape: np.ndarray = _BINS / (_BINS + 60) / (1 + (_BINS / corner))
    return shape.astype(np.float32)


def _hiss(said: Utterance, times: Float[np.ndarray, " hops"]) -> Float[np.ndarray, "hops bins"]:
    """Return the spectrum of friction, one broad resonance."""
    noise = phone_table("noise")[said.phones].astype(np.float32)
    noise = noise[_at(said, times, np.arange(len(said.phones)))]
    middle, width = noise[:, 1:2], noise[:, 2:3]
    bell: np.ndarray = 4 / (1 + ((_BINS.astype(np.float32) - middle) / (width / 2)) ** 2)
    return bell


def _microphone(rng: np.random.Generator) -> Float[np.ndarray, " bins"]:
    """Return the gain of what a recording goes through: edges, and a slope."""
    low, high = rng.uniform(30, 120), rng.uniform(4500, 9000)
    slope = rng.normal(0, 1.5)  # decibels an octave
    gain: np.ndarray = _BINS / (_BINS + low) / np.sqrt(1 + (_BINS / high) ** 8)
    gain *= (np.maximum(_BINS, 50) / 1000) ** (slope / 6.02)
    return gain.astype(np.float32)


def _recorded(
    rng: np.random.Generator, sound: Float[np.ndarray, " samples"], mood: Mood
) -> Float[np.ndarray, " samples"]:
    """Return sound with the echo of a room and a background, at some level."""
    size = len(sound)
    if rng.integers(2):
        echo = rng.standard_normal(_ECHO, np.float32)
        echo *= np.exp(-np.arange(_ECHO) / SAMPLE_RATE / rng.uniform(0.02, 0.07)).astype(np.float32)
        echo *= np.float32(rng.uniform(0.05, 0.3) / np.sqrt(np.square(echo).sum()))
        echo[0] = 1
        sound = np.asarray(oaconvolve(sound, echo)[:size])
    level = 10 ** ((rng.uniform(-34, -14) + 6 * mood.arousal) / 20)
    sound = sound * np.float32(level / np.sqrt(np.square(sound).mean() + 1e-12))
    background = rng.standard_normal(size, np.float32)
    if rng.integers(2):  # duller: a fan, a street
        background = np.convolve(background, _DULL, mode="same")
    sound += background * np.float32(level * 10 ** (-rng.uniform(25, 60) / 20))
    return np.asarray(np.clip(sound, -1, 1))


def _spectra(sound: Float[np.ndarray, " samples"], hops: int) -> Complex[np.ndarray, "hops bins"]:
    edge = _WINDOW - _HOP
    padded = np.pad(sound, (edge, edge + _WINDOW))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:hops]
    return np.asarray(fft.rfft(windows * _HANN))


def _overlap_add(
    spectra: Complex[np.ndarray, "hops bins"], samples: int
) -> Float[np.ndarray, " samples"]:
    """Return the sum of windows a quarter apart; squared Hann windows sum to 1.5."""
    parts = fft.irfft(spectra, _WINDOW) * (_HANN / 1.5)
    hops, overlap = len(parts), _WINDOW // _HOP
    quarters = parts.reshape(hops, overlap, _HOP)
    total = np.zeros((hops + overlap - 1, _HOP), np.float32)
    for quarter in range(overlap):
        total[quarter : quarter + hops] += quarters[:, quarter]
    return total.ravel()[_WINDOW - _HOP :][:samples]


_HANN = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)


def _at(said: Utterance, times: Float[np.ndarray, " times"], values: np.ndarray) -> np.ndarray:
    """Return what a phone has, for the phone of each moment."""
    number = np.searchsorted(said.bounds_s[1:-1], times, side="right")
    return np.asarray(values[number])


def _smooth(values: Float[np.ndarray, " hops"]) -> Float[np.ndarray, " hops"]:
    """Return values without steps: averaged over three hops, 24 ms."""
    around = np.pad(values, 1, mode="edge")
    return np.asarray((around[:-2] + 2 * around[1:-1] + around[2:]) / 4, np.float32)
