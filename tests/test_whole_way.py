"""The whole way on the real machine: the README's first command in a folder of its own, a threshold set in the form by a
person who logged in with the printed link, a loop that burns CPU, an incident, a mail received by a real SMTP server, the
graph on the page, recovery, the second mail. Then the ways out: stop, move, uninstall.

Nothing is faked: the virtual environment is made from requirements.txt, the probes read this machine, the mails go through
aiosmtpd, the dashboard is the one that run_all.sh started.
"""

import contextlib
import email
import email.policy
import os
import pty
import pwd
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import pytest
import requests
from aiosmtpd.controller import Controller
from bs4 import BeautifulSoup

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PASSWORD = "quatre mots faciles ensemble"
BURN = "import time\nend = time.time() + 120\nwhile time.time() < end: pass"
LINE = (
    "SELECT r.id FROM series r JOIN metric m ON m.id=r.metric"
    " WHERE m.name='user_cpu_seconds_total' AND r.labels='{{\"user\":\"{user}\"}}'"
)
OPEN = "SELECT id, labels FROM incident WHERE metric='user_cpu_seconds_total' AND state='open'"
SECOND_USER = 65534  # nobody: where the tests run as root, somebody else holds the CPU


class Inbox:
    """What the SMTP server received, parsed."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 aiosmtpd's name
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 kept"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def copy_of_the_project(target):
    """What git would hand over: tracked files and new ones that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout.decode().split("\0")  # fmt: skip
    for name in filter(None, listed):
        source = os.path.join(ROOT, name)
        if os.path.isfile(source):
            os.makedirs(os.path.dirname(os.path.join(target, name)), exist_ok=True)
            shutil.copy2(source, os.path.join(target, name))


