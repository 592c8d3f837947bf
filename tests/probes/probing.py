"""What the tests of the probes share: how to run one, a strict reading of its text, stand-ins for machines and tools."""

import functools
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).resolve().parents[2]
PROBES = REPOSITORY / "probes"
ROOT = Path(__file__).resolve().parent / "root"
SHIPPED = sorted(p.name for p in PROBES.iterdir() if p.is_file() and os.access(p, os.X_OK) and p.name != "run.py")
SYSTEM = "/usr/bin:/bin"

# What a probe may always count on: coreutils, awk, Bash, Python. Everything else may be missing.
PLAIN_TOOLS = (
    "awk",
    "bash",
    "cat",
    "date",
    "env",
    "ionice",
    "mkdir",
    "mktemp",
    "mv",
    "python3",
    "rm",
    "sleep",
    "stat",
    "sync",
    "timeout",
)

_NAME = r"[a-z][a-z0-9_]*"
_SAMPLE = re.compile(
    rf'({_NAME})(\{{{_NAME}="(?:[^"\\\n]|\\[\\"n])*"(?:,{_NAME}="(?:[^"\\\n]|\\[\\"n])*")*\}})? (-?[0-9]+(?:\.[0-9]+)?)'
)
_LEVEL = re.compile(rf"(?:WARN|CRIT) ({_NAME}) [<>] [0-9.e]+(?: and {_NAME} [<>] [0-9.e]+)?")
_ABOUT = re.compile(rf"(HELP|HELP\.fr|TYPE|CLEAR|FOR|OFF) ({_NAME})(?: (.+))?")
_ALONE = re.compile(r"EVERY [0-9]+|LIMIT [0-9]+|UNAVAILABLE .+")


def run(
    probe: str,
    *,
    root: Path | None = None,
    state: Path | None = None,
    path: str = SYSTEM,
    user: int | None = None,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run a shipped probe as the runner would."""
    env = {"PATH": path, "LC_ALL": "C", "VIGIE_HOMES_TEXT": "/nowhere/homes.prom", **environment}
    if root:
        env["VIGIE_ROOT"] = str(root)
    if state:
        env["VIGIE_STATE"] = str(state)
    return subprocess.run(
        [PROBES / probe],
        env=env,
        cwd="/",
        user=user,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@functools.cache
def module(name: str) -> ModuleType:
    """A shipped Python probe as the runner reads it: `text(root, state, alone)`."""
    sys.path.insert(0, str(PROBES))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(PROBES))


def series(text: str) -> dict[str, float]:
    """Series -> value. Every line must be what the contract allows; every metric must say what it is, twice."""
    assert text.endswith("\n"), "the last line must end"
    said: dict[str, set[str]] = {}
    kinds: dict[str, str] = {}
    found: dict[str, float] = {}
    for line in text[:-1].split("\n"):
        assert len(line.encode()) <= 8192, line[:100]
        if line.startswith("# "):
            about = _ABOUT.fullmatch(line[2:])
            assert about or _ALONE.fullmatch(line[2:]) or _LEVEL.fullmatch(line[2:]), line
            if about:
                word, metric, words = about.groups()
                assert word == "OFF" or words, line
                assert word not in said.setdefault(metric, set()), f"said twice: {line}"
                said[metric].add(word)
                kinds |= {metric: words} if word == "TYPE" else {}
                assert not word.startswith("HELP") or (
                    "'" not in words and not words.endswith(".") and len(words) < 70
                ), line
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample, line
        metric, labels, number = sample.groups()
        name = metric + (labels or "")
        assert name not in found, f"stands twice: {line}"
        found[name] = value = float(number)
        if metric.endswith("_info"):
            assert value == 1, line
            continue
        assert {"HELP", "HELP.fr", "TYPE"} <= said.get(metric, set()), f"{metric} does not say what it is"
        counter = metric.endswith("_total")
        assert kinds[metric] == ("counter" if counter else "gauge"), metric
        assert not metric.endswith("_ratio") or 0 <= value <= 1, line
        assert not metric.endswith(("_total", "_bytes")) or value >= 0, line
    return found


def ok(result: subprocess.CompletedProcess[str]) -> dict[str, float]:
    """The series of a probe that must have ended well."""
    assert result.returncode == 0, result.stderr
    return series(result.stdout)


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """The explanation of a probe that must have refused what it read."""
    assert result.returncode != 0, result.stdout
    assert result.stderr.strip()
    return result.stderr


def unavailable(result: subprocess.CompletedProcess[str]) -> str:
    """The reason of a probe that has nothing to ask."""
    assert ok(result) == {}
    return re.search("^# UNAVAILABLE (.+)$", result.stdout, re.M)[1]


def plain_tools(folder: Path, *more: str) -> Path:
    """A folder for PATH that holds the plain tools, and of the others only those named."""
    folder.mkdir(exist_ok=True)
    for tool in (*PLAIN_TOOLS, *more):
        target = shutil.which(tool, path=SYSTEM)
        if target and not (folder / tool).exists():
            (folder / tool).symlink_to(target)
    return folder


def stub(folder: Path, tool: str, script: str) -> None:
    """A stand-in for a tool, a few lines of sh."""
    (folder / tool).unlink(missing_ok=True)
    (folder / tool).write_text(f"#!/bin/sh\n{script}\n")
    (folder / tool).chmod(0o755)


def near(measured: float, expected: float, share: float = 0.02) -> bool:
    return abs(measured - expected) <= share * max(abs(expected), 1)
