"""Where tasks run: processes of this machine, or a Ray cluster.

Both give the same bytes for the same tasks; only the order of finishing differs.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from expclip.face.errors import ExpclipError, MissingExtra, ModelError
from expclip.mead3d.rows import Task

__all__ = ["Executor", "Processes", "RayCluster"]

Work = Callable[[Task], bytes]
Done = Iterator[tuple[int, bytes]]

_DEATHS = 3
_CONNECT_S = 10.0
_BLOCKS = 2000  # of Ray Data, at most: each brings its results as it ends
_AHEAD = 2  # tasks waiting for each worker
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)


class Executor(Protocol):
    """Runs work on tasks, in any order."""

    def run(self, work: Work, tasks: Sequence[Task]) -> Done:
        """Yield the number of each task, and what the work makes of it, as they finish."""


@dataclass(frozen=True)
class Processes:
    """Worker processes on this machine, each with one thread for linear algebra.

    A script that uses it needs ``if __name__ == "__main__":``, as for all of Python's
    process pools. A worker that dies is replaced, and its task done again.

    Attributes:
        count: of processes; None for one each core. 0 works in the calling process: for
            debugging, since more threads there may change a result in its last digit.
    """

    count: int | None = None

    def __post_init__(self) -> None:
        if self.count is not None and not 0 <= self.count <= 1024:
            raise ValueError(f"processes must be 0 to 1024, got {self.count}")

    def run(self, work: Work, tasks: Sequence[Task]) -> Done:
        """Yield results as they finish.

        Raises:
            ModelError: workers died again and again.
        """
        if self.count == 0:
            yield from ((task.number, work(task)) for task in tasks)
            return
        count = min(self.count or _cores(), max(len(tasks), 1))
        left = {task.number: task for task in tasks}
        for _ in range(_DEATHS):
            try:
                for number, result in _run_pool(work, list(left.values()), count):
                    del left[number]
                    yield number, result
                return
            except BrokenProcessPool:
                continue
        where = next(iter(left.values())).clips[0][0].id
        raise ModelError(
            f"worker processes died {_DEATHS} times, last near {where}: out of memory, or a "
            "crash in the reconstructor; run the same command with fewer processes to go on"
        )


@dataclass(frozen=True)
class RayCluster:
    """Ray Data, on a cluster or on this machine.

    Every node must see MEAD, meshes and model under the same paths, with the same
    versions of the packages installed. Results come back to this process, which writes
    them; a node that dies has its tasks done again elsewhere.

    Attributes:
        address: of the cluster ("auto", "10.0.0.1:6379"), this machine being one of it;
            None starts Ray here, unless it runs already.
        workers: how many at a time; None for one each core of the cluster.
    """

    address: str | None = None
    workers: int | None = None

    def run(self, work: Work, tasks: Sequence[Task]) -> Done:
        """Yield results as they finish.

        Raises:
            MissingExtra: Ray is not installed.
            ModelError: the cluster cannot be reached, or the work failed on it.
        """
        if not find_spec("ray"):
            raise MissingExtra("ray", "distributed")
        if not tasks:
            return
        _quiet_ray()
        import ray
        import ray.data

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        started = not ray.is_initialized()
        if started:
            _connect(self.address)
        try:
            yield from self._stream(work, tasks)
        except ray.exceptions.RayError as error:
            told = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(f"Ray: {told[0].strip()}") from error
        finally:
            if started:
                ray.shutdown()

    def _stream(self, work: Work, tasks: Sequence[Task]) -> Done:
        import ray

        ray.data.DataContext.get_current().enable_progress_bars = False
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cores = int(resources.get("CPU", 1))
        workers = min(self.workers or max(cores, 1), len(tasks))
        numbers = [{"number": place} for place in range(len(tasks))]
        rows = ray.data.from_items(numbers, override_num_blocks=min(len(tasks), _BLOCKS)).map(
            _RayWorker,  # type: ignore[arg-type]  # a class of callables, as documented
            fn_constructor_args=(work, tuple(tasks)),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,  # which is also its number of threads for linear algebra
        )
        for row in rows.iter_rows():
            if row["error"]:
                raise ModelError(row["error"])
            if row["trace"]:
                raise RuntimeError(row["trace"])
            yield int(row["number"]), bytes(row["result"])


class _RayWorker:
    """Holds the work in one of Ray's actors, and the tasks: rows say which."""

    def __init__(self, work: Work, tasks: Sequence[Task]) -> None:
        self._work, self._tasks = work, tasks

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        task = self._tasks[row["number"]]
        done = {"number": task.number, "result": b"", "error": "", "trace": ""}
        try:  # what Ray would make of an error cannot be told in one line
            return done | {"result": self._work(task)}
        except ExpclipError as error:
            return done | {"error": str(error)}
        except Exception:
            return done | {"trace": traceback.format_exc()}


def _run_pool(work: Work, tasks: Sequence[Task], count: int) -> Done:
    with (
        _one_thread(),
        ProcessPoolExecutor(
            count,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(work,),
        ) as pool,
    ):
        todo = iter(tasks)
        running: set[Future[tuple[int, bytes]]] = set()
        try:
            while True:
                for task in todo:
                    running.add(pool.submit(_work_on, task))
                    if len(running) >= _AHEAD * count:
                        break
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_of_this_worker: dict[str, Work] = {}


def _start_worker(work: Work) -> None:
    """Prepare a worker: it leaves Ctrl-C to its parent, and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _of_this_worker["work"] = work
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _work_on(task: Task) -> tuple[int, bytes]:
    return task.number, _of_this_worker["work"](task)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Give processes started meanwhile one thread each: less strife, and equal sums."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quiet_ray() -> None:
    """Ask Ray, before it is imported, for no statistics."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def _connect(address: str | None) -> None:
    import ray

    if address and (place := re.fullmatch(r"([^:/]+):(\d{1,5})", address)):
        try:  # Ray itself would try for minutes
            socket.create_connection((place[1], int(place[2])), _CONNECT_S).close()
        except (OSError, OverflowError) as error:
            raise ModelError(f"Ray at {address}: cannot be reached: {error}") from None
    here: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        told = " ".join(str(error).split())
        raise ModelError(f"Ray at {address or 'this machine'}: {told}") from None
