"""Import every module from a built wheel, and from nothing else: `python tests/wheel.py WHEEL`."""

import importlib
import pkgutil
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

with TemporaryDirectory() as folder, zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(folder)
    # The checkout is installed in editable mode: its finder must not answer in the wheel's place.
    sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
    sys.path_hooks[:] = [hook for hook in sys.path_hooks if "editable" not in repr(hook)]
    sys.path_importer_cache.clear()
    sys.path[:] = [folder, *(entry for entry in sys.path if "__editable__" not in entry)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "expclip"]:
        del sys.modules[name]
    root = Path(folder) / "expclip"
    names = [module.name for module in pkgutil.walk_packages([str(root)], "expclip.")]
    for name in names:
        module = importlib.import_module(name)
        assert str(module.__file__).startswith(folder), f"{name} came from {module.__file__}"
    from expclip.tead import grammar_texts, prototypes

    assert len(grammar_texts(10)) == 10 and len(prototypes()) == 105
    sys.stdout.write(f"{len(names)} modules imported from {Path(sys.argv[1]).name}\n")
