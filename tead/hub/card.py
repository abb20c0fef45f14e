"""The data set card: README.md of a TEAD, in the form the Hub reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from expclip.face.files import write_atomically
from expclip.face.text import as_code, escape_markdown, one_line
from expclip.tead.augmentation.augmented import LINK_COLUMNS
from expclip.tead.corpora.corpus import CORE, GRAMMAR
from expclip.tead.hub.manifests import origin_of
from expclip.tead.reports.figures import FIGURES
from expclip.tead.schema import COLUMNS, SPLITS

__all__ = ["SUMMARY", "build_card", "card_metadata", "is_open", "write_card"]

SUMMARY = (
    "Each row is an emotional text with emotion tags, facial action units (FACS), 52 ARKit\n"
    "blendshape weights, and situations that could cause the emotions. It follows the data\n"
    "set described in *ExpCLIP: Bridging Text and Facial Expressions via Semantic\n"
    "Alignment* (arXiv 2308.14448), which was not released; where the paper is silent, this\n"
    "is a reconstruction."
)
"""What TEAD is."""

_EMBEDDED = frozenset({CORE, GRAMMAR})
"""Corpora that are ours, and thus openly licensed."""

_OFFLINE = frozenset({"core", "offline", "core-offline"})
"""Annotators that are no language model asked for this build."""

_MAKERS = {
    CORE: (
        "`core`: written and annotated row by row with a language model, for this data set, and\n"
        "  reviewed; no text is taken from anywhere. Its `llm` column says `core`."
    ),
    GRAMMAR: "`grammar`: made by a grammar; `synthetic` is true in these rows.",
    "offline": (
        "Annotated by the offline annotator of expclip where `llm` says `offline`: a word-based\n"
        "  reader with rules, no language model."
    ),
}

_EMOTION_WORDS = {
    "same": "emotion words only give way to words of the same emotion",
    "protect": "emotion words stay",
    "free": "emotion words give way like any other",
}

_LEFT_OUT = ("unchanged", "repeated", "failed")
"""Why there is no row of a variant, in the counts of an augmented configuration."""

_LONGEST = 200  # characters of a text, or of a name
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def write_card(
    path: Path, manifest: Mapping[str, Any], sample: Sequence[Mapping[str, Any]]
) -> None:
    """Write the card of a data set with one configuration.

    Args:
        path: of the README.md.
        manifest: of the data set.
        sample: some of its rows, to be shown.
    """
    with write_atomically(path) as temporary:
        temporary.write_text(build_card([{**manifest, "sample": sample}]), "utf-8")


def build_card(
    manifests: Sequence[Mapping[str, Any]],
    *,
    repo: str = "",
    kept: Mapping[str, Any] | None = None,
) -> str:
    """Return the card of a data set with one configuration or several.

    Args:
        manifests: of the configurations, the default one first; under "sample" some rows,
            under "figures" the names of its figures. Those of augmented ones may be among
            them, checked by `check_manifest`.
        repo: of the Hub, where it lies there: then with pictures, in ``faces/`` and
            ``figures/``.
        kept: metadata of another origin, kept where the card has none of its own.
    """
    metadata = {**(kept or {}), **card_metadata(manifests)}
    originals = [manifest for manifest in manifests if origin_of(manifest) is None]
    augmented = [manifest for manifest in manifests if origin_of(manifest) is not None]
    alone = len(originals) == 1
    parts = [
        f"---\n{_yaml(metadata)}\n---\n",
        "# TEAD: text, emotions, action units, blendshapes\n",
        _summary(originals, repo),
        _loading(originals, augmented, repo),
        _columns(),
        _augmented(augmented),
        _counts(manifests),
        *(_figures(manifest, repo, alone) for manifest in originals),
        *(_examples(manifest, repo, alone) for manifest in originals),
        _use(manifests),
        _limits(manifests),
    ]
    return "\n".join(filter(None, parts))


def card_metadata(manifests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the Hub reads of the card."""
    rows = sum(manifest["counts"]["rows"] for manifest in manifests)
    return {
        "pretty_name": "TEAD",
        "language": ["en"],
        "license": "cc-by-4.0" if is_open(manifests) else "other",
        "task_categories": ["text-classification", "text-to-3d"],
        "tags": ["facial expression", "FACS", "ARKit", "blendshapes", "emotion", "synthetic"],
        "size_categories": [next((name for top, name in _SIZES if rows < top), "n>1M")],
        "configs": [
            {
                "config_name": manifest["config"],
                **({"default": True} if manifest is manifests[0] else {}),
                "data_files": [
                    {"split": split, "path": f"data/{manifest['config']}/{split}-*.parquet"}
                    for split in SPLITS
                ],
            }
            for manifest in manifests
        ],
    }


