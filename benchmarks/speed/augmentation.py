"""Speed of augmentation beside nlpaug and a plain EDA loop over WordNet, in one run.

Run: `python benchmarks/speed/augmentation.py [--rows 4678] [--wordnet FOLDER]`

The targets are 10 times the plain loop for the whole of EDA, and 30 times nlpaug for
synonyms. The loop is EDA as it is usually written: NLTK (where it is installed, with its
data; else the same synonyms from our table, which is kinder to it), one text at a time.
Results are the best of several rounds, warm, text to text; the first pass is given too.
"""

import argparse
import random
import string
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from expclip.tead.eda import Eda
from expclip.tead.grammar import grammar_texts
from expclip.tead.synonyms import load_synonyms

ROUNDS = 3
EDA_OPERATIONS = ("synonym", "insertion", "swap", "deletion")
VARIANTS = 9
STOP_WORDS = frozenset(
    "a an and are as at be by for from he i in is it of on or the to was".split()
)

Lookup = Callable[[str], list[str]]


def rate(work: Callable[[], int]) -> tuple[float, float]:
    """Return outputs a second of the first pass, and of the best of the later ones."""
    rates = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        outputs = work()
        rates.append(outputs / (time.perf_counter() - start))
    return rates[0], max(rates[1:])


class PlainEda:
    """The four operations on lists of words, with Python's own generator."""

    def __init__(self, synonyms: Lookup) -> None:
        self.synonyms = synonyms

    def words(self, text: str) -> list[str]:
        """Return the words of a text, cleaned of all but letters."""
        kept = [c if c in string.ascii_letters + " " else " " for c in text.lower()]
        return "".join(kept).split()

    def synonym(self, words: list[str], count: int) -> list[str]:
        """Replace every occurrence of some words."""
        new, replaced = words.copy(), 0
        candidates = list({word for word in words if word not in STOP_WORDS})
        random.shuffle(candidates)
        for old in candidates:
            choices = self.synonyms(old)
            if choices:
                choice = random.choice(choices)
                new = [choice if word == old else word for word in new]
                replaced += 1
            if replaced >= count:
                break
        return " ".join(new).split(" ")

    def insertion(self, words: list[str], count: int) -> list[str]:
        """Insert synonyms of random words."""
        new = words.copy()
        for _ in range(count):
            for _ in range(10):
                choices = self.synonyms(random.choice(new))
                if choices:
                    new.insert(random.randrange(len(new)), choices[0])
                    break
        return new

    def swap(self, words: list[str], count: int) -> list[str]:
        """Swap pairs of words."""
        new = words.copy()
        for _ in range(count):
            first, second = random.randrange(len(new)), random.randrange(len(new))
            new[first], new[second] = new[second], new[first]
        return new

    def deletion(self, words: list[str], count: int) -> list[str]:
        """Delete words with a chance of 0.1."""
        return [word for word in words if random.random() > 0.1] or [random.choice(words)]

    def all(self, text: str) -> list[str]:
        """Return nine variants, the operations in turn."""
        words = self.words(text)
        count = max(1, int(0.1 * len(words)))
        names = [EDA_OPERATIONS[n % 4] for n in range(VARIANTS)]
        return [" ".join(getattr(self, name)(words, count)) for name in names]


def nltk_lookup() -> Lookup | None:
    """Return EDA's way of asking NLTK's WordNet, where that is installed with its data."""
    try:
        wordnet = import_module("nltk.corpus").wordnet
        wordnet.synsets("dog")
    except (ImportError, LookupError):
        return None

    def synonyms(word: str) -> list[str]:
        found = set()
        for synset in wordnet.synsets(word):
            for lemma in synset.lemmas():
                name = lemma.name().replace("_", " ").replace("-", " ").lower()
                found.add("".join(c for c in name if c in string.ascii_lowercase + " "))
        found.discard(word)
        return list(found)

    return synonyms


