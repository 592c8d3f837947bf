"""Debian's tracker fetched from a real local server, polite or not: what concerns the machine is kept, the rest never hurts."""

import gzip
import json
import sqlite3
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from archive.certfr import debian, schedule, tracker
from archive.certfr.debian import Outcome
from archive.certfr.inventory import Inventory, read_packages
from tests.certfr.server import Reply, Request, Site, drip, endless, gzip_bomb, raw, redirect, send

NOW = 1_795_221_000  # 20 November 2026
DAY = 86_400
OpenDb = Callable[[], AbstractContextManager[sqlite3.Connection]]
JSON, FEED = "/tracker/data/json", "/tracker/debsecan/release/1/bookworm"
BODY = {
    "openssh": {
        "CVE-2024-6387": {
            "description": "x" * 200,
            "releases": {
                "bookworm": {"status": "resolved", "fixed_version": "1:9.2p1-2+deb12u3", "urgency": "high"},
                "sid": {"status": "resolved", "fixed_version": "1:9.7p1-7"},
            },
        },
        "CVE-2026-1": {"releases": {"bookworm": {"status": "open", "urgency": "low", "nodsa": "Minor issue"}}},
    },
    "firefox-esr": {"CVE-2026-2": {"releases": {"bookworm": {"status": "open"}}}},
}


def machine(*rows: str, system: str = "debian", codename: str = "bookworm") -> Inventory:
    text = "\n".join(
        f"{name}\t{version}\tamd64\t{source}\t{version}\tinstall ok installed"
        for name, version, source in (row.split() for row in rows or ("openssh-server 1:9.2p1-2+deb12u2 openssh",))
    )
    os_release = {"ID": system, "VERSION_ID": "12", "VERSION_CODENAME": codename}
    return Inventory(os_release, read_packages(text, system, "list"))


class Asker:
    def __init__(self, db: sqlite3.Connection, open_db: OpenDb, site: Site, data: Path) -> None:
        self.db, self.open_db, self.site, self.data = db, open_db, site, data
        self.base_url = ""

    def ask(self, now: int = NOW, *, mode: str = "json", here: Inventory | None = None, **more: object) -> Outcome:
        self.site.asked.clear()
        return debian.fetch(
            self.open_db,
            str(self.data),
            self.base_url,
            mode,
            here or machine(),
            now,
            **{"deadline": 5.0, **more},  # type: ignore[arg-type]
        )

    def known(self) -> tracker.Tracker:
        return tracker.read(debian.kept_path(str(self.data)), "bookworm", ["openssh", "firefox-esr"])

    def error(self) -> str:
        row = schedule.source(self.db, debian.SOURCE)
        return row.error if row else ""


@pytest.fixture
def asker(db: sqlite3.Connection, open_db: OpenDb, tmp_path: Path) -> Iterator[Asker]:
    site = Site()
    site.at[JSON] = send(json.dumps(BODY), kind="application/json", ETag='"one"')
    data = tmp_path / "data"
    data.mkdir()
    made = Asker(db, open_db, site, data)
    with site.serve() as base_url:
        made.base_url = base_url
        yield made


def test_only_what_the_installed_packages_need_is_kept(asker: Asker) -> None:
    assert asker.ask() == Outcome(asked=True, changed=True, packages=1, issues=2)
    known = asker.known()
    assert known.rule("openssh", "CVE-2024-6387", "1:9.2p1-2+deb12u2").place == tracker.VULNERABLE
    assert known.rule("openssh", "CVE-2024-6387", "1:9.2p1-2+deb12u3").place == tracker.FIXED
    assert known.rule("openssh", "CVE-2026-1", "1").note == "Minor issue"
    assert known.rule("firefox-esr", "CVE-2026-2", "1").place == tracker.UNKNOWN
    assert [each.name for each in asker.data.iterdir()] == [debian.KEPT]  # the download is gone
    assert debian.kept_path(str(asker.data)).stat().st_mode & 0o777 == 0o600


def test_once_a_day_and_conditionally(asker: Asker) -> None:
    asker.ask()
    assert asker.ask(NOW + 3600).reason
    assert not asker.site.asked
    asker.site.at[JSON] = send(b"", 304)
    assert asker.ask(NOW + DAY) == Outcome(asked=True)
    (asked,) = asker.site.asked
    assert asked.headers["if-none-match"] == '"one"'
    assert asked.headers["accept-encoding"] == "gzip"
    assert asker.ask(NOW + DAY + 60, force=True).asked


def test_another_package_or_suite_asks_for_the_whole_again(asker: Asker) -> None:
    asker.ask()
    more = machine("openssh-server 1:9.2p1-2 openssh", "firefox-esr 115 firefox-esr")
    assert asker.ask(NOW + DAY, here=more).packages == 2
    assert "if-none-match" not in asker.site.asked[0].headers


def test_after_the_kept_file_was_lost_the_whole_is_asked_for(asker: Asker) -> None:
    asker.ask()
    debian.kept_path(str(asker.data)).unlink()
    assert asker.ask(NOW + DAY).changed
    assert "if-none-match" not in asker.site.asked[0].headers


def test_a_packed_answer(asker: Asker) -> None:
    asker.site.at[JSON] = send(gzip.compress(json.dumps(BODY).encode()), Content_Encoding="gzip")
    assert asker.ask().issues == 2


