"""Speed of augmentation beside nlpaug and a plain EDA loop over WordNet, in one run.

Run: `python benchmarks/speed/augmentation.py [--rows 4678] [--rounds 5] [--wordnet FOLDER]`
     `python benchmarks/speed/augmentation.py --folder out/tead`, for the whole command too

The targets are 10 times the plain loop for the whole of EDA, and 30 times nlpaug for
synonyms. All are given the same texts, one process, one round after the other (ours, the
loop, nlpaug, ours again...), by processor time, so that whatever else the machine does hits
all alike. Given are the medians of the rounds, and of their ratios, with the least and the
largest, after a first pass that fills caches.

Ours goes from a list of texts to a list of `Variant`, each with its id, operation and
outcome; the others give texts alone. The loop is EDA as it is usually written, one text at
a time, over NLTK's WordNet (where that is installed with its data; else the same synonyms
from our table, which is kinder to the loop).

nlpaug's SynonymAug asks NLTK for parts of speech, which costs it most of its time. Where the
weights of NLTK's tagger are not installed, a tagger of the very same class is trained here,
on tags by the first sense in WordNet: as many features and as many steps for each word,
over fewer classes, which is kinder to nlpaug.
"""

import argparse
import random
import resource
import string
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from expclip.tead.augmentation.eda import Eda
from expclip.tead.augmentation.synonyms import load_synonyms
from expclip.tead.corpora.grammar import grammar_texts

EDA_OPERATIONS = ("synonym", "insertion", "swap", "deletion")
VARIANTS = 9
STOP_WORDS = frozenset(
    "a an and are as at be by for from he i in is it of on or the to was".split()
)
FEW = 500  # texts for nlpaug, which would take minutes

Lookup = Callable[[str], list[str]]
Work = Callable[[], int]


def rate(work: Work) -> float:
    """Return outputs a second of processor time, over half a second at least."""
    start, outputs, seconds = time.process_time(), 0, 0.0
    while seconds < 0.5:
        outputs += work()
        seconds = time.process_time() - start
    return outputs / seconds


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
    print("nlpaug's SynonymAug has a tagger trained here, for NLTK's weights are not installed")


def plain_outputs(loop: PlainEda, name: str, texts: list[str]) -> int:
    """Run the plain loop and return the number of its outputs."""
    if name == "whole":
        return sum(len(loop.all(text)) for text in texts)
    operation = getattr(loop, name)
    return sum(bool(" ".join(operation(loop.words(text), 1))) for text in texts)


def bare_outputs(plug_in: Any, texts: list[str]) -> int:
    """Run nlpaug itself, without what we put around it."""
    return len([plug_in.augment(text) for text in texts])


def compare(name: str, works: dict[str, Work], rounds: int) -> None:
    """Measure in interleaved rounds, ours first, and print a line."""
    start = time.process_time()
    first = works["ours"]() / (time.process_time() - start)
    for work in works.values():
        work()
    found = [{peer: rate(work) for peer, work in works.items()} for _ in range(rounds)]
    line = f"{name:10} {first:11,.0f}"
    for peer in works:
        line += f" {median(each[peer] for each in found):11,.0f}"
        if peer != "ours":
            ratios = [each["ours"] / each[peer] for each in found]
            line += f" {median(ratios):6.1f}x ({min(ratios):.1f}-{max(ratios):.1f})"
    print(line, flush=True)


def whole_command(folder: Path, variants: int = 6) -> None:
    """Measure `expclip tead augment` on a TEAD, start of Python and files included."""
    code = "from expclip.cli.main import main; main()"
    with TemporaryDirectory() as out:
        command = [sys.executable, "-c", code, "tead", "augment", str(folder), "--out", out]
        start = time.perf_counter()
        told = subprocess.run(
            [*command, "--variants", str(variants)], check=True, capture_output=True, text=True
        ).stdout
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    (line,) = (line for line in told.splitlines() if " rows (" in line)
    rows = int(line.split()[0].replace(",", ""))
    print(f"\nexpclip tead augment {folder}: {line}")
    print(f"{seconds:.1f} s, {rows / seconds:,.0f} rows/s, at most {peak:,.0f} MiB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4678)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--wordnet")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    texts = [text.text for text in grammar_texts(options.rows)]
    ids = [str(n) for n in range(len(texts))]
    synonyms = load_synonyms(options.wordnet, "free")
    print(f"{len(texts)} texts, {sum(len(t.split()) for t in texts) / len(texts):.1f} words each")
    print(f"synonyms: {synonyms.source}")
    lookup = nltk_lookup()
    print(f"the plain loop asks {'NLTK' if lookup else 'our table (no NLTK data)'}")
    loop = PlainEda(lookup or (lambda word: list(synonyms.of(word))))
    foreign = nlpaug_augmenters(texts)

    print(f"\n{'outputs/s':10} {'first pass':>11} {'ours':>11} {'plain loop':>11} {'ratio':>7}"
          f" {'nlpaug':>22} {'ratio':>7}")  # fmt: skip
    for name in (*EDA_OPERATIONS, "whole"):
        eda = Eda(EDA_OPERATIONS if name == "whole" else [name], synonyms=synonyms)
        works: dict[str, Work] = {
            "ours": lambda eda=eda: len(eda.augment(texts, ids, variants=VARIANTS)),
            "plain loop": lambda name=name: plain_outputs(loop, name, texts),
        }
        if name in foreign:
            works["nlpaug"] = lambda name=name: bare_outputs(foreign[name], texts[:FEW])
        compare(name, works, options.rounds)
    print(f"same alone and in a batch: {is_batch_independent(Eda(synonyms=synonyms), texts, ids)}")
    if options.folder:
        whole_command(options.folder)


def is_batch_independent(eda: Eda, texts: list[str], ids: list[str]) -> bool:
    """Tell whether batches of 1, 7 and 1,000 texts give the same results."""
    whole = eda.augment(texts[:1000], ids[:1000], variants=VARIANTS)
    for size in (1, 7, 1000):
        starts = range(0, min(len(texts), 1000), size)
        cuts = [slice(start, min(start + size, 1000)) for start in starts]
        parts = [eda.augment(texts[cut], ids[cut], variants=VARIANTS) for cut in cuts]
        if [item for part in parts for item in part] != whole:
            return False
    return True


if __name__ == "__main__":
    main()
