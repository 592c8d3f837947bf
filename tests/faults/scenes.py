"""The steps that the sweep harms, each over the same small archive: what it starts from, how it runs, what must be left.

One base is made once and copied for each fault. It is a machine in its fifth day: days rolled up, one packed, a backup of
yesterday, a journal, two texts that wait, and the second of them opens an incident.
"""

import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email import message_from_bytes
from typing import Any, NamedTuple

from archive import backup, database, purge, reserve, settings, slices, upkeep
from tests import cycles
from tests.conftest import make_data
from tests.cycles import ROOT, machine
from tests.faults import invariants

DAY, HOUR = 86_400, 3600
TODAY = 1_795_219_200  # 2026-11-21 00:00 UTC
AT = TODAY + 2 * HOUR + 45 * 60  # after the hour of the day's work
EVERY = 2 * HOUR
TO = "a@example.org"
STRACE = "/usr/bin/strace"


class Outcome(NamedTuple):
    status: int  # negative: killed by that signal
    out: str
    err: str


class Place(NamedTuple):
    """A folder of a worker's own, always at the same path; `environ` for the processes that run in it."""

    data: str
    environ: dict[str, str]


def said_by(at: int, disk: float = 0.40) -> dict[str, str]:
    """Few lines, so that a fault costs little: a counter, gauges with labels, facts, and the load for a plain one."""
    whole = machine(at, users=2, disk=disk)
    whole["users"] = whole["users"].replace(
        f'since="{cycles.BOOTED}"', f'since="{TODAY - HOUR}"'
    )  # kept as long as the rest
    return {name: whole[name] for name in ("cpu", "disk", "users", "uptime")}


def make_base(folder: str) -> None:
    """The archive that every scene starts from. `folder` must not be there."""
    data = make_data(folder, TODAY - 5 * DAY)
    config = settings.load({"VIGIE_DATA": data, "VIGIE_ROOT": nowhere(data)})
    yesterday = AT - DAY
    written = []
    for at in range(TODAY - 4 * DAY, AT - 600, EVERY):
        if at > yesterday > (written[-1] if written else 0):
            cycles.write(data, yesterday, said_by(yesterday))
            cycles.load_all(data, yesterday)
            with database.writer(data) as db, database.transaction(db):
                purge.remember(db, "retention_days", "2", "a test", yesterday)
                purge.remember(db, "digest", "off", "a test", yesterday)
            assert upkeep.run(config, yesterday) == []
        cycles.write(data, at, said_by(at))
        cycles.load_all(data, at)
        written.append(at)
    cycles.write(data, AT - 300, said_by(AT - 300))
    judge(data, AT - 300)
    cycles.write(data, AT - 60, said_by(AT - 60))
    cycles.write(data, AT, said_by(AT, disk=0.99))
    with open(os.path.join(data, "settings.env"), "w", encoding="ascii") as file:
        file.write(
            f"VIGIE_LANGUAGE=en\nVIGIE_MAIL_TO={TO}\nVIGIE_CERTFR_URL=http://127.0.0.1:9\nVIGIE_TIMEZONE=Europe/Paris\n"
            f"VIGIE_PING_URL=http://127.0.0.1:9/{invariants.SECRET}\nVIGIE_HOST_NAME=srv\nVIGIE_WEB=0\n"
        )
    os.unlink(os.path.join(data, reserve.RESERVE))  # 8 MB a copy: made again, with holes, where it is wanted
    os.chmod(os.path.join(data, "settings.env"), 0o600)


def nowhere(data: str) -> str:
    """An empty root beside the data: this machine's own logs are not part of the scene."""
    path = f"{data}.root"
    os.makedirs(path, exist_ok=True)
    return path


def judge(data: str, now: int) -> None:
    """One minute's step."""
    environ = {"VIGIE_DATA": data, "VIGIE_ROOT": nowhere(data), "VIGIE_NOW": str(now)}
    done = run([sys.executable, "-I", "-S", "-B", "alerts/cycle.py"], environ)
    assert (done.status, done.err) == (0, ""), done


