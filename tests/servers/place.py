"""A Vigie installed where any user can reach it, with a Python that any user can run: Debian's own, as mod_wsgi and a service
would have it. The packages are copied from the tests' environment: nothing is downloaded."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys

import pytest

from archive.settings import ROOT
from tests.test_whole_way import copy_of_the_project

PYTHON = "/usr/bin/python3"  # the system's: what mod_wsgi is built for, and readable by everybody


def python_version(path: str) -> str:
    """`3.11`, or '' where there is none."""
    try:
        asked = [path, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def need_the_system_s_python() -> None:
    """The compiled packages of the tests' environment fit a Python of the same minor version only."""
    wanted, found = f"{sys.version_info[0]}.{sys.version_info[1]}", python_version(PYTHON)
    if found != wanted:
        pytest.skip(f"{PYTHON} is Python {found or 'missing'}, and the tests' packages are for {wanted}")


def install(folder: str) -> str:
    """The project's files and a .venv in `folder`/vigie, for everybody to read and nobody but us to write. Returns its path."""
    root = os.path.join(folder, "vigie")
    os.mkdir(root)
    copy_of_the_project(root)
    subprocess.run([PYTHON, "-I", "-m", "venv", "--without-pip", f"{root}/.venv"], check=True)
    packages = f"{root}/.venv/lib/python{python_version(PYTHON)}/site-packages"
    for name in _names():
        for file in importlib.metadata.distribution(name).files or []:
            source, target = str(file.locate()), os.path.join(packages, str(file))
            if ".." in file.parts or "__pycache__" in file.parts or not os.path.isfile(source):
                continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(source, target)
    open(f"{root}/.venv/complete", "w", encoding="ascii").close()
    subprocess.run(["chmod", "-R", "u=rwX,go=rX", root], check=True)
    return root


def _names() -> list[str]:
    with open(os.path.join(ROOT, "requirements.txt"), encoding="utf-8") as file:
        return re.findall(r"^([A-Za-z0-9._-]+)==", file.read(), re.MULTILINE)
