"""Faces in motion beside the speech they belong to; none of it needs the true motion."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped

from expclip.benchmarks.metrics.animation import as_columns
from expclip.benchmarks.metrics.animation_lips import opening_sync
from expclip.benchmarks.metrics.channels import LIPS, check_weights, mouth_opening, places_of
from expclip.benchmarks.metrics.warping import moves

__all__ = ["audio_metrics", "beat_consistency", "envelope", "speech_lip_consistency"]

_LIPS = places_of(LIPS)
_HOP_S = 0.01
_RISE_HOPS = 5
_RISE_DB = 6.0
_APART_HOPS = 10
_FLOOR = 1e-4  # -80 dB: below it is silence
_STANDS_OUT = 0.1  # of the range of the lips' speed
_SIGMA_S = 0.3  # EMAGE's

Clip = Float[np.ndarray, "_ 52"]  # of any length
Audio = Shaped[np.ndarray, " samples"]


def audio_metrics(
    clips: Sequence[Clip],
    audios: Sequence[Audio],
    sample_rate: int,
    fps: float,
    identities: Sequence[str] | None = None,
) -> dict[str, Float[np.ndarray, " clips"]]:
    """Return what can be said of motion and speech where no true motion is known.

    - `audio_opening_corr`, `_peak`, `audio_opening_lag_ms`, `_abs_ms`, `audio_opening_moves`:
      those of `opening_sync`, of the loudness of the speech and the opening of the mouth.
      Loud is not open (think of a hum): a real recording had 0.29. Read beside the truth's.
    - `beat_consistency`, `beat_coverage`, `slcc`, `slcc_coverage`: see those functions.

    Silence is like a mouth that stands still. A constant face has correlation 0, lag 500
    and coverage 0 with speech; with silence 1, 0 and 0.

    Args:
        clips: at ``fps``, from the start of the audio.
        audios: mono, -1..1; whole numbers are read as full scale of their type.
        sample_rate: of all.
        fps: of all.
        identities: who speaks in each clip, for SLCC; all the same if not given.

    Raises:
        ValueError: a clip or an audio is not what is asked for, or their numbers differ.
    """
    speakers = ["" for _ in clips] if identities is None else identities
    if not clips or not len(clips) == len(audios) == len(speakers):
        raise ValueError(f"{len(clips)} clips, {len(audios)} audios, {len(speakers)} identities")
    rows: list[dict[str, float]] = []
    for clip, audio in zip(clips, audios, strict=True):
        weights = check_weights("clip", clip)
        loudness = envelope(audio, sample_rate, fps, len(weights))
        sync = opening_sync(loudness, mouth_opening(weights), fps)
        row = {f"audio_{name}": value for name, value in sync.items()}
        rows.append(row | beat_consistency(weights, fps, audio, sample_rate))
    return as_columns(rows) | speech_lip_consistency(clips, audios, speakers)


def envelope(
    audio: Audio, sample_rate: int, fps: float, frames: int
) -> Float[np.ndarray, " frames"]:
    """Return the root mean square of the audio around each frame, half a frame either way.

    Squared in float64: whole numbers of 16 bits overflow, and a published script measured
    12.7 instead of 14,142 with them. Frames after the end of the audio have 0.

    Raises:
        ValueError: the audio is empty, not mono, not finite, or a rate is not above 0.
    """
    samples = _full_scale(audio)
    if not (sample_rate > 0 and fps > 0):
        raise ValueError(f"rates must be above 0, got {sample_rate} and {fps}")
    energy = np.concatenate([[0.0], np.cumsum(samples**2)])
    edges = np.rint((np.arange(frames + 1) - 0.5) * sample_rate / fps).astype(np.int64)
    edges = edges.clip(0, len(samples))
    counts = np.maximum(np.diff(edges), 1)
    return np.asarray(np.sqrt(np.diff(energy[edges]).clip(0) / counts))


def _full_scale(audio: Audio) -> Float[np.ndarray, " samples"]:
    samples = np.asarray(audio)
    if samples.ndim != 1 or not len(samples) or samples.dtype.kind not in "if":
        raise ValueError(f"audio is {samples.dtype} {samples.shape}, expected mono (samples,)")
    scale = float(np.iinfo(samples.dtype).max) if samples.dtype.kind == "i" else 1.0
    samples = samples.astype(np.float64) / scale
    if not np.isfinite(samples).all():
        raise ValueError("audio has NaN or infinite samples")
    return samples


def beat_consistency(weights: Clip, fps: float, audio: Audio, sample_rate: int) -> dict[str, float]:
    """Return how near the beats of the lips are to onsets of the speech.

    - `beat_consistency`: mean over motion beats of exp(-d² / 2 s²), d the time to the next
      onset and s = 0.3 s (EMAGE's). A beat is a local minimum of the speed of the lips that
      stands out by 10 % of the speed's range; an onset a rise of 6 dB within 50 ms. The
      detectors are a reconstruction: published ones differ and need a library of their own.
    - `beat_coverage`: 1, or 0 where there is no beat or no onset; then the other is 0.

    Where onsets are dense every beat is near one: also trembling scores high, as random
    beats do. Read beside the truth's value. Constants and silence have 0 at coverage 0.
    """
    from scipy.signal import find_peaks

    speed = np.linalg.norm(np.diff(weights[:, _LIPS], axis=0), axis=1) * fps
    onsets = _onsets(audio, sample_rate)
    beats = np.empty(0)
    if len(speed) and moves(speed):
        places = find_peaks(-speed, prominence=_STANDS_OUT * np.ptp(speed))[0]
        beats = (places + 0.5) / fps
    if not (len(beats) and len(onsets)):
        return {"beat_consistency": 0.0, "beat_coverage": 0.0}
    apart = np.abs(beats[:, None] - onsets).min(axis=1)
    near = np.exp(-(apart**2) / (2 * _SIGMA_S**2))
    return {"beat_consistency": float(near.mean()), "beat_coverage": 1.0}


def _onsets(audio: Audio, sample_rate: int) -> Float[np.ndarray, " onsets"]:
    """Return the times, in seconds, at which the loudness rises."""
    from scipy.signal import find_peaks

    hops = int(len(audio) / sample_rate / _HOP_S)
    level = 20 * np.log10(np.maximum(envelope(audio, sample_rate, 1 / _HOP_S, hops), _FLOOR))
    rise = level[_RISE_HOPS:] - level[:-_RISE_HOPS]
    places = find_peaks(np.pad(rise, 1), height=_RISE_DB, distance=_APART_HOPS)[0] - 1
    return np.asarray((places + _RISE_HOPS / 2) * _HOP_S)


def speech_lip_consistency(
    clips: Sequence[Clip], audios: Sequence[Audio], identities: Sequence[str]
) -> dict[str, Float[np.ndarray, " clips"]]:
    """Return whether louder clips have larger lip motion, for each speaker on their own.

    - `slcc`: a clip's share of the speech-lip intensity correlation (kaist-ami's Perceptual
      3D Talking Head, CVPR 2025): the product of the z-scores, within the speaker, of the
      root mean square of the audio and of sqrt(mean_t (mean_k |w'|)²), w' the change of
      the lips' weights from frame to frame. Its mean over clips is Pearson's correlation
      (over weights where the source has vertices); a single value says nothing.
    - `slcc_coverage`: 1, or 0 where the speaker has but one clip or does not differ from
      clip to clip; then the other is 0.

    Constants and random faces have a mean of 0; the truth has well below 1.
    """
    loudness = np.array([np.sqrt(np.mean(_full_scale(audio) ** 2)) for audio in audios])
    motion = np.array([_lip_intensity(check_weights("clip", clip)) for clip in clips])
    names = np.array(list(identities), dtype=object)
    product, covered = np.zeros(len(clips)), np.zeros(len(clips))
    for name in dict.fromkeys(identities):
        own = names == name
        scores = []
        for values in (loudness[own], motion[own]):
            spread = float(values.std())
            if spread > 1e-9 * max(1e-9, float(np.abs(values).max())):
                scores.append((values - values.mean()) / spread)
        if len(scores) == 2:
            product[own], covered[own] = scores[0] * scores[1], 1
    return {"slcc": product, "slcc_coverage": covered}


def _lip_intensity(weights: Clip) -> float:
    steps = np.abs(np.diff(weights[:, _LIPS], axis=0)).mean(axis=1)
    return float(np.sqrt((steps**2).mean())) if len(steps) else 0.0
