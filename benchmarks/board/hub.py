"""Results on the Hugging Face Hub: in a model's repository, and what makes a data set a benchmark.

A model's repository holds ``.eval_results/*.yaml``, which the Hub shows on the model's page
and gathers into the leaderboard of the data set; the data set's holds ``eval.yaml``, which
names the tasks. Both are as huggingface_hub reads them (`EvalResultEntry`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expclip.benchmarks.board.leaderboard import format_number
from expclip.benchmarks.outcome import TaskInfo
from expclip.benchmarks.results.record import Result, find_results
from expclip.benchmarks.results.verification import verify
from expclip.face.errors import DataError, ModelError
from expclip.tead.hub.repository import HubRepo, State, is_held

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = [
    "EVIDENCE",
    "PublishedResults",
    "build_eval_results",
    "build_eval_yaml",
    "hub_task_id",
    "publish_benchmark",
    "publish_results",
]

EVIDENCE = "expclip_results"
"""Folder of a model's repository with the results themselves, to be verified by anyone."""

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_TOKEN = re.compile(r"[!-~]+")
_REVISION = re.compile(r"[0-9a-f]{40}")
_DESCRIPTION = (
    "Text and facial expression: retrieval both ways, expression from text, reconstruction. "
    "Measured with `expclip bench run`; ties, duplicates and chance are accounted for."
)


@dataclass(frozen=True)
class PublishedResults:
    """What was published, or would be.

    Attributes:
        url: of the repository's page.
        revision: the commit that holds it; empty after a dry run.
        files: what was sent, by path.
        unchanged: files that were there already.
        reached: False after a dry run without a Hub: what is there already is not known.
    """

    url: str
    revision: str
    files: Mapping[str, bytes]
    unchanged: tuple[str, ...]
    reached: bool = True


def hub_task_id(info: TaskInfo) -> str:
    """Return the id of a task on the Hub: another version is another task there."""
    return f"{re.sub('[^a-z0-9]+', '_', info.id)}_v{info.version}"


def build_eval_results(
    results: Iterable[Result], dataset: str, *, revision: str | None = None
) -> bytes:
    """Return a ``.eval_results`` file: the main metric of each ranked task.

    Args:
        results: of one model; oracles and tasks that are not ranked are left out.
        dataset: OWNER/NAME of the data set whose ``eval.yaml`` names the tasks.
        revision: its commit.

    Raises:
        ValueError: the names are no names on the Hub; results of several models.
        DataError: there is nothing to be told.
    """
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    _check_name(dataset)
    if revision is not None and not _REVISION.fullmatch(revision):
        raise ValueError(f"a data set's revision is a commit of 40 hex digits, got {revision!r}")
    told = [one for one in results if one.task.ranked and one.model.role != "oracle"]
    if len({one.model.name for one in told}) > 1:
        raise ValueError("a model's repository takes the results of one model")
    entries = [
        EvalResultEntry(
            dataset_id=dataset,
            task_id=hub_task_id(one.task),
            value=one.main.value,
            dataset_revision=revision,
            notes=_describe(one),
        )
        for one in sorted(told, key=lambda one: hub_task_id(one.task))
    ]
    if not entries:
        raise DataError(f"there is no ranked result for the leaderboard of {dataset}")
    plain = eval_result_entries_to_yaml(entries)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=1000).encode()


def build_eval_yaml(
    tasks: Iterable[TaskInfo], *, config: str, split: str = "test", name: str = "TEAD"
) -> bytes:
    """Return the ``eval.yaml`` of a data set that makes it a benchmark of these tasks.

    It names no evaluation framework: the Hub takes those that it knows.

    Args:
        tasks: those not ranked are left out.
        config: of the data set that they measure on.
        split: likewise.
        name: of the benchmark, shown.
    """
    import yaml

    ids = sorted({hub_task_id(info) for info in tasks if info.ranked})
    plain = {
        "name": name,
        "description": _DESCRIPTION,
        "tasks": [{"id": one, "config": config, "split": split} for one in ids],
    }
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=1000).encode()


