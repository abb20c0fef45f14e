"""The house: which folder may import which, and that all of them are in the wheel."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ("face", "tead", "mead3d", "beat_loader", "models", "benchmarks", "cli")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FOLDERS = tuple(name for name in ORDER if (ROOT / name / "__init__.py").is_file())
SCRIPTS = [ROOT / "benchmarks" / name for name in ("animator", "core", "expclip", "speed")]
"""Folders of scripts: of a checkout alone."""
MODULES = sorted(path for name in FOLDERS for path in (ROOT / name).rglob("*.py"))


def _imports(path: Path) -> set[str]:
    """Return the full names of all modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            names.add(str(node.module))
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_folder_imports_only_from_folders_before_it(path: Path) -> None:
    mine = ORDER.index(path.relative_to(ROOT).parts[0])
    for name in _imports(path):
        assert name.split(".")[0] not in ORDER, f"{name} must be written expclip.{name}"
        if name.startswith("expclip."):
            assert ORDER.index(name.split(".")[1]) <= mine, f"{path} imports {name}"


def test_every_folder_with_code_is_packaged() -> None:
    packages = {
        "expclip." + ".".join(path.parent.relative_to(ROOT).parts)
        for name in ORDER
        for path in (ROOT / name).rglob("__init__.py")
    }
    assert packages == set(PROJECT["tool"]["setuptools"]["packages"])


def test_every_data_file_is_packaged() -> None:
    packaged = {
        path
        for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    there = {
        path
        for name in FOLDERS
        for path in (ROOT / name).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
        if path.name != "README.md" and not path.name.startswith(".")  # of a checkout alone
        if not any(path.is_relative_to(scripts) for scripts in SCRIPTS)
    }
    assert there <= packaged, sorted(there - packaged)


def test_the_root_is_no_package() -> None:
    assert not (ROOT / "__init__.py").exists()
    assert not (ROOT / "conftest.py").exists()
    assert not (ROOT / "expclip").exists()


@pytest.mark.parametrize("name", FOLDERS)
def test_every_folder_has_a_page(name: str) -> None:
    assert (ROOT / name / "README.md").is_file()


def test_every_exported_name_exists() -> None:
    for name in FOLDERS:
        module = __import__(f"expclip.{name}", fromlist=["__all__"])
        for exported in getattr(module, "__all__", ()):
            assert hasattr(module, exported), f"expclip.{name}.{exported}"


def test_help_needs_no_numpy() -> None:
    code = "import sys, expclip.cli.main; print('numpy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize("module", ["expclip.face", "expclip.tead", "expclip.cli.main"])
def test_heavy_libraries_are_imported_late(module: str) -> None:
    heavy = ("torch", "transformers", "datasets", "pandas", "openai", "pyarrow", "scipy")
    code = f"import sys, {module}; print(*[name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
