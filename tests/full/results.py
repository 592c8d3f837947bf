"""What the long runs found, kept with the commit: tests/full/RESULTS.md, a section a run.

... | .venv-dev/bin/python -m tests.full.results NAME STATUS SECONDS [COMMIT]
"""

import datetime
import os
import re
import subprocess
import sys

from tests.cycles import ROOT

FILE = os.path.join(ROOT, "tests", "full", "RESULTS.md")
HEAD = """# What the long runs found

Written by `tests/full.sh`, a section a run: when, at which commit, how it ended, what it said. A section stays until the run is
made again.
"""
LONGEST = 6000  # characters of what a run said


def commit() -> str:
    """The commit that stands here; `+` where files differ from it."""

    def git(*argv: str) -> str:
        return subprocess.run(["git", *argv], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = [
        line for line in git("status", "--porcelain", "--untracked-files=no").splitlines() if not line.endswith(".md")
    ]
    return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")


def section(name: str, status: str, seconds: str, said: str, at: str, day: str) -> str:
    """One run in Markdown. Tables stay tables; the rest is a block as it was printed."""
    said = said.strip()[-LONGEST:].replace("```", "'''")
    ended = "ended well" if status == "0" else f"ended with status {status}"
    body = said if said.startswith("|") else f"```\n{said}\n```"
    return f"## {name}\n\nCommit `{at}`, {day}, {float(seconds):.0f} s, {ended}.\n\n{body}\n"


def put(whole: str, name: str, new: str) -> str:
    """The file with this section in the place of the one before."""
    parts = re.split(r"(?m)^(?=## )", whole)
    kept = [part for part in parts[1:] if not part.startswith(f"## {name}\n")]
    return "\n".join([HEAD.rstrip("\n"), "", *(part.rstrip("\n") + "\n" for part in sorted([*kept, new]))])


def main(argv: list[str]) -> int:
    name, status, seconds = argv[:3]
    at = argv[3] if len(argv) > 3 else commit()
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    whole = ""
    if os.path.exists(FILE):
        with open(FILE, encoding="utf-8") as file:
            whole = file.read()
    with open(FILE, "w", encoding="utf-8") as file:
        file.write(put(whole, name, section(name, status, seconds, sys.stdin.read(), at, day)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
