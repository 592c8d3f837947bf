"""The command line: one file a command, found by its name. A command is a module with `HELP` and `run(argv) -> int`.

HELP is one English line (the key of its French). A module whose name begins with `_` is no command; `mail_test.py` is
called `mail-test`. Commands that only run_all.sh calls say so by `HELP = ""` and are not listed.
"""

import importlib
import os
from types import ModuleType


def names() -> list[str]:
    """Every command, sorted, as typed."""
    here = os.path.dirname(os.path.abspath(__file__))
    found = [name[:-3] for name in os.listdir(here) if name.endswith(".py") and not name.startswith("_")]
    return sorted(name.rstrip("_").replace("_", "-") for name in found)


def command(name: str) -> ModuleType:
    """The module of a command that `names` lists."""
    module = name.replace("-", "_")
    here = os.path.dirname(os.path.abspath(__file__))
    if not os.path.exists(os.path.join(here, f"{module}.py")):
        module += "_"  # import_.py: a Python word
    return importlib.import_module(f"web.commands.{module}")
