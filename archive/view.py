"""`data/probes/`: the newest good text of each probe, one file a probe, for people and for node_exporter.

A view, no record: renamed, so that nobody reads half a text; not synced; written only where a text has changed.
"""

import os

from archive import rights

LONGEST = 1 << 20


def show(data: str, texts: dict[str, bytes]) -> None:
    """{probe: text}. Where it cannot be written (a full disk, a link in its place) the view stays as it was."""
    folder = os.path.join(data, "probes")
    if os.path.islink(folder):
        return
    try:
        os.makedirs(folder, mode=rights.of_folder(folder), exist_ok=True)
        for probe, text in texts.items():
            path = os.path.join(folder, f"{probe}.prom")
            if _read(path) != text:
                _write(path, text)
    except OSError:
        return


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with open(fd, "rb") as file:
        return file.read(LONGEST + 1)


def _write(path: str, text: bytes) -> None:
    aside = f"{path}.new"
    if os.path.lexists(aside):
        os.unlink(aside)
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, rights.of_file(aside))
    with open(fd, "wb") as file:
        file.write(text)
    os.rename(aside, path)
