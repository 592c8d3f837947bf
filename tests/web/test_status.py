"""`./vigie status`, run for real: in a terminal, through a pipe, as JSON, again and again."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unicodedata

import pytest

from archive import database
from archive.certfr import document
from archive.certfr import store as publications
from tests import engines
from tests.web import site
from tests.web.hostile import hostile
from tests.web.site import NOW
from tests.web.test_commands import ROOT, vigie
from tests.web.test_data import publication

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
SHAPES = {0: "✓", 1: "▲", 2: "◆", 3: "?"}


def environ(path: str, language: str, now: int) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("VIGIE_", "COLUMNS", "LINES"))}
    return {**clean, "VIGIE_DATA": path, "VIGIE_LANGUAGE": language, "VIGIE_NOW": str(now), "TERM": "xterm-256color",
            "VIGIE_TIMEZONE": "Europe/Paris", "PYTHONUTF8": "1"}  # fmt: skip


class Terminal:
    """A real one (pty) of a given size, with the command in it."""

    def __init__(self, path: str, *arguments: str, columns: int = 80, lines: int = 24, language: str = "en",
                 now: int = NOW) -> None:  # fmt: skip
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-I", os.path.join(ROOT, "web", "__main__.py"), "status", *arguments],
            stdin=slave, stdout=slave, stderr=slave, env=environ(path, language, now), start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.said = b""

    def read(self, until: str = "", seconds: float = 30.0) -> str:
        """What was written, until a word has come (or all of it, to the end)."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not (until and until in self.text):
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    part = os.read(self.master, 65536)
                except OSError:  # the other end is closed
                    break
                if not part:
                    break
                self.said += part
        return self.text

    @property
    def text(self) -> str:
        return self.said.decode("utf-8", "replace")

    def end(self) -> int:
        status = self.process.wait(30)
        os.close(self.master)
        return status


def width(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line if not unicodedata.combining(c))


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> str:
    return site.filled(str(tmp_path_factory.mktemp("well") / "data"), 20)


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> str:
    return site.filled(str(tmp_path_factory.mktemp("troubled") / "data"), 40, cpu=0.97, disk=0.93)


@pytest.fixture(scope="module")
def grave(tmp_path_factory: pytest.TempPathFactory) -> str:
    return site.filled(str(tmp_path_factory.mktemp("grave") / "data"), 20, memory=0.97)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> str:
    return site.folder(str(tmp_path_factory.mktemp("empty") / "data"))


def asked(path: str, *arguments: str, now: int = NOW, language: str = "en") -> subprocess.CompletedProcess[str]:
    return vigie(path, "status", *arguments, VIGIE_NOW=str(now), VIGIE_LANGUAGE=language, VIGIE_TIMEZONE="Europe/Paris")


def test_the_exit_status_is_that_of_a_monitoring_plugin(well: str, troubled: str, grave: str, empty: str) -> None:
    for path, now, expected in (
        (well, NOW, 0), (troubled, NOW, 1), (grave, NOW, 2), (empty, NOW, 3),
        # Old figures are never green, nor of any other colour.
        (well, NOW + 180, 0), (well, NOW + 181, 3), (grave, NOW + 7200, 3),
    ):  # fmt: skip
        for arguments in ([], ["--json"]):
            done = asked(path, *arguments, now=now)
            assert done.returncode == expected, done.stdout + done.stderr
            assert done.stderr == ""
        assert asked(path, now=now).stdout.startswith((SHAPES[expected], "…"))


