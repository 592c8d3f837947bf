"""Coverage-guided fuzzing of one target by atheris (libFuzzer), for so many seconds; what it finds new is kept in the corpus.

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install -r requirements.txt && /tmp/fuzz/bin/pip install atheris
    /tmp/fuzz/bin/python -m tests.fuzz.run probe_text 300
    /tmp/fuzz/bin/python -m tests.fuzz.run publication 300

atheris is not among the tests' packages: its wheel is large, and there is one for few versions of Python. `tests/fuzz/test_corpus.py`
throws the kept corpus at the parsers in every run of the tests, without it. A crash leaves its bytes in tests/fuzz/corpus,
too (crash-...): mend the parser, keep the file.
"""

import os
import sys

import atheris

with atheris.instrument_imports(include=["archive"]):
    from tests.fuzz import targets


def main(name: str, seconds: int) -> None:
    folder = os.path.join(targets.CORPUS, name)
    work = f"{folder}.new"  # not all that it keeps on the way is worth keeping: merged at the end
    os.makedirs(work, exist_ok=True)
    atheris.Setup(
        [sys.argv[0], work, folder, f"-max_total_time={seconds}", "-max_len=16384", "-timeout=20", "-rss_limit_mb=2048",
         f"-artifact_prefix={folder}/", "-print_final_stats=1"],
        targets.TARGETS[name],
    )  # fmt: skip
    atheris.Fuzz()


def merge(name: str) -> None:
    """Keep of what was found the smallest files that reach as much."""
    folder = os.path.join(targets.CORPUS, name)
    # libFuzzer starts itself anew, by its first argument, through a shell; what it says then replaces `-merge`.
    again = f"{sys.executable} -m tests.fuzz.run {name} merge"
    told = [option for option in sys.argv[3:] if option.startswith("-merge")] or ["-merge=1"]
    atheris.Setup([again, *told, "-max_len=16384", folder, f"{folder}.new"], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[2] == "merge":
        merge(sys.argv[1])
    else:
        main(sys.argv[1], int(sys.argv[2]))
