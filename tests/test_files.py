import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from expclip.face.errors import DataError
from expclip.face.files import write_atomically


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".expclip-")]


def test_text_bytes_and_other_writers_can_use_the_temporary(tmp_path: Path) -> None:
    writers: dict[str, Callable[[Path], object]] = {
        "text": lambda path: path.write_text("smile"),
        "bytes": lambda path: path.write_bytes(b"smile"),
        "other": lambda path: np.array([b"smile"]).tofile(path),
    }
    for name, write in writers.items():
        with write_atomically(tmp_path / name) as temporary:
            write(temporary)
        assert (tmp_path / name).read_bytes() == b"smile"
    assert leftovers(tmp_path) == []


def test_the_temporary_is_in_the_same_folder_under_another_name(tmp_path: Path) -> None:
    with write_atomically(tmp_path / "face.npz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name != "face.npz"
        assert temporary.suffix == ".tmp"  # nobody who looks for *.npz finds it
        assert not (tmp_path / "face.npz").exists()


def test_an_error_in_the_block_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "face.json"
    path.write_text("old")
    for error in (RuntimeError("no"), KeyboardInterrupt(), ValueError("no")):
        with pytest.raises(type(error)), write_atomically(path) as temporary:
            temporary.write_text("half of the n")
            raise error
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "face.json"
    path.write_text("old")
    program = (
        "import os, signal, sys\n"
        "from expclip.face.files import write_atomically\n"
        "with write_atomically(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half of the n')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_the_bytes_are_synced_before_the_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "face.json", []
    sync = os.fsync

    def watch(handle: int) -> None:
        is_folder = os.path.isdir(f"/proc/self/fd/{handle}")  # noqa: PTH112
        seen.append(("folder" if is_folder else "file", path.exists()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", watch)
    with write_atomically(path) as temporary:
        temporary.write_text("new")
    assert seen == [("file", False), ("folder", True)]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_disk_that_fails_at_the_sync_is_one_line_that_names_the_file(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "face.json"
    path.write_text("old")

    def fail(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DataError) as caught, write_atomically(path) as temporary:
        temporary.write_text("new")
    assert str(caught.value) == f"{path}: cannot be written: {os.strerror(code)}"
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EMFILE])
def test_a_folder_that_takes_no_file_is_one_line_that_names_the_file(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str, *rest: object) -> int:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(DataError) as caught, write_atomically(tmp_path / "face.json"):
        raise AssertionError("the block must not run")
    assert str(caught.value) == f"{tmp_path / 'face.json'}: cannot be written: {os.strerror(code)}"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "face.json"
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"), write_atomically(path):
        raise AssertionError("the block must not run")


@pytest.mark.parametrize("name", ["folder", "pipe"])
def test_what_is_no_regular_file_is_not_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with (
        pytest.raises(DataError, match=f"{name}: cannot be written: not a regular file"),
        write_atomically(tmp_path / name),
    ):
        raise AssertionError("the block must not run")
    assert (tmp_path / name).exists()


def test_an_error_about_another_file_passes_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), write_atomically(tmp_path / "face.json"):
        (tmp_path / "input.json").read_text()
    assert leftovers(tmp_path) == []


def test_a_link_is_followed_and_permissions_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    with write_atomically(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with write_atomically(tmp_path / "new"):
        pass
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_name_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    with write_atomically(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_of_many_writers_at_once_one_wins_whole(tmp_path: Path) -> None:
    path = tmp_path / "face.txt"

    def write(letter: str) -> None:
        with write_atomically(path) as temporary:
            temporary.write_text(letter * 10_000)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in {letter * 10_000 for letter in "abcdefgh"}
    assert leftovers(tmp_path) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting a tiny disk needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tiny_disk: Path) -> None:
    path = tiny_disk / "face.bin"
    path.write_bytes(b"old")
    with pytest.raises(DataError) as caught, write_atomically(path) as temporary:
        temporary.write_bytes(bytes(1 << 20))
    assert str(caught.value) == f"{path}: cannot be written: No space left on device"
    assert path.read_bytes() == b"old"
    assert leftovers(tiny_disk) == []


def test_a_read_only_disk_is_one_line(tiny_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    path = tiny_disk / "face.bin"
    with pytest.raises(DataError, match=r"face\.bin: cannot be written: Read-only file system"):
        with write_atomically(path):
            raise AssertionError("the block must not run")
