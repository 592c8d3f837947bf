"""docs/deployment.md, taken at its word: the blocks of configuration that it shows, and the few words in them that a test must put
another in the place of (ports, paths, an account). What is replaced must stand there as often as the test says, so that
the document cannot drift away from what was tested."""

import os

from archive.settings import ROOT

PATH = os.path.join(ROOT, "docs", "deployment.md")


def blocks(language: str, heading: str = "") -> list[str]:
    """Every fenced block of a language ('' for one without), in order; `heading`: only those of that section, sub-sections left
    out."""
    found: list[str] = []
    here, fence, lines = not heading, None, []
    with open(PATH, encoding="utf-8") as file:
        for line in file:
            if line.startswith("```") and fence is None:
                fence, lines = line[3:].strip(), []
            elif line.startswith("```"):
                found += ["".join(lines)] if here and fence == language else []
                fence = None
            elif fence is not None:
                lines.append(line)
            elif heading and line.startswith("#"):
                here = line.rstrip("\n") == heading
    assert found, f"docs/deployment.md has no block {language!r} below {heading!r}"
    return found


def block(language: str, heading: str) -> str:
    """The first block of a language below a heading."""
    return blocks(language, heading)[0]


def replaced(text: str, *words: tuple[str, str, int]) -> str:
    """(what stands there, what the test wants, how often) one after the other."""
    for old, new, times in words:
        assert text.count(old) == times, f"docs/deployment.md holds {old!r} {text.count(old)} times, not {times}"
        text = text.replace(old, new)
    return text
