"""A user study: one page that raters open in a browser, and what their answers say."""

from expclip.benchmarks.study.alpha import krippendorff_alpha
from expclip.benchmarks.study.analyse import Analysis, analyse_study
from expclip.benchmarks.study.answers import ScreeningRule
from expclip.benchmarks.study.key import Key, read_key
from expclip.benchmarks.study.page import write_study
from expclip.benchmarks.study.plan import PlanOptions, Trial, plan_trials
from expclip.benchmarks.study.stimuli import Item, Media, Stimuli, read_stimuli
from expclip.benchmarks.study.tables import analysis_markdown, write_analysis

__all__ = [
    "Analysis",
    "Item",
    "Key",
    "Media",
    "PlanOptions",
    "ScreeningRule",
    "Stimuli",
    "Trial",
    "analyse_study",
    "analysis_markdown",
    "krippendorff_alpha",
    "plan_trials",
    "read_key",
    "read_stimuli",
    "write_analysis",
    "write_study",
]
