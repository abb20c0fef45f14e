"""TEAD: emotional text, tags, action units, situations and blendshape weights."""

from expclip.tead.annotate import Annotated, Rejected
from expclip.tead.augmentation.augment import augment, augment_tead
from expclip.tead.build import build
from expclip.tead.corpora.core import CORE_VERSION, CoreRow, read_core
from expclip.tead.corpora.corpus import Corpus, CorpusOptions, normalise, read_corpus, repair
from expclip.tead.corpora.grammar import GRAMMAR_VERSION, grammar_texts
from expclip.tead.duplicates import find_near_duplicates
from expclip.tead.emotions import Prototype, matches_label, prototypes
from expclip.tead.folder import read_rows
from expclip.tead.hub.publish import Published, publish
from expclip.tead.llm.client import FakeClient, LlmOptions, OpenAIClient
from expclip.tead.llm.cost import BudgetReached, Prices
from expclip.tead.llm.journal import Journal
from expclip.tead.offline import OFFLINE_VERSION, annotate_offline
from expclip.tead.parsing import parse_reply, parse_situations
from expclip.tead.plan import OFFLINE, BuildPlan, read_plan
from expclip.tead.prompts import PROMPT_NAMES, Prompts
from expclip.tead.reports.compare import compare
from expclip.tead.reports.report import write_report
from expclip.tead.rules import split_of
from expclip.tead.schema import COLUMNS, Annotation, SourceText, features
from expclip.tead.validate import Validation, validate

__all__ = [
    "COLUMNS",
    "CORE_VERSION",
    "GRAMMAR_VERSION",
    "OFFLINE",
    "OFFLINE_VERSION",
    "PROMPT_NAMES",
    "Annotated",
    "Annotation",
    "BudgetReached",
    "BuildPlan",
    "CoreRow",
    "Corpus",
    "CorpusOptions",
    "FakeClient",
    "Journal",
    "LlmOptions",
    "OpenAIClient",
    "Prices",
    "Prompts",
    "Prototype",
    "Published",
    "Rejected",
    "SourceText",
    "Validation",
    "annotate_offline",
    "augment",
    "augment_tead",
    "build",
    "compare",
    "features",
    "find_near_duplicates",
    "grammar_texts",
    "matches_label",
    "normalise",
    "parse_reply",
    "parse_situations",
    "prototypes",
    "publish",
    "read_core",
    "read_corpus",
    "read_plan",
    "read_rows",
    "repair",
    "split_of",
    "validate",
    "write_report",
]