def is_open(manifests: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether all texts are ours to license; augmented ones are as their originals."""
    origins = {origin_of(manifest) for manifest in manifests} - {None}
    originals = {m["config"]: m["corpus"]["names"] for m in manifests if origin_of(m) is None}
    ours = all(set(names) <= _EMBEDDED for names in originals.values())
    return ours and origins <= originals.keys()


def _yaml(metadata: Mapping[str, Any]) -> str:
    from huggingface_hub import DatasetCardData

    return DatasetCardData(**metadata).to_yaml().strip()


def _summary(manifests: Sequence[Mapping[str, Any]], repo: str) -> str:
    where = "`manifests/` says" if repo else "`manifest.json` says"
    versions = sorted({str(manifest["expclip"]) for manifest in manifests})
    made = [
        f"{SUMMARY}\n",
        f"Made by expclip {', '.join(map(_cell, versions))}; {where} with which parameters.\n",
    ]
    if len(manifests) > 1:
        made.append("Each configuration is one annotator's view of its texts.")
    for manifest in manifests:
        annotator, corpora = manifest["annotator"]["llm"], manifest["corpus"]["names"]
        if len(manifests) > 1:
            made.append(f"\n### `{manifest['config']}`\n")
        made.append(f"- Texts: {', '.join(map(_cell, corpora))}.")
        made += [f"- {_MAKERS[name]}" for name in (CORE, GRAMMAR) if name in corpora]
        if annotator in _OFFLINE:
            made += [f"- {_MAKERS[name]}" for name in ["offline"] if name in annotator]
        else:
            made.append(f"- Annotated by the language model {as_code(annotator)}.")
            prompts = manifest["annotator"]["prompt_version"]
            made.append(f"- Prompts: version {as_code(prompts)} of `expclip tead prompts`.")
    return "\n".join([*made, ""])


def _loading(
    originals: Sequence[Mapping[str, Any]], augmented: Sequence[Mapping[str, Any]], repo: str
) -> str:
    name, *others = [manifest["config"] for manifest in originals]
    lines = [f'tead = load_dataset("{repo or "PATH_OR_REPOSITORY"}", "{name}")']
    lines += [f'other = load_dataset("{repo}", "{other}")' for other in others[:1]]
    lines += [f'augmented = load_dataset("{repo}", "{m["config"]}")' for m in augmented[:1]]
    if repo:
        lines.append(f'rows = load_dataset("{repo}", "{name}", split="train", streaming=True)')
    code = "\n".join(lines)
    text = f"```python\nfrom datasets import load_dataset\n\n{code}\n```\n"
    if repo:
        text += (
            f"\nA local folder `{repo}` would be taken first, such as one in a clone of the code;\n"
            f"`hf://datasets/{repo}` always means this repository.\n"
        )
    return text


def _columns() -> str:
    lines = [f"| `{name}` | {meaning} |" for name, meaning in COLUMNS.items()]
    return "\n".join(["## Columns\n", "| column | holds |", "|---|---|", *lines, ""])


def _augmented(manifests: Sequence[Mapping[str, Any]]) -> str:
    """Return what was made from the configurations, and how."""
    if not manifests:
        return ""
    links = [f"| `{name}` | {meaning} |" for name, meaning in LINK_COLUMNS.items()]
    return "\n".join(
        [
            "## Augmented texts\n",
            "Some configurations hold changed texts of another, each in its original's split.\n"
            "Only `id` and `text` are new; emotions, units and faces are the original's, and not\n"
            "annotated again. What did not change, or was in the data set already, is left out.\n",
            *("| column, besides | holds |", "|---|---|", *links, ""),
            *map(_augmentation, manifests),
        ]
    )


def _augmentation(manifest: Mapping[str, Any]) -> str:
    """Return how an augmented configuration was made, and a text of each operation."""
    told, version = manifest["parameters"], _cell(manifest["expclip"])
    chance = f"{told['variants']:,} of each text, seed {told['seed']}, by expclip {version}"
    lines = [f"### `{manifest['config']}`\n", f"- Variants of `{origin_of(manifest)}`: {chance}."]
    if "operations" in told:
        words = _EMOTION_WORDS.get(told["emotion_words"], as_code(told["emotion_words"]))
        lines += [
            "- Easy data augmentation (Wei & Zou 2019), an operation a variant in turn: "
            f"{', '.join(map(as_code, told['operations']))}; {told['alpha']:.0%} of the words.",
            f"- Word list: {_word_list(told['synonyms'])}; {words}.",
        ]
    else:
        lines.append(f"- Made with {as_code(told['augmenter'])}.")
    rows = [
        f"| {_cell(row['operation'])} | {_cell(row['original'])} | {_cell(row['text'])} |"
        for row in manifest.get("sample", ())
    ]
    table = ["\n| operation | original | text |", "|---|---|---|", *rows] if rows else []
    return "\n".join([*lines, *table, ""])


def _word_list(origin: str) -> str:
    """Return where synonyms come from, as `Synonyms.origin` tells it."""
    own = "the table of emotion words in expclip"
    version = origin.removeprefix("wordnet-").removesuffix("+embedded")
    if origin == "embedded":
        return f"{own} alone"
    known = origin == f"wordnet-{version}+embedded"
    return f"WordNet (its files' hash: {as_code(version)}), and {own}" if known else as_code(origin)


def _counts(manifests: Sequence[Mapping[str, Any]]) -> str:
    table: dict[str, list[str]] = {}
    for column, manifest in enumerate(manifests):
        counts = manifest["counts"]
        found = {split: counts[split] for split in SPLITS}
        if origin_of(manifest) is not None:
            counts = {"left_out": {key: counts[key] for key in _LEFT_OUT if key in counts}}
        for title, key in (("rejected", "rejects"), ("left out", "left_out")):
            found |= {f"{title}: {_cell(name)}": n for name, n in counts.get(key, {}).items()}
        for name, n in found.items():
            table.setdefault(name, ["0"] * len(manifests))[column] = f"{n:,}"
    names = [f" `{m['config']}` " for m in manifests] if len(manifests) > 1 else [" "]
    lines = [f"| {name} | {' | '.join(numbers)} |" for name, numbers in table.items()]
    head = [f"| rows |{'|'.join(names)}|", "|---" * (len(manifests) + 1) + "|"]
    return "\n".join(["## Counts\n", *head, *lines, ""])


def _figures(manifest: Mapping[str, Any], repo: str, alone: bool) -> str:
    config, names = manifest["config"], manifest.get("figures", ())
    if not repo or not names:
        return ""
    title = "## In figures\n" if alone else f"## `{config}` in figures\n"
    links = [
        f"![{title} of {config}](figures/{config}/{name}.svg)\n"
        for name, title in FIGURES.items()
        if name in names
    ]
    return "\n".join([title, *links])


def _examples(manifest: Mapping[str, Any], repo: str, alone: bool) -> str:
    config = manifest["config"]
    lines = [
        f"| {_cell(row['text'])} | {_cell(', '.join(row['emotions']))} "
        f"| {_cell(' '.join(row['au_codes']))} |"
        for row in manifest.get("sample", ())
    ]
    title = "## Some rows\n" if alone else f"## Some rows of `{config}`\n"
    picture = [f"![Faces of some rows](faces/{config}.png)\n"] if repo and lines else []
    return "\n".join([title, *picture, "| text | emotions | units |", "|---|---|---|", *lines, ""])


def _use(manifests: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "## Use\n",
        "- Meant for: learning and measuring how text and facial expression go together; driving",
        "  animated characters; comparing annotators.",
        "- Not meant for: reading what real people feel from their faces, or judging people.",
    ]
    if is_open(manifests):
        lines.append("- Licence: CC BY 4.0.")
    return "\n".join([*lines, ""])


def _limits(manifests: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "## Limits\n",
        "- The choice of 36 units and the rule from units to blendshapes are reconstructions.",
        "- The faces are what an annotator thinks a face would show, not measured faces.",
    ]
    originals = [manifest for manifest in manifests if origin_of(manifest) is None]
    if any("offline" in manifest["annotator"]["llm"] for manifest in originals):
        lines.append("- The offline annotator knows words, not meaning: irony escapes it.")
    if any(GRAMMAR in manifest["corpus"]["names"] for manifest in originals):
        lines.append(
            "- Texts of the grammar resemble each other, also across the splits: measure on rows\n"
            "  with `synthetic` false."
        )
    if len(manifests) > len(originals):
        lines.append(
            "- Augmented texts are changed by chance: some are no good English, some no longer\n"
            "  fit their face. Learn from them, and measure on their originals."
        )
    if not is_open(manifests):
        lines.append("- The texts keep the terms of the corpora they come from.")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    """Return what a text begins with, escaped."""
    return escape_markdown(one_line(text, _LONGEST))