def test_what_cannot_be_read_is_unknown_and_says_what_to_type(tmp_path: object) -> None:
    for arguments in ([], ["--json"]):
        done = asked(f"{tmp_path}/nothing", *arguments)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.count("\n") == 1
    path = site.folder(f"{tmp_path}/damaged")
    with engines.unreadable(path):
        done = asked(path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("language", ["fr", "en"])
def test_a_pipe_gets_plain_lines(troubled: str, language: str) -> None:
    text = asked(troubled, language=language).stdout
    assert "\x1b" not in text
    lines = text.splitlines()
    assert all(line == line.rstrip() for line in lines)
    assert all(width(line) <= 80 for line in lines)


def test_the_screen_says_state_since_what_and_who(troubled: str) -> None:
    text = site.plain(asked(troubled).stdout)
    assert text.startswith("▲ 2 open incidents on machine · since ")
    for words in ("Processor at 97%", "Disk / at 93%", "threshold 90%", "→ Look first at who uses the processor.",
                  "CERT-FR", "never read", "user7", "Logged in"):  # fmt: skip
        assert words in text, words
    french = site.plain(asked(troubled, language="fr").stdout)
    for words in ("2 incidents en cours", "Processeur à 97 %", "seuil 90 %", "jamais lu", "Utilisateur"):
        assert words in french, words


def test_one_incident_is_told_with_all_that_helps(grave: str) -> None:
    text = site.plain(asked(grave).stdout)
    assert "◆ Critical Memory at 97%" in text
    assert "Swap only buys time." in text


def test_stale_figures_make_every_state_unknown(grave: str) -> None:
    text = asked(grave, now=NOW + 7200).stdout
    assert "no figures for 2" in site.plain(text)
    assert "./run_all.sh ; ./vigie doctor" in text
    for shape in ("✓", "▲", "◆"):
        assert shape not in text


def test_a_publication_that_concerns_this_machine_is_named(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 5)
    with database.writer(path) as db, database.transaction(db):
        publications.put(db, document.from_json(publication(7, "alerte", "Un titre \x1b[31mrouge")), NOW)
        db.execute(
            "INSERT INTO verdict (host, advisory, verdict, package, installed, reason, evidence, decided_at, revision,"
            " dismissed_reason, offered) SELECT 1, id, 'affected', 'openssh-server', '1:9.2', '[\"absent\",[]]', '[]', ?, 1,"
            " '', '' FROM advisory",
            (NOW,),
        )
    done = asked(path)
    assert "◆ 1 publication concerns this machine" in done.stdout
    assert "CERTFR-2026-ALE-0007" in done.stdout
    assert "\x1b" not in done.stdout
    told = json.loads(asked(path, "--json").stdout)["certfr"]["concerning"]
    assert [(one["reference"], one["package"]) for one in told] == [("CERTFR-2026-ALE-0007", "openssh-server")]


def test_the_json_is_what_the_dashboard_serves(troubled: str) -> None:
    """Its shape is held by tests/web/test_openapi.py."""
    printed = json.loads(asked(troubled, "--json", language="fr").stdout)
    served = site.site(troubled).test_client().get("/status.json", headers={"Accept-Language": "fr"}).get_json()
    assert printed == served
    assert printed["state"] == "warning"
    assert printed["exit"] == 1
    assert len(printed["incidents"]) == 2
    with database.reader(troubled) as db:
        (since,) = db.execute("SELECT min(since_at) FROM incident WHERE state <> 'resolved'").fetchone()
    assert printed["since_at"] == since


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
@pytest.mark.parametrize("language", ["fr", "en"])
def test_a_terminal_gets_colour_and_no_line_is_too_long(troubled: str, columns: int, language: str) -> None:
    terminal = Terminal(troubled, columns=columns, language=language)
    text = terminal.read()
    assert terminal.end() == 1
    assert "\x1b[33m" in text
    lines = ESCAPE.sub("", text).replace("\r", "").split("\n")
    assert max(width(line) for line in lines) <= columns


def test_w15_hostile_names_send_nothing_to_the_terminal(tmp_path: object) -> None:
    path = hostile(f"{tmp_path}/data")
    terminal = Terminal(path, columns=100, lines=60)
    text = terminal.read()
    assert terminal.end() in (1, 2)
    # Only colours of ours, ends of lines and the shapes; nothing of a name is obeyed.
    assert {match[-1] for match in ESCAPE.findall(text)} <= {"m"}
    bare = ESCAPE.sub("", text)
    assert not [c for c in bare if unicodedata.category(c) in ("Cc", "Cf") and c not in "\r\n"]
    assert "\x1b" not in asked(path).stdout


def test_watch_fills_one_page_draws_again_and_ends_by_ctrl_c(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 5, memory=0.41)
    terminal = Terminal(path, "--watch", "1")
    terminal.read("41%")
    assert "\x1b[?1049h" in terminal.text, "on the second page, so that the first one stays as it was"
    site.judged(path, 1, NOW + 60, memory=0.83)
    terminal.read("83%")
    assert "83%" in terminal.text
    drawn = terminal.text.split("\x1b[?1049h", 1)[1]
    assert "\x1b[2J" not in drawn.split("41%", 1)[1], "drawn over, never wiped first: that would flicker"
    os.killpg(terminal.process.pid, signal.SIGINT)
    terminal.read()
    assert terminal.end() == 0
    assert terminal.text.rstrip().endswith("\x1b[?25h") or "\x1b[?1049l" in terminal.text
    assert "\x1b[?1049l" in terminal.text
    assert "\x1b[?25h" in terminal.text, "the cursor is back"
    assert "Traceback" not in terminal.text


def test_watch_fits_the_window(troubled: str) -> None:
    for columns, lines in ((80, 24), (120, 40), (40, 12)):
        terminal = Terminal(troubled, "--watch", columns=columns, lines=lines, language="fr")
        text = terminal.read("user7" if lines > 12 else "Processeur")
        os.killpg(terminal.process.pid, signal.SIGTERM)
        terminal.read()
        assert terminal.end() == 1
        page = ESCAPE.sub("", text.split("\x1b[?1049h", 1)[1])
        assert len(page.replace("\r", "").rstrip("\n").split("\n")) <= lines
    assert "Ctrl+C" in page or lines == 12


def test_watch_goes_on_when_the_database_goes_away(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 5)
    terminal = Terminal(path, "--watch", "1")
    terminal.read("All is well")
    with engines.away(path):
        terminal.read(engines.AWAY_PLAIN)
        assert "? Unknown" in ESCAPE.sub("", terminal.text)
        assert engines.AWAY_PLAIN in terminal.text
    os.killpg(terminal.process.pid, signal.SIGINT)
    terminal.read()
    assert terminal.end() in (0, 3)


def test_watch_needs_a_terminal_and_a_sensible_number(well: str) -> None:
    done = asked(well, "--watch")
    assert (done.returncode, done.stdout) == (3, "")
    assert "./vigie status --json" in done.stderr
    for number in ("0", "x", "-1", "99999"):
        assert asked(well, "--watch", number).returncode == 2
    assert asked(well, "--json", "--watch").returncode == 2