def test_debsecans_feed(asker: Asker) -> None:
    feed = "VERSION 1\nCVE-2024-6387,,d\n\nopenssh,0,SMRF,1:9.7p1-7,1:9.2p1-2+deb12u3 1:9.2p1-2+deb12u5\n\n\n"
    asker.site.at[FEED] = send(zlib.compress(feed.encode()), kind="application/octet-stream")
    assert asker.ask(mode="debsecan") == Outcome(asked=True, changed=True, packages=1, issues=1)
    assert asker.known().rule("openssh", "CVE-2024-6387", "1:9.2p1-2+deb12u4").place == tracker.FIXED


FAULTS: dict[str, Reply] = {
    "500": send("down", 500),
    "429": send("wait", 429, Retry_After="7200"),
    "404": send("no", 404),
    "maintenance": send("<html><title>Maintenance</title></html>"),
    "redirect": redirect("https://evil.example/tracker/data/json"),
    "bomb": gzip_bomb(300),
    "endless": endless,
    "drip": drip(b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n" + b"{" * 90_000, 0.05),
    "cut": raw(b"HTTP/1.1 200 X\r\nContent-Length: 5000\r\n\r\n" + json.dumps(BODY).encode()),
    "cut json": send(json.dumps(BODY)[:-30]),
    "a list": send("[]"),
    "another suite": send(json.dumps({"openssh": {"CVE-2024-6387": {"releases": {"sid": {"status": "open"}}}}})),
    "binary": send(bytes(range(256)) * 100),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_the_server_does_what_is_known_stays(
    asker: Asker, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(debian.LIMITS, "json", 4 << 20)
    asker.ask()
    before = debian.kept_path(str(asker.data)).read_bytes()
    asker.site.at[JSON] = FAULTS[fault]
    found = asker.ask(NOW + DAY, deadline=1.5)
    assert found.asked
    assert not found.changed
    assert found.error
    assert found.error == asker.error()
    assert str(asker.data) not in found.error
    assert debian.kept_path(str(asker.data)).read_bytes() == before
    assert [each.name for each in asker.data.iterdir()] == [debian.KEPT]
    # A failure is tried again in four hours, not every hour and not at once.
    assert asker.ask(NOW + DAY + 3600).reason
    asker.site.at[JSON] = send(json.dumps(BODY))
    assert asker.ask(NOW + DAY + debian.AGAIN).changed


def test_a_redirect_to_another_host_is_not_followed_and_names_the_setting(asker: Asker) -> None:
    asker.site.at[JSON] = redirect("https://evil.example/")
    assert debian.SETTING in asker.ask().error
    assert len(asker.site.asked) == 1


def test_data_that_shrank_to_less_than_half_is_not_believed(asker: Asker) -> None:
    many = {f"CVE-2026-{n}": {"releases": {"bookworm": {"status": "open"}}} for n in range(1000, 1010)}
    asker.site.at[JSON] = send(json.dumps({"openssh": many}))
    assert asker.ask().issues == 10
    asker.site.at[JSON] = send(json.dumps({"openssh": dict(list(many.items())[:4])}))
    assert "fewer than half" in asker.ask(NOW + DAY).error
    assert len(asker.known().issues["openssh"]) == 10


def test_80_megabytes_go_to_a_file_and_not_into_memory(asker: Asker) -> None:
    """The download and the reading of it together hold a few pieces at a time."""

    def long(connection: object, _request: Request) -> None:
        filler = json.dumps({"releases": {"sid": {"status": "open"}}, "description": "y" * 900})
        head = b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
        connection.sendall(head + b"{")  # type: ignore[attr-defined]
        for number in range(80):
            issues = ",".join(f'"CVE-2020-{n}":{filler}' for n in range(10_000, 11_000))
            connection.sendall(f'"package{number}":{{{issues}}},'.encode())  # type: ignore[attr-defined]
        connection.sendall(json.dumps(BODY)[1:].encode())  # type: ignore[attr-defined]
        raise ConnectionAbortedError

    asker.site.at[JSON] = long
    tracemalloc.start()
    try:
        assert asker.ask(deadline=60.0).issues == 2
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30 << 20


def test_another_system_asks_nothing(asker: Asker) -> None:
    assert asker.ask(here=machine(system="ubuntu", codename="noble")).reason
    assert not asker.site.asked


def test_the_base_is_https_or_this_machine(asker: Asker) -> None:
    asker.base_url = "http://security-tracker.debian.org"
    assert debian.SETTING in asker.ask().error


def test_a_file_of_something_else_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("shopping list", encoding="utf-8")
    with pytest.raises(tracker.TrackerError, match=r"notes\.txt"):
        debian.take(path, str(tmp_path), machine())
    assert not debian.kept(str(tmp_path))


def test_what_was_kept_is_read_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    path.write_text(json.dumps(BODY), encoding="utf-8")
    read = tracker.read(path, "bookworm", ["openssh"])
    tracker.write(read, tmp_path / "kept")
    again = tracker.read(tmp_path / "kept", "bookworm", ["openssh"])
    assert (again.suite, again.issues) == (read.suite, read.issues)


def test_what_a_killed_download_left_is_swept(asker: Asker) -> None:
    import os

    left = asker.data / "tracker-dead.part"
    left.write_bytes(b"{")
    os.utime(left, (1, 1))
    asker.ask()
    assert not left.exists()
