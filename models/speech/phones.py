"""Phones: how they sound, what the mouth does for them, and random sentences of them.

The formants of vowels are the means of men in Peterson & Barney (1952); all else, sounds
and mouths, is set by judgement. No language is meant: what counts is that sound and mouth
go together as in speech.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = ["CONTROLS", "PAUSE", "PHONES", "Phone", "Utterance", "make_utterance", "phone_table"]

CONTROLS = (
    "jaw", "seal", "bite", "spread", "funnel", "pucker", "lower", "upper", "tongue",
)  # fmt: skip
"""What the mouth does, 0..1: `seal` closes the lips whatever the jaw, `bite` is the lower
lip at the teeth, `lower` and `upper` part the lips."""

PAUSE = "_"


@dataclass(frozen=True, slots=True)
class Phone:
    """A speech sound.

    Attributes:
        name: ARPAbet, lower case; PAUSE for silence.
        kind: vowel, stop, nasal, fricative, affricate, glide, breath or pause.
        formants: first to third, in Hz, of a man.
        voice: loudness of the voice in it, 0..1.
        noise: loudness, middle (Hz) and width (Hz) of its hiss or burst.
        seconds: how long it usually lasts.
        mouth: targets, as in CONTROLS.
        grip: how far it imposes formants, jaw, and lips on its neighbours.
    """

    name: str
    kind: str
    formants: tuple[float, float, float]
    voice: float
    noise: tuple[float, float, float]
    seconds: float
    mouth: tuple[float, ...]
    grip: tuple[float, float, float]


_TABLE = """
_  pause     500 1500 2500   0   0 4000 4000 400   2  80  80    2   0   0   0   0   0   0   0   0
iy vowel     270 2290 3010 100   0 4000 4000 110 100 100 100   12   0   0  55   0   0  30   5   0
ih vowel     390 1990 2550 100   0 4000 4000  80 100 100 100   20   0   0  30   0   0  30   5   0
eh vowel     530 1840 2480 100   0 4000 4000 100 100 100 100   34   0   0  25   0   0  40  12   0
ae vowel     660 1720 2410 100   0 4000 4000 130 100 100 100   50   0   0  35   0   0  50  20   0
aa vowel     730 1090 2440 100   0 4000 4000 130 100 100 100   65   0   0   0   0   0  45  10   0
ao vowel     570  840 2410 100   0 4000 4000 120 100 100 100   45   0   0   0  50  15  20   0   0
uh vowel     440 1020 2240 100   0 4000 4000  80 100 100 100   20   0   0   0  35  30  10   0   0
uw vowel     300  870 2240 100   0 4000 4000 110 100 100 100   12   0   0   0  25  80   0   0   0
ah vowel     640 1190 2390 100   0 4000 4000  90 100 100 100   42   0   0   0   0   0  35   5   0
er vowel     490 1350 1690 100   0 4000 4000 110 100 100 100   20   0   0   0  30  25  15   0   0
p  stop      250  850 2250   0  25  900 1500 100  60 120 400    5 100   0   0   0   0   0   0   0
b  stop      250  850 2250  30  15  900 1500  90  60 120 400    5 100   0   0   0   0   0   0   0
m  nasal     270 1000 2200  50   0 4000 4000  85  60 120 400    5 100   0   0   0   0   0   0   0
f  fricative 250  850 2250   0  15 5000 6000 100  60 100 400   10   0 100   0   0   0   0  20   0
v  fricative 250  850 2250  45   8 5000 6000  70  60 100 400   10   0 100   0   0   0   0  20   0
th fricative 250 1400 2550   0  10 6000 6000  90  80 100  35   15   0   0   0   0   0  25  10  35
dh fricative 250 1400 2550  50   4 6000 6000  50  80 100  35   15   0   0   0   0   0  25  10  35
t  stop      250 1750 2650   0  50 4200 3000  80  80 100  35   10   0   0  10   0   0  25   0   0
d  stop      250 1750 2650  30  30 4000 3000  60  80 100  35   10   0   0  10   0   0  25   0   0
n  nasal     270 1650 2500  50   0 4000 4000  65  80 100  35   10   0   0  10   0   0  25   0   0
s  fricative 250 1750 2650   0  60 6200 2500 110  80 100  35    5   0   0  20   0   0  35   0   0
z  fricative 250 1750 2650  40  30 6200 2500  80  80 100  35    5   0   0  20   0   0  35   0   0
l  glide     360 1150 2700  70   0 4000 4000  65  90  60  30   20   0   0   0   0   0  25   0   0
sh fricative 250 1850 2500   0  60 3300 1600 120  80 100 160   10   0   0   0  55  25  20  20   0
ch affricate 250 1850 2500   0  60 3300 1800 120  80 100 160   10   0   0   0  55  25  20  20   0
jh affricate 250 1850 2500  35  35 3200 1800  90  80 100 160   10   0   0   0  55  25  20  20   0
k  stop      250 1950 2300   0  40 2000 1200  90  70  50  15   18   0   0   0   0   0  15   0   0
g  stop      250 1950 2300  30  25 1900 1200  70  70  50  15   18   0   0   0   0   0  15   0   0
hh breath    500 1500 2500   0   0 1500 4000  60  10  10   5   25   0   0   0   0   0   0   0   0
r  glide     330 1150 1550  70   0 4000 4000  70 100  60 100   14   0   0   0  35  25   0   0   0
w  glide     300  650 2200  70   0 4000 4000  70 100  70 200   10   0   0   0  20  75   0   0   0
y  glide     270 2250 3000  70   0 4000 4000  60 100  70  50   12   0   0  35   0   0  25   0   0
"""
"""Name, kind, formants, voice, noise, milliseconds, grip and mouth; shares in percent."""


def _read_phone(line: str) -> Phone:
    name, kind, *rest = line.split()
    first, second, third, *shares = map(int, rest)
    voice, loud, middle, width, milliseconds, *more = shares
    tube, jaw, lips, *mouth = (share / 100 for share in more)
    return Phone(
        name,
        kind,
        (first, second, third),
        voice / 100,
        (loud / 100, middle, width),
        milliseconds / 1000,
        tuple(mouth),
        (tube, jaw, lips),
    )


_INVENTORY = tuple(map(_read_phone, _TABLE.strip().splitlines()))

PHONES: dict[str, Phone] = {phone.name: phone for phone in _INVENTORY}
"""By name, the pause first."""

_INDEX = {name: index for index, name in enumerate(PHONES)}

# Frequencies of syllable parts, roughly those of English; a diphthong is two vowels.
_ONSETS = (
    "", "", "b", "p", "m", "m", "f", "v", "w", "w", "t", "t", "d", "n", "n", "s", "s", "z", "l",
    "l", "sh", "ch", "jh", "k", "k", "g", "hh", "r", "r", "y", "th", "dh", "dh", "b", "p", "f",
    "p r", "b r", "t r", "s t", "s p", "k l", "f l", "s m", "k w", "b l", "f r", "g r",
)  # fmt: skip
_NUCLEI = (
    "iy", "ih", "ih", "ih", "eh", "eh", "ae", "ae", "aa", "ao", "uh", "uw", "ah", "ah", "ah", "er",
    "aa iy", "eh iy", "ao uw", "aa uw", "ao iy",
)  # fmt: skip
_CODAS = (
    "", "", "", "", "", "", "n", "n", "t", "t", "d", "s", "z", "l", "r", "m", "k", "p", "b", "v",
    "f", "th", "sh", "g", "n t", "s t", "m p", "n d", "l f",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """Phones in time.

    Attributes:
        phones: positions in PHONES.
        bounds_s: where each begins, and where the last ends.
        stress: of each phone, 0..1.
        phrase: number of the phrase that each is in; a pause belongs to the one before.
    """

    phones: Int[np.ndarray, " phones"]
    bounds_s: Float[np.ndarray, " bounds"]
    stress: Float[np.ndarray, " phones"]
    phrase: Int[np.ndarray, " phones"]

    @property
    def names(self) -> tuple[str, ...]:
        """What was said, as names of PHONES."""
        names = tuple(PHONES)
        return tuple(names[index] for index in self.phones)

    @property
    def spoken(self) -> Bool[np.ndarray, " phones"]:
        """Which phones are no pauses."""
        return np.asarray(self.phones != _INDEX[PAUSE])


@cache
def phone_table(field: str) -> Float[np.ndarray, "phones values"]:
    """Return `formants`, `noise`, `grip` or `mouth` of all phones, as rows."""
    rows = [getattr(phone, field) for phone in _INVENTORY]
    return np.array(rows, np.float64)


def make_utterance(rng: np.random.Generator, seconds: float, rate: float) -> Utterance:
    """Return random words in phrases, between pauses, that fill some seconds.

    Args:
        rng: all that is random comes from it.
        seconds: from the first pause's begin to the last one's end.
        rate: of speech; 1 is usual, about 12 phones a second.
    """
    names, lengths, stress, phrase = [PAUSE], [float(rng.uniform(0.1, 0.5))], [0.0], [0]
    number, total = 0, lengths[0]
    while total < seconds - 0.6:
        for _ in range(int(rng.integers(2, 6))):  # words of a phrase
            for name, length, beat in _make_word(rng):
                names.append(name)
                lengths.append(length / rate)
                stress.append(beat)
                phrase.append(number)
        last = len(names) - 1
        lengths[last] *= 1.4  # the end of a phrase is drawn out
        names.append(PAUSE)
        lengths.append(float(rng.gamma(3.0, 0.13)) + 0.12)
        stress.append(0.0)
        phrase.append(number)
        number, total = number + 1, sum(lengths)
    bounds = np.concatenate([[0.0], np.cumsum(lengths)])
    kept = int((bounds[:-1] < seconds - 0.3).sum())
    phones = np.array([_INDEX[name] for name in names[:kept]], np.int64)
    bounds = np.append(bounds[: kept + 1], seconds)
    bounds[-2] = min(bounds[-2], seconds - 0.15)  # and then silence
    return Utterance(
        np.append(phones, _INDEX[PAUSE]),
        bounds,
        np.append(np.array(stress[:kept]), 0.0),
        np.append(np.array(phrase[:kept], np.int64), phrase[kept - 1]),
    )


def _make_word(rng: np.random.Generator) -> list[tuple[str, float, float]]:
    """Return name, seconds and stress of the phones of a word."""
    syllables = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
    stressed = int(rng.integers(syllables))
    strength = float(rng.uniform(0.4, 1.0))
    phones = []
    for syllable in range(syllables):
        beat = strength if syllable == stressed else 0.15
        parts = (_ONSETS, _NUCLEI, _CODAS)
        onset, nucleus, coda = (part[int(rng.integers(len(part)))].split() for part in parts)
        for name in (*onset, *nucleus, *coda):
            drawn = PHONES[name].seconds * float(np.exp(rng.normal(0, 0.15)))
            shared = 0.75 if name in nucleus and len(nucleus) > 1 else 1.0
            long = 1 + 0.4 * beat if PHONES[name].kind == "vowel" else 1.0
            phones.append((name, drawn * long * shared, beat))
    return phones