class Vigie:
    """The project in a folder whose name holds spaces and accents, as a person would use it."""

    def __init__(self, folder):
        self.root = str(folder / "Vigie à l’essai")
        os.mkdir(self.root)
        copy_of_the_project(self.root)
        self.inbox = Inbox()
        self.smtp = Controller(self.inbox, hostname="127.0.0.1", port=free_port())
        self.smtp.start()
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        with open(os.path.join(self.root, "data", "settings.env"), "w", encoding="utf-8") as file:
            file.write(
                f"VIGIE_LISTEN=127.0.0.1:{self.port}\nVIGIE_HOST_NAME=srv-essai\nVIGIE_LANGUAGE=fr\n"
                f"VIGIE_MAIL_TO=admin@example.org\nVIGIE_MAIL_FROM=vigie@example.org\n"
                f"VIGIE_SMTP_HOST=127.0.0.1\nVIGIE_SMTP_PORT={self.smtp.port}\nVIGIE_SMTP_SECURITY=none\n"
                "VIGIE_CERTFR_URL=http://127.0.0.1:9\n"
            )
        self.home = str(folder)

    def environment(self):
        """Cron's: a short PATH, no locale, nothing of ours."""
        found = {"PATH": "/usr/bin:/bin", "HOME": self.home, "LOGNAME": "essai", "SHELL": "/bin/sh"}
        # A Python outside /usr/bin (pyenv, /usr/local) is part of the machine that runs the tests, not of cron's PATH.
        found["PATH"] = f"{os.path.dirname(os.path.realpath(sys.executable))}:{found['PATH']}"
        return {
            **found,
            **{key: os.environ[key] for key in os.environ if key.startswith("PIP_") or key.endswith("_proxy")},
        }

    def cycle(self, *arguments):
        """As cron runs it: from /, no terminal."""
        return subprocess.run(
            [os.path.join(self.root, "run_all.sh"), *arguments],
            cwd="/", env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def at_a_terminal(self, *arguments):
        """As a person runs it; returns (status, what the terminal showed)."""
        parent, child = pty.openpty()
        process = subprocess.Popen(
            [os.path.join(self.root, "run_all.sh"), *arguments],
            cwd=self.root, env=self.environment(), stdin=child, stdout=child, stderr=child, close_fds=True,
        )  # fmt: skip
        os.close(child)
        shown = b""
        with contextlib.suppress(OSError):
            while chunk := os.read(parent, 4096):
                shown += chunk
        os.close(parent)
        return process.wait(timeout=300), shown.decode("utf-8", "replace").replace("\r\n", "\n")

    def command(self, *arguments):
        return subprocess.run(
            [os.path.join(self.root, "vigie"), *arguments],
            cwd=self.root, env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def rows(self, sql):
        db = sqlite3.connect(f"file:{self.root}/data/vigie.db?mode=ro", uri=True)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def close(self):
        self.cycle("stop")
        self.smtp.stop()


@pytest.fixture(scope="module")
def vigie(tmp_path_factory):
    made = Vigie(tmp_path_factory.mktemp("way"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def first_run(vigie):
    status, shown = vigie.at_a_terminal()
    assert status == 0, shown
    return shown


@pytest.fixture(scope="module")
def browser(vigie, first_run):
    """A person's browser, logged in by the link that the first run printed."""
    session = requests.Session()
    session.trust_env = False
    link = re.search(r"http://localhost:\d+/first/\S+", first_run)[0]
    page = session.get(link, timeout=10)
    answer = submit(session, page, name="admin", password=PASSWORD, again=PASSWORD)
    assert answer.status_code == 200, answer.text
    return session


def submit(session, page, **values):
    """Fill the page's form as a person would and press its first button. Names may be given by their end."""
    form = BeautifulSoup(page.text, "html.parser").find("main").find("form", method="post")
    fields = {}
    for field in form.find_all("input"):
        if field.get("type") in ("checkbox", "radio") and not field.has_attr("checked"):
            continue
        if field.get("name"):
            fields[field["name"]] = field.get("value", "on" if field.get("type") == "checkbox" else "")
    for field in form.find_all("select"):
        chosen = field.find("option", selected=True) or field.find("option")
        fields[field["name"]] = chosen["value"]
    for name, value in values.items():
        found = [field for field in fields if field == name or field.endswith(f".{name}")]
        assert found, f"no field {name} among {sorted(fields)}"
        if value is None:  # a box that is unticked sends nothing
            del fields[found[0]]
        else:
            fields[found[0]] = value
    button = form.find("button")
    if button.get("name"):
        fields[button["name"]] = button.get("value", "")
    target = requests.compat.urljoin(page.url, form.get("action") or page.url)
    return session.post(target, data=fields, headers={"Origin": target[: target.index("/", 8)]}, timeout=30)


def until(what, seconds=30):
    """Wait for something that a detached step does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"still not so after {seconds} s: {what}")


def test_the_first_run_says_where_the_page_is_and_shows_each_step(vigie, first_run):
    assert vigie.url in first_run
    assert "/first/" in first_run
    assert first_run.count("·") >= 4, first_run
    assert os.stat(f"{vigie.root}/data").st_mode & 0o777 == 0o700


def test_the_first_page_has_this_machines_figures_already(vigie, first_run):
    page = requests.get(vigie.url, timeout=30)
    assert page.status_code == 200
    text = BeautifulSoup(page.text, "html.parser").find("main").get_text(" ")
    assert "srv-essai" in text
    assert "root" in text
    assert "<svg" in page.text
    assert vigie.rows("SELECT count(*) FROM sample s JOIN series r ON r.id=s.series JOIN metric m ON m.id=r.metric"
                      " WHERE m.name='cpu_busy_seconds_total'")[0][0] >= 1  # fmt: skip


def test_every_shipped_probe_answers_in_its_time(vigie, first_run):
    """At a terminal and from cron: what one of them waits for in vain makes every cycle a minute long."""
    assert vigie.rows("SELECT name, reason FROM probe WHERE reason LIKE '%timed out%'") == []
    os.unlink(os.path.join(vigie.root, "data", "run", "cycle"))  # every probe is due
    assert vigie.cycle().returncode == 0
    assert vigie.rows("SELECT name, reason FROM probe WHERE reason LIKE '%timed out%'") == []
    assert len(vigie.rows("SELECT name FROM probe")) >= 18


def test_under_cron_it_is_silent_and_archives_one_cycle_more(vigie, first_run):
    before = vigie.rows("SELECT count(*) FROM cycle")[0][0]
    time.sleep(1.1)
    done = vigie.cycle()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert vigie.rows("SELECT count(*) FROM cycle")[0][0] == before + 1


def test_ten_at_once_one_works_and_nine_leave_quietly(vigie, first_run):
    time.sleep(1.1)
    before = vigie.rows("SELECT count(*) FROM cycle")[0][0]
    started = [
        subprocess.Popen([f"{vigie.root}/run_all.sh"], cwd="/", env=vigie.environment(), stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(10)
    ]  # fmt: skip
    ended = [(process.communicate(timeout=60)[0], process.returncode) for process in started]
    assert ended == [(b"", 0)] * 10
    assert vigie.rows("SELECT count(*) FROM cycle")[0][0] - before in (1, 2), (
        "a late starter may find the lock free again"
    )


def test_reading_is_open_here_and_changing_is_not(vigie, first_run):
    stranger = requests.Session()
    assert stranger.get(f"{vigie.url}/thresholds", timeout=30).status_code == 200
    assert (
        stranger.post(f"{vigie.url}/thresholds", data={"x": "1"}, allow_redirects=False, timeout=30).status_code != 200
    )
    assert stranger.get(vigie.url, headers={"Host": "evil.example"}, timeout=30).status_code == 400
    assert stranger.get(vigie.url, headers={"Host": "localhost:8080"}, timeout=30).status_code == 200


@pytest.fixture(scope="module")
def incident(vigie, browser):
    """A loop that burns CPU, a threshold for that user set in the form, the cycles that see it, the mail that tells it."""
    as_whom = {"user": SECOND_USER, "group": SECOND_USER} if os.geteuid() == 0 else {}
    python = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
    burner = subprocess.Popen([python, "-c", BURN], cwd="/", **as_whom)
    user = pwd.getpwuid(SECOND_USER if as_whom else os.geteuid()).pw_name
    try:
        line = until(lambda: next_cycle(vigie) and vigie.rows(LINE.format(user=user)), 180)[0][0]
        page = browser.get(f"{vigie.url}/thresholds/user_cpu_seconds_total?line={line}", timeout=30)
        saved = submit(browser, page, **{"m.user_cpu_seconds_total": "30", "minutes": "0"})
        assert saved.status_code == 200, saved.text[:2000]
        # Where the tests keep every core busy, the machine's CPU would be the cause that holds this one back.
        page = browser.get(f"{vigie.url}/thresholds/cpu_busy_seconds_total", timeout=30)
        saved = submit(browser, page, on=None)
        assert saved.status_code == 200, saved.text[:2000]
        row = until(lambda: next_cycle(vigie) and vigie.rows(OPEN), 180)[0]
        mail = until(lambda: vigie.inbox.mails and vigie.inbox.mails[0], 180)
        yield {"id": row[0], "labels": row[1], "mail": mail, "burner": burner, "user": user}
    finally:
        burner.send_signal(signal.SIGKILL)
        burner.wait()


def next_cycle(vigie):
    """One more cycle, a few seconds later: a rate wants time between two readings."""
    time.sleep(2)
    return vigie.cycle().returncode == 0


def test_the_mail_says_who_what_and_how_much_and_holds_the_graph(vigie, incident):
    mail = incident["mail"]
    assert mail["To"] == "admin@example.org"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Subject"].startswith("[srv-essai]")
    text = mail.get_body(("plain",)).get_content()
    html = mail.get_body(("html",)).get_content()
    assert f"/incidents/{incident['id']}" in text
    assert f"/incidents/{incident['id']}" in html
    assert incident["labels"] == f'{{"user":"{incident["user"]}"}}'
    assert incident["user"] in text
    assert "python3" in text, "what was running"
    pictures = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert pictures
    assert pictures[0].get_content().startswith(b"\x89PNG")


def test_the_incident_has_its_page_with_the_graph_and_what_was_running(vigie, browser, incident):
    until(lambda: vigie.rows(f"SELECT 1 FROM evidence WHERE incident={incident['id']}"), 120)
    page = browser.get(f"{vigie.url}/incidents/{incident['id']}", timeout=30)
    assert page.status_code == 200
    assert "<svg" in page.text
    assert "python3" in BeautifulSoup(page.text, "html.parser").find("main").get_text(" ")
    overview = browser.get(vigie.url, timeout=30).text
    assert f"/incidents/{incident['id']}" in overview


def test_it_opens_once_however_many_cycles_see_it(vigie, incident):
    for _ in range(2):
        time.sleep(1.1)
        assert vigie.cycle().returncode == 0
    assert vigie.rows(
        "SELECT count(*) FROM incident WHERE metric='user_cpu_seconds_total' AND opened_at IS NOT NULL"
    ) == [(1,)]


def test_the_status_command_says_so_too(vigie, incident):
    done = vigie.command("status")
    assert done.returncode in (1, 2), done.stdout
    assert "▲" in done.stdout or "⬣" in done.stdout
    assert "\x1b[" not in done.stdout, "plain when piped"


def test_when_it_is_over_the_second_mail_answers_the_first(vigie, incident):
    incident["burner"].send_signal(signal.SIGKILL)
    incident["burner"].wait()
    # The shipped clear duration holds: time is moved on by the tests' clock, cycle by cycle, as cron would.
    start = int(time.time())

    def over():
        return vigie.rows(f"SELECT 1 FROM incident WHERE id={incident['id']} AND state='resolved'")

    first = vigie.inbox.mails[0]["Message-ID"]

    def answers():
        return [mail for mail in vigie.inbox.mails if mail["In-Reply-To"] == first]

    # A machine busy with other tests may have incidents of its own; this one's thread is its beginning and its end. A
    # mail that finds the sender at work leaves with the next cycle: cycles go on until it has.
    for minute in range(1, 60):
        done = subprocess.run(
            [f"{vigie.root}/run_all.sh"], cwd="/", env={**vigie.environment(), "VIGIE_NOW": str(start + 60 * minute)},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        if over():
            time.sleep(2)
            if answers():
                break
    assert over()
    assert answers(), [mail["Subject"] for mail in vigie.inbox.mails]
    assert len(answers()) == 1, [mail["Subject"] for mail in vigie.inbox.mails]


def test_stop_keeps_it_stopped_until_start(vigie, incident):
    assert vigie.cycle("stop").returncode == 0
    assert vigie.cycle().returncode == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(vigie.url, timeout=5)
    assert vigie.cycle("start").returncode == 0
    until(lambda: answers(vigie.url), 30)


def answers(url):
    try:
        return requests.get(f"{url}/healthz", timeout=5).status_code in (200, 503)
    except requests.ConnectionError:
        return False


def test_kill_minus_nine_of_a_cycle_loses_nothing_and_the_next_one_works(vigie, incident):
    before = vigie.rows("SELECT count(*) FROM cycle")[0][0]
    for pause in (0.02, 0.1, 0.2, 0.3):
        process = subprocess.Popen(
            [f"{vigie.root}/run_all.sh"], cwd="/", env=vigie.environment(), start_new_session=True
        )
        time.sleep(pause)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(1)
    assert vigie.cycle().returncode == 0
    assert vigie.cycle("--flush").returncode == 0
    waiting = [name for name in os.listdir(f"{vigie.root}/data/spool") if name.endswith(".prom")]
    assert waiting == []
    assert vigie.rows("SELECT count(*) FROM cycle")[0][0] > before
    assert os.listdir(f"{vigie.root}/data/quarantine") == []
    assert vigie.rows("PRAGMA quick_check") == [("ok",)]


def test_move_packs_and_unpacks_the_whole(vigie, incident, tmp_path):
    packed = str(tmp_path / "vigie.tar")
    done = vigie.command("move", packed, "--yes")
    assert done.returncode == 0, done.stderr
    assert os.stat(packed).st_mode & 0o777 == 0o600
    cycles = vigie.rows("SELECT count(*) FROM cycle")
    back = vigie.command("move", "--from", packed, "--yes")
    assert back.returncode == 0, back.stderr
    assert vigie.rows("SELECT count(*) FROM cycle") == cycles


def test_uninstall_takes_out_what_was_put_in_and_keeps_the_data(vigie, incident):
    done = vigie.command("uninstall", "--yes")
    assert done.returncode == 0, done.stderr
    assert not os.path.exists(f"{vigie.root}/.venv")
    assert os.path.exists(f"{vigie.root}/data/vigie.db")
    assert not answers(vigie.url)