def nlpaug_augmenters(texts: list[str]) -> dict[str, Any]:
    """Return nlpaug's nearest augmenters, none if it is not installed."""
    try:
        naw = import_module("nlpaug.augmenter.word")
    except ImportError:
        return {}
    found = {"swap": naw.RandomWordAug(action="swap"), "deletion": naw.RandomWordAug()}
    try:
        import_module("nltk").pos_tag(["dog"])
    except LookupError:
        stand_in_tagger(texts)
    try:
        synonym = naw.SynonymAug()
        synonym.augment("The dog ran home.")
        found["synonym"] = synonym
    except LookupError:
        print("nlpaug's SynonymAug lacks NLTK's WordNet: not measured")
    return found


def stand_in_tagger(texts: list[str]) -> None:
    """Give NLTK its own kind of tagger, trained here, in the place of the weights it lacks."""
    nltk, wordnet = import_module("nltk"), import_module("nltk.corpus").wordnet
    tags = {"n": "NN", "v": "VB", "a": "JJ", "s": "JJ", "r": "RB"}

    def tag(word: str) -> str:
        senses = wordnet.synsets(word.strip(".,!?"))
        return tags[senses[0].pos()] if senses else "DT"

    tagger = import_module("nltk.tag.perceptron").PerceptronTagger(load=False)
    tagger.train([[(word, tag(word)) for word in text.split()] for text in texts[:1000]])
    nltk.pos_tag = tagger.tag
    print("nlpaug's SynonymAug: with a tagger trained here, for NLTK's weights are not installed")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4678)
    parser.add_argument("--wordnet")
    options = parser.parse_args()
    texts = [text.text for text in grammar_texts(options.rows)]
    ids = [str(n) for n in range(len(texts))]
    synonyms = load_synonyms(options.wordnet, "free")
    print(f"{len(texts)} texts, {sum(len(t.split()) for t in texts) / len(texts):.1f} words each")
    print(f"synonyms: {synonyms.source}")
    lookup = nltk_lookup()
    print(f"the plain loop asks {'NLTK' if lookup else 'our table (no NLTK data)'}\n")
    loop = PlainEda(lookup or (lambda word: list(synonyms.of(word))))
    foreign = nlpaug_augmenters(texts)

    print(f"{'outputs/s':10} {'first pass':>11} {'ours':>11} {'plain loop':>11} {'ratio':>7}"
          f" {'nlpaug':>9} {'ratio':>7}")  # fmt: skip
    for name in (*EDA_OPERATIONS, "whole"):
        eda = Eda(EDA_OPERATIONS if name == "whole" else [name], synonyms=synonyms)
        first, ours = rate(lambda eda=eda: len(eda.augment(texts, ids, variants=VARIANTS)))
        line = f"{name:10} {first:11,.0f} {ours:11,.0f}"
        _, plain = rate(lambda name=name: plain_outputs(loop, name, texts))
        line += f" {plain:11,.0f} {ours / plain:6.1f}x"
        if name in foreign:
            few = texts[:500]
            plug_in = foreign[name]
            _, theirs = rate(lambda plug_in=plug_in, few=few: bare_outputs(plug_in, few))
            line += f" {theirs:9,.0f} {ours / theirs:6.1f}x"
        print(line)
    alone = texts[:300]
    eda = Eda(EDA_OPERATIONS, synonyms=synonyms)
    one_by_one = [
        eda.augment([t], [i], variants=VARIANTS) for t, i in zip(alone, ids, strict=False)
    ]
    together = eda.augment(alone, ids[:300], variants=VARIANTS)
    print(f"same alone and in a batch: {[v for row in one_by_one for v in row] == together}")


def plain_outputs(loop: PlainEda, name: str, texts: list[str]) -> int:
    """Run the plain loop and return the number of its outputs."""
    if name == "whole":
        return sum(len(loop.all(text)) for text in texts)
    operation = getattr(loop, name)
    return sum(bool(" ".join(operation(loop.words(text), 1))) for text in texts)


def bare_outputs(plug_in: Any, texts: list[str]) -> int:
    """Run nlpaug itself, without what we put around it."""
    return len([plug_in.augment(text) for text in texts])


if __name__ == "__main__":
    main()