def copy(base: str, data: str) -> None:
    """A fresh copy, with a reserve of holes: what is in it does not matter, that it can be freed does."""
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(base, data, symlinks=True)
    with open(os.path.join(data, reserve.RESERVE), "wb") as file:
        file.truncate(reserve.RESERVE_BYTES)


def run(argv: list[str], environ: Mapping[str, str], timeout: float = 120.0) -> Outcome:
    done = subprocess.run(
        argv, cwd=ROOT, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PYTHONHASHSEED": "0", **environ},
        stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False, text=True, errors="replace",
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


class Scene:
    """A step. Subclasses say how it is started and what must be left; `expected` is what an unharmed run left."""

    name = ""
    argv: tuple[str, ...] = ()
    later = 0  # seconds after which the unharmed run comes
    all_code = False  # whether the reading of the program itself is harmed too

    def __init__(self, base: str, place: Place) -> None:
        self.base, self.place = base, place
        self.expected: dict[str, list[tuple[object, ...]]] = {}
        self.as_well: dict[str, list[tuple[object, ...]]] = {}  # another good end, where there is one
        self.texts: list[int] = []
        self.harm = Outcome(0, "", "")  # of the last harmed run

    @contextmanager
    def open(self) -> Iterator["Scene"]:
        """What lasts for several faults; the unharmed run that the others are compared with."""
        self.prepare()
        self.texts = invariants.texts(self.place.data)[0]
        done = self.plain(0)
        assert done.status == 0, f"{self.name}: the unharmed run failed: {done}"
        assert self.after(done) == []
        self.expected = self.essence()
        yield self

    def prepare(self) -> None:
        copy(self.base, self.place.data)

    def command(self) -> list[str]:
        return [sys.executable, *self.argv]

    def environ(self, later: int = 0) -> dict[str, str]:
        return {**self.place.environ, "VIGIE_NOW": str(AT + later)}

    def plain(self, later: int) -> Outcome:
        """The step without a fault."""
        return run(self.command(), self.environ(later))

    def harmed(self, inject: str, log: str) -> Outcome:
        """The step with one fault; `log` gets the calls of that name."""
        call = inject.partition(":")[0]
        # The kernel's filter makes strace fast, but it delivers no signal.
        fast = [] if "signal=" in inject else ["--seccomp-bpf"]
        return run(
            [STRACE, "-f", *fast, "-s", "200", "-o", log, "-e", f"trace={call}", "-e", f"inject={inject}", *self.command()],
            self.environ(),
        )  # fmt: skip

    def counted(self, calls: str, log: str) -> None:
        """The step without a fault, its calls written down."""
        run([STRACE, "-f", "-s", "200", "-o", log, "-e", f"trace={calls}", *self.command()], self.environ())

    def essence(self) -> dict[str, list[tuple[object, ...]]]:
        return invariants.essence(self.place.data)

    def right_after(self) -> list[str]:
        """What must hold before anything is run again."""
        data = self.place.data
        return invariants.nothing_lost(data, self.texts) + invariants.whole_files(data)

    def after(self, done: Outcome) -> list[str]:
        """What must hold after the unharmed run."""
        data = self.place.data
        if done.status != 0:
            return [f"I6 the unharmed run failed: {done.status} {done.err[:300]}"]
        wrong = invariants.sound(data)
        if wrong:
            return wrong
        wrong += invariants.nothing_lost(data, self.texts) + invariants.whole_files(data)
        wrong += invariants.mailed_or_owed(data) + invariants.no_leftovers(data)
        if not self.expected:
            return wrong
        found = self.essence()
        return wrong + ([] if found == self.as_well else invariants.difference(found, self.expected))


class Loading(Scene):
    """A step that loads two texts. Where the first cannot be read now, it stays for the next time and comes late: its
    counters give no rates then, those of the text after it span both minutes."""

    @contextmanager
    def open(self) -> Iterator["Scene"]:
        self.prepare()
        first = os.path.join(self.place.data, "spool", f"{AT - 60}.prom")
        os.rename(first, f"{first}.away")
        assert self.plain(0).status == 0
        os.rename(f"{first}.away", first)
        done = self.plain(self.later)
        assert self.after(done) == []
        late = self.essence()
        with super().open():
            self.as_well = late
            yield self


class Cycle(Loading):
    """The minute's step: two texts archived and judged, an incident opened, its mail owed."""

    name = "cycle"
    argv = ("-I", "-S", "-B", "alerts/cycle.py")
    all_code = True

    def after(self, done: Outcome) -> list[str]:
        wrong = super().after(done)
        if not wrong:
            wrong += invariants.loaded_once(self.place.data, [AT - 60, AT])
            if os.listdir(os.path.join(self.place.data, "spool")):
                wrong.append("I2 the spool is not empty")
            db = invariants.connection(os.path.join(self.place.data, "vigie.db"))
            if db.execute("SELECT count(*) FROM delivery").fetchone() != (1,):
                wrong.append("I3 the incident is not owed to its one recipient once")
            db.close()
        return wrong


class Forked(Scene):
    """A step that runs in a fork of this process, which has read all its modules: a start of Python costs more than the step.

    The fork stops itself before the step; strace is attached, and it goes on. So what is counted and harmed is the step alone.
    """

    def load(self) -> None:
        """Read the modules, so that the forks need not."""

    def step(self) -> int:
        """The step's own main, in the fork; its status."""
        raise NotImplementedError

    @contextmanager
    def open(self) -> Iterator["Scene"]:
        self.load()
        with super().open():
            yield self

    def _fork(self, later: int, stopped: bool) -> tuple[int, tuple[int, int]]:
        """(process, the ends of the pipes on which it speaks: standard output and error)."""
        ends, theirs = zip(os.pipe(), os.pipe(), strict=True)
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child:
            for end in theirs:
                os.close(end)
            return child, ends
        status = 99
        try:
            for end in ends:
                os.close(end)
            os.umask(0o077)
            for number, end in enumerate(theirs, 1):
                os.dup2(end, number)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.environ.clear()
            os.environ.update({"PATH": "/usr/bin:/bin", "LC_ALL": "C", **self.environ(later)})
            os.chdir(ROOT)
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 the fork ends with them
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            if stopped:
                os.kill(os.getpid(), signal.SIGSTOP)
            status = self.step()
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException as error:
            os.write(2, f"Traceback: {type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(status)

    def _ended(self, child: int, ends: tuple[int, int]) -> Outcome:
        said = []
        for end in ends:  # a step says a few lines: no pipe fills up
            with open(end, "rb") as file:
                said.append(file.read().decode("utf-8", "replace"))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return Outcome(status, said[0], said[1])

    def plain(self, later: int) -> Outcome:
        return self._ended(*self._fork(later, stopped=False))

    def _traced(self, log: str, *more: str) -> Outcome:
        child, ends = self._fork(0, stopped=True)
        os.waitpid(child, os.WUNTRACED)
        strace = subprocess.Popen(
            [STRACE, "-f", "-s", "200", "-o", log, *more, "-p", str(child)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            while not _is_traced(child) and time.monotonic() < deadline:
                time.sleep(0.002)
            os.kill(child, signal.SIGCONT)
            return self._ended(child, ends)
        finally:
            strace.wait(60)

    def harmed(self, inject: str, log: str) -> Outcome:
        return self._traced(log, "-e", f"trace={inject.partition(':')[0]}", "-e", f"inject={inject}")

    def counted(self, calls: str, log: str) -> None:
        self._traced(log, "-e", f"trace={calls}")


class UpkeepStep(Forked):
    """`python -m archive.upkeep` with its words."""

    words: tuple[str, ...] = ()

    def step(self) -> int:
        sys.argv = ["upkeep", *self.words]
        slices.PAUSE = 0.0  # nobody waits beside it
        return upkeep.main()


class Loader(Loading, UpkeepStep):
    """The archive's step alone: two texts become rows."""

    name = "loader"
    words = ("--load",)

    def prepare(self) -> None:
        super().prepare()
        with database.writer(self.place.data) as db:  # no upkeep is due
            db.execute("INSERT OR REPLACE INTO setting VALUES ('upkeep_at', ?, ?, 'a test')", (str(AT), AT))

    def after(self, done: Outcome) -> list[str]:
        return super().after(done) or invariants.loaded_once(self.place.data, [AT - 60, AT])


class Upkeep(UpkeepStep):
    """Once a day: rollups, checkpoint, backup, packing, purge, journal, check."""

    name = "upkeep"
    words = ("--now",)

    def after(self, done: Outcome) -> list[str]:
        wrong = super().after(done)
        if not wrong and len(backup.names(os.path.join(self.place.data, "backups"))) < 2:
            wrong.append("I6 there is no backup of today")
        return wrong


class Command(Forked):
    """A command line of ./vigie."""

    words: tuple[str, ...] = ()

    def load(self) -> None:
        from web import commands
        from web.commands import _terminal

        commands.command(self.words[0])
        _terminal.words()

    def step(self) -> int:
        from web import __main__ as vigie

        return vigie.main(list(self.words))


class Backup(Command):
    """A backup by hand: `./vigie backups --now`."""

    name = "backup"
    words = ("backups", "--now")

    def right_after(self) -> list[str]:
        there = [os.path.basename(path) for path in backup.names(os.path.join(self.place.data, "backups"))]
        older = os.path.basename(backup.names(os.path.join(self.base, "backups"))[0])
        return super().right_after() + ([] if older in there else ["I6 the older backup is gone"])

    def after(self, done: Outcome) -> list[str]:
        wrong = super().after(done)
        if not wrong:
            newest = backup.names(os.path.join(self.place.data, "backups"))[-1]
            with database.reader(self.place.data) as db:
                if backup.check(newest) != backup.facts(db):
                    wrong.append("I6 the newest backup is not what the database holds")
        return wrong


class Restore(Command):
    """The backup of yesterday in the database's place; what was there is set aside: `./vigie restore --yes`."""

    name = "restore"
    words = ("restore", "--yes")

    def right_after(self) -> list[str]:
        """The present database is in its place, or set aside whole; it is never lost."""
        data = self.place.data
        wrong = super().right_after()
        before = invariants.essence(self.base)
        aside = os.path.join(data, "set-aside")
        places = [data, *(os.path.join(aside, name) for name in (os.listdir(aside) if os.path.isdir(aside) else []))]
        for place in places:
            if os.path.exists(os.path.join(place, "vigie.db")) and invariants.essence(place) == before:
                return wrong
        return [*wrong, "I2 the database that was there is neither in its place nor set aside"]


class Rebuild(Command):
    """After a restore: the texts archived since come back from the journal: `./vigie rebuild`."""

    name = "rebuild"
    words = ("rebuild",)

    def prepare(self) -> None:
        super().prepare()
        target = os.path.join(self.place.data, "vigie.db")
        shutil.copyfile(backup.names(os.path.join(self.place.data, "backups"))[0], target)
        db = sqlite3.connect(target)
        db.execute("PRAGMA journal_mode=WAL")
        db.close()

    def after(self, done: Outcome) -> list[str]:
        """A text that could not be read was said to be skipped: it comes late then, without rates."""
        whole, self.expected = self.expected, {} if "skipped" in self.harm.out else self.expected
        wrong = super().after(done)
        self.expected = whole
        known = {row[1] for row in whole.get("cycle", [])}
        return wrong or invariants.loaded_once(self.place.data, known | {AT - 300})


class PostOffice:
    """A real mail server in a process of its own; each mail that it took is a file."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        ours, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(target=_serve, args=(folder, theirs), daemon=True)
        self.process.start()
        self.port = int(ours.recv())

    def mails(self) -> list[bytes]:
        found = []
        for name in sorted(os.listdir(self.folder)):
            with open(os.path.join(self.folder, name), "rb") as file:
                found.append(file.read())
        return found

    def clear(self) -> None:
        for name in os.listdir(self.folder):
            os.unlink(os.path.join(self.folder, name))

    def close(self) -> None:
        self.process.terminate()
        self.process.join(20)


def _serve(folder: str, pipe: Any) -> None:
    from tests.alerts.smtp_server import Inbox, server

    class Kept(Inbox):
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 aiosmtpd's own name
            with open(os.path.join(folder, f"{time.monotonic_ns()}"), "wb") as file:
                file.write(envelope.original_content or b"")
            return "250 2.0.0 taken"

    with server(Kept()) as (port, _):
        pipe.send(port)
        signal.sigwait([signal.SIGTERM, signal.SIGINT])
    os._exit(0)


class Mail(Forked):
    """The incident's mail leaves by a real server."""

    name = "mail"
    later = 2 * HOUR  # past every lease and pause

    def load(self) -> None:
        from alerts import mail, outbox  # noqa: F401

    def step(self) -> int:
        from alerts import outbox

        return outbox.main()

    @contextmanager
    def open(self) -> Iterator["Scene"]:
        self.post = PostOffice(f"{self.place.data}.post")
        self.place.environ.update(
            VIGIE_SMTP_HOST="127.0.0.1", VIGIE_SMTP_PORT=str(self.post.port), VIGIE_SMTP_SECURITY="none",
            VIGIE_MAIL_FROM="v@example.org",
        )  # fmt: skip
        try:
            self.prepare()
            self.plain(0)  # once in vain: what drawing and mailing read first is read in this process, not by each fork
            with super().open():
                yield self
        finally:
            self.post.close()
            for name in ("SMTP_HOST", "SMTP_PORT", "SMTP_SECURITY", "MAIL_FROM"):
                del self.place.environ[f"VIGIE_{name}"]

    def prepare(self) -> None:
        self.post.clear()
        judged = f"{self.base}-judged"
        if not os.path.exists(judged):
            aside = f"{judged}.{os.getpid()}"
            copy(self.base, aside)
            os.unlink(os.path.join(aside, reserve.RESERVE))
            judge(aside, AT)
            try:
                os.rename(aside, judged)
            except OSError:  # the other worker was first
                shutil.rmtree(aside)
        copy(judged, self.place.data)

    def environ(self, later: int = 0) -> dict[str, str]:
        return super().environ(later + 60)  # nothing is fresh, so no evidence is waited for

    def right_after(self) -> list[str]:
        """A delivery that is called accepted has arrived."""
        wrong = super().right_after()
        db = invariants.connection(os.path.join(self.place.data, "vigie.db"))
        accepted = db.execute("SELECT count(*) FROM delivery WHERE state='accepted'").fetchone()[0]
        db.close()
        return wrong + (
            [] if accepted <= len(self.post.mails()) else ["I3 called accepted, and the server has nothing"]
        )

    def after(self, done: Outcome) -> list[str]:
        wrong = super().after(done)
        mails = self.post.mails()
        ids = {message_from_bytes(one)["Message-ID"] for one in mails}
        if not 1 <= len(mails) <= 2 or len(ids) != 1:
            wrong.append(f"I3 {len(mails)} mails arrived with {len(ids)} ids")
        db = invariants.connection(os.path.join(self.place.data, "vigie.db"))
        if db.execute("SELECT state FROM delivery").fetchall() != [("accepted",)]:
            wrong.append(f"I3 not accepted: {db.execute('SELECT state, reply FROM delivery').fetchall()}")
        db.close()
        return wrong


class Form(Forked):
    """A threshold saved in the page: the application over the copy, harmed from the moment the form is sent."""

    name = "form"

    @contextmanager
    def open(self) -> Iterator["Scene"]:
        from tests.web import site

        self.kept = f"{self.place.data}.people"
        shutil.rmtree(self.kept, ignore_errors=True)
        os.makedirs(self.kept)
        self.prepare()
        site.add_person(self.place.data)
        with site.site(self.place.data, lambda: AT).test_client() as self.client:
            site.log_in(self.client)
            self.sent = _fields(self.client.get("/thresholds").text) | {"cpu": "81"}
            for name in os.listdir(self.place.data):
                if name.startswith(("logins.db", "secret")):
                    shutil.copy2(os.path.join(self.place.data, name), self.kept)
            with super().open():
                yield self

    def prepare(self) -> None:
        super().prepare()
        for name in os.listdir(self.kept):
            shutil.copy2(os.path.join(self.kept, name), self.place.data)

    def step(self) -> int:
        """0 when it was saved; else the class of the answer, whose words are what was said."""
        answer = self.client.post("/thresholds", data=self.sent)
        if answer.status_code >= 400:
            page = " ".join(answer.text.split())
            print(f"{answer.status_code} {page[page.find('<h1') :][:600]}", file=sys.stderr, flush=True)
        return 0 if answer.status_code < 400 else answer.status_code // 100

    def right_after(self) -> list[str]:
        """All of the form or nothing of it."""
        wrong = super().right_after()
        now = {
            name: rows for name, rows in self.essence().items() if name in ("threshold", "change", "threshold_change")
        }
        before = invariants.essence(self.base)
        states = [{name: whole[name] for name in now} for whole in (before, self.expected)]
        return wrong + ([] if now in states else ["I2 half of the form was saved"])

    def after(self, done: Outcome) -> list[str]:
        wrong = super().after(done)
        db = invariants.connection(os.path.join(self.place.data, "vigie.db"))
        found = db.execute("SELECT warning FROM threshold WHERE metric='cpu_busy_seconds_total'").fetchall()
        db.close()
        return wrong + ([] if found == [(0.81,)] else [f"I6 the threshold is not saved: {found}"])


class Probes(Scene):
    """The runner and one probe: a text under its name is whole. Each process of it meets the fault at its own n-th call."""

    name = "probes"
    argv = ("-I", "-S", "-B", "probes/run.py")
    later = 60

    def prepare(self) -> None:
        super().prepare()
        folder = os.path.join(os.path.dirname(self.place.data), "own-probes")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "beat.sh")
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/bash\necho '# HELP beat Beats\n# HELP.fr beat Coups\n# TYPE beat gauge\nbeat 1'\n")
        os.chmod(path, 0o755)
        self.place.environ["VIGIE_PROBES"] = folder
        self.place.environ["VIGIE_ROOT"] = ""
        with open(os.path.join(self.place.data, "run", "cycle"), "a", encoding="ascii"):
            pass  # not the first cycle ever

    def essence(self) -> dict[str, list[tuple[object, ...]]]:
        return {}

    def plain(self, later: int) -> Outcome:
        self.wanted = AT + later if later else AT + 1  # a text of AT waits already: the runner takes the next second
        return super().plain(later)

    def after(self, done: Outcome) -> list[str]:
        wrong = super().after(done)
        times, _ = invariants.texts(self.place.data)
        return wrong if wrong or self.wanted in times else ["I6 the unharmed run left no text"]


SCENES: tuple[type[Scene], ...] = (Cycle, Loader, Upkeep, Backup, Restore, Rebuild, Mail, Form, Probes)


def by_name(name: str) -> type[Scene]:
    return next(one for one in SCENES if one.name == name)


def place(folder: str) -> Place:
    os.makedirs(folder, mode=0o700, exist_ok=True)
    data = os.path.join(folder, "data")
    return Place(data, {"VIGIE_DATA": data, "VIGIE_ROOT": nowhere(data)})


def _is_traced(pid: int) -> bool:
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in file)


def _fields(html: str) -> dict[str, str]:
    """What a browser would send of the page's form as it stands."""
    from bs4 import BeautifulSoup

    found: dict[str, str] = {}
    page = BeautifulSoup(html, "html.parser")
    form = next(one for one in page.find_all("form") if one.find(attrs={"name": "temps_limite"}))
    for field in form.find_all(["input", "select", "textarea"]):
        name, kind = field.get("name"), field.get("type", "")
        if not name or kind in ("submit", "button"):
            continue
        if kind in ("checkbox", "radio") and not field.has_attr("checked"):
            continue
        if field.name == "select":
            chosen = field.find("option", selected=True) or field.find("option")
            found[name] = chosen.get("value", chosen.text) if chosen else ""
        else:
            found[name] = field.get("value", "")
    return found
