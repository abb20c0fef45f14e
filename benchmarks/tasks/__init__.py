"""The tasks: what each measures, on what data, and which can be done with what is there."""

from expclip.benchmarks.tasks.collection import CATALOGUE, Entry, Sources, collect_tasks
from expclip.benchmarks.tasks.task import Task

__all__ = ["CATALOGUE", "Entry", "Sources", "Task", "collect_tasks"]