def publish_results(
    folder: str | Path,
    repo: str,
    *,
    dataset: str,
    family: str = "tead",
    revision: str | None = None,
    sidecars: bool = False,
    dry_run: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
) -> PublishedResults:
    """Publish a model's results in its repository, in one commit; twice changes nothing.

    Every result is verified first.

    Args:
        folder: of one model's results.
        repo: OWNER/NAME of the model, which is there already.
        dataset: OWNER/NAME of the benchmark's data set.
        family: tasks whose ids begin so are that data set's.
        revision: commit of the data set that was measured on.
        sidecars: send the values of each query too; their keys hold texts of the data set.
        dry_run: send nothing; the Hub need not be reached.
        token: of the Hub; by default the one that ``hf auth login`` or HF_TOKEN left.
        endpoint: another Hub's address.

    Raises:
        ValueError: a name is none on the Hub, or the token cannot be one.
        DataError: there are no results, of several models, or one is not what was measured.
        ModelError: the Hub refuses or cannot be reached; someone else published meanwhile.
    """
    _check_name(repo)
    checked = verify(folder)
    if checked.problems:
        raise DataError(f"nothing was published: {checked.problems[0]}")
    results = [one for one in find_results(folder).results if one.task.id.startswith(f"{family}/")]
    if len({one.model.name for one in results}) > 1:
        raise DataError(f"{folder}: has results of several models: name the folder of one")
    path = f".eval_results/{dataset.replace('/', '-')}.yaml"
    files = {path: build_eval_results(results, dataset, revision=revision)}
    for one in results:
        files |= {f"{EVIDENCE}/{part.name}": part.read_bytes() for part in _parts(one, sidecars)}
    return _send(repo, files, token=token, endpoint=endpoint, dry_run=dry_run)


def publish_benchmark(
    repo: str,
    tasks: Sequence[TaskInfo],
    *,
    config: str,
    split: str = "test",
    dry_run: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
) -> PublishedResults:
    """Publish the ``eval.yaml`` of a data set that is there already.

    Raises:
        ValueError: the name is none on the Hub.
        ModelError: there is no such data set, or the Hub refuses.
    """
    content = build_eval_yaml(tasks, config=config, split=split)
    files = {"eval.yaml": content}
    hub = HubRepo(repo, token=token, endpoint=endpoint, writes=not dry_run)
    try:
        state: State | None = hub.state()
    except ModelError as error:
        if not dry_run or getattr(error.__context__, "response", None) is not None:
            raise
        return PublishedResults(hub.url, "", files, (), reached=False)
    if state is None:
        raise ModelError(f"{repo}: there is no such data set: publish it first")
    if is_held(content, state.files.get("eval.yaml")):
        return PublishedResults(hub.url, state.head, {}, ("eval.yaml",))
    head = "" if dry_run else hub.commit(files, [], state.head, "Tasks of the benchmark")
    return PublishedResults(hub.url, head, files, ())


def _parts(result: Result, sidecars: bool) -> list[Path]:
    return [result.path, result.sidecar] if sidecars else [result.path]


def _describe(result: Result) -> str:
    main, task = result.main, result.task
    better = "" if task.higher_is_better else ", lower is better"
    low, high = format_number(main.low), format_number(main.high)
    return (
        f"{task.main}{better}; {result.statistics.level:.0%} interval {low} to {high}; "
        f"{result.queries} queries; expclip {result.environment.get('expclip', 'unknown')}; "
        f"result {result.sha256[:16]}"
    )


def _send(
    repo: str, files: Mapping[str, bytes], *, token: str | None, endpoint: str | None, dry_run: bool
) -> PublishedResults:
    """Bring files into a model's repository, by one commit on what it holds now."""
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.hf_api import RepoFile

    from expclip.models.places import hub_failures

    api = _api(token, endpoint, needed=not dry_run)
    url = f"{api.endpoint}/{repo}"
    with _told(repo):
        try:
            head = str(api.model_info(repo).sha)
            tree = api.list_repo_tree(repo, revision=head, recursive=True)
            there = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
        except hub_failures() as error:
            if not dry_run or getattr(error, "response", None) is not None:
                raise
            return PublishedResults(url, "", files, (), reached=False)
        same = tuple(path for path in files if is_held(files[path], there.get(path)))
        new = {path: content for path, content in files.items() if path not in same}
        if dry_run or not new:
            return PublishedResults(url, "" if dry_run else head, new, same)
        made = api.create_commit(
            repo,
            [CommitOperationAdd(path, content) for path, content in new.items()],
            commit_message=f"Results of {len(files) - 1:,} tasks",
            parent_commit=head,
        )
        return PublishedResults(url, str(made.oid), new, same)


def _api(token: str | None, endpoint: str | None, *, needed: bool) -> "HfApi":
    from huggingface_hub import HfApi, get_token

    token = (token or get_token() or "").strip()
    if needed and not token:
        raise ModelError("no token of the Hub: log in with `hf auth login`, or set HF_TOKEN")
    if token and not _TOKEN.fullmatch(token):  # the client would log it
        raise ValueError("the token of the Hub holds characters that no token has")
    return HfApi(endpoint=endpoint, token=token or False, library_name="expclip")


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """Tell in one line what the Hub or the network did, with no token in it."""
    from expclip.models.places import hub_failures, hub_reason

    try:
        yield
    except hub_failures() as error:
        response: Any = getattr(error, "response", None)
        if getattr(response, "status_code", None) == 412:
            reason = "someone else has changed it meanwhile: run the same command again"
            raise ModelError(f"{repo}: {reason}") from None
        raise ModelError(f"{repo}: the Hub: {hub_reason(error)}") from None


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"a repository of the Hub is named OWNER/NAME, got {name!r}")
