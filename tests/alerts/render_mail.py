"""Pictures of real mails, to be looked at: HTML part in light and dark, 600 px and phone width; text part beside it.

    python tests/alerts/render_mail.py FOLDER

Needs playwright and a Chromium (CHROMIUM=path, else /usr/bin/chromium). Nothing is kept in the repository.
"""

import base64
import os
import sys
import tempfile
from email.message import EmailMessage
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from alerts import advisories, digest, mail, owed, person  # noqa: E402
from alerts.evidence import from_json as evidence_of  # noqa: E402
from alerts.words import Words  # noqa: E402
from archive import database, evidence, outbox  # noqa: E402
from archive.certfr.machine import Kept  # noqa: E402
from archive.certfr.verdict import Reason  # noqa: E402
from archive.persons import Account  # noqa: E402
from tests.alerts import post  # noqa: E402

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
USERS = (
    "# HELP disk_used_ratio Disk space used\n# HELP.fr disk_used_ratio Espace disque utilisé\n"
    "# TYPE disk_used_ratio gauge\n# WARN disk_used_ratio > 0.9\n# CRIT disk_used_ratio > 0.97\n"
    'user_memory_bytes{user="alice"} 410000000\nuser_memory_bytes{user="bob"} 6100000000\n'
    'user_home_bytes{user="alice"} 91000000000\n'
)
URL = "https://vigie.example.org"
WIDTHS = (600, 390)
REASON = (("cve", "CVE-2026-99999"), ("version", "6.1.170-1"))
SCHEMES = ("light", "dark")


def cases(folder: Path, language: str = "fr") -> dict[str, EmailMessage]:
    """Mails by name, each made by the real code from a real database."""
    data = post.make_archive(folder / "data")
    post.fill(data, post.filling(), USERS)
    with post.writing(data) as db:
        first = post.incident(db)
        opened = post.transition(db, first)
        evidence.add(db, first, post.NOW - 20, "opened", post.evidence_body())
        owed.owe(db, 1, [opened], post.people("a@example.org"), URL, post.NOW)
        ended = post.transition(db, first, "resolved", post.NOW, 0.84)
        db.execute(
            "UPDATE incident SET state='resolved', ended_at=?, end_reason='cleared' WHERE id=?", (post.NOW, first)
        )
        db.execute("UPDATE delivery SET state='accepted', done_at=?", (post.NOW,))
        owed.owe(db, 1, [ended], post.people("a@example.org"), URL, post.NOW)
        probe = post.incident(db, kind="silent", metric="smart", labels="{}", level="warning", value=3)
        gone = post.transition(db, probe, "opened", post.NOW, 3.0, "warning")
        full = post.incident(db, kind="forecast", metric="disk_used_ratio", labels='{"mount":"/srv"}', level="warning")
        soon = post.transition(db, full, "opened", post.NOW, 61_000.0, "warning")
        owed.owe(db, 1, [gone, soon], post.people("a@example.org"), URL, post.NOW)
        silent = post.incident(
            db, kind="silent", metric="", labels="{}", level="critical", since=post.NOW - 7200, value=7200.0, ended=post.NOW,
            state="resolved",
        )  # fmt: skip
        moves = [
            post.transition(db, silent, "opened", post.NOW - 7000, 7200.0),
            post.transition(db, silent, "resolved", post.NOW, 7200.0),
        ]
        owed.owe(db, 1, moves, post.people("a@example.org"), URL, post.NOW)
    settings = post.settings(data, smtp_port="25", language=language)
    made = {}
    with database.reader(str(data)) as db:
        for name, number in (("opened", 1), ("ended", 2), ("several", 3), ("silent", 4)):
            one = outbox.notification(db, number)
            content = mail.content_of(db, settings, one, post.NOW)
            made[name] = parsed(mail.assemble(content, one, [], ["a@example.org"], "v@example.org", "srv", post.NOW))
        ready = digest.make(db, settings, Words(language, "Europe/Paris"), post.NOW + 60)
    for name, words in (
        ("digest", tuple(ready)),
        ("person-cpu", person.compose(burden("cpu", 1.4), "srv-web-01", "admin@example.org", settings, post.NOW)),
        ("person-disk", person.compose(burden("disk", 4.1e10), "srv-web-01", "admin@example.org", settings, post.NOW)),
        ("advisory", advisory(language)),
    ):
        ready_one = one._replace(message_id=f"<{name}@x>")
        content = mail.Content(*words)
        made[name] = parsed(mail.assemble(content, ready_one, [], ["a@example.org"], "v@example.org", "srv", post.NOW))
    return made


def burden(kind: str, value: float) -> person.Burden:
    """What alice takes."""
    found = evidence_of(post.evidence_body())
    mine = tuple(one for one in found.cpu if one.user == "alice") if kind == "cpu" else ()
    grown = tuple(one for one in found.grown if "alice" in one.path) if kind == "disk" else ()
    return person.Burden(Account("alice", "/home/alice"), kind, value, post.NOW - 6 * 3600, "/", mine, grown)


def advisory(language: str) -> tuple[str, str, str]:
    """An alert without an update yet, and an avis with one."""
    kernel = Kept(
        "CERTFR-2026-AVI-9001", "avis", "Multiples vulnérabilités dans le noyau Linux de Debian", "open", post.NOW,
        "affected", "linux-image-6.1.0-40-amd64", "6.1.153-1", Reason("tracker_behind", REASON),
        ("linux 6.1.153-1 < 6.1.170-1 (DSA-9001-1)",), post.NOW, None, "", None, "6.1.170-1",
    )  # fmt: skip
    alert = kernel._replace(
        reference="CERTFR-2026-ALE-014",
        kind="alerte",
        title="[MàJ] Vulnérabilité dans OpenSSH activement exploitée",
        offered="",
    )
    subject = "[srv-web-01] CERT-FR : CERTFR-2026-ALE-014 concerne cette machine (et 1 autre)"
    words = Words(language, "Europe/Paris")
    both = advisories.compose("srv-web-01", subject, [(alert, True), (kernel, False)], URL, words, post.NOW)
    return subject, *both


def parsed(data: bytes) -> EmailMessage:
    from email import message_from_bytes, policy

    found = message_from_bytes(data, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def page(made: EmailMessage) -> str:
    """The HTML part with its pictures in it, as a mail client shows it."""
    body = made.get_body(("html",))
    assert body is not None
    html = str(body.get_content())
    for part in made.walk():
        if part.get_content_type() == "image/png":
            inside = base64.b64encode(part.get_payload(decode=True)).decode()  # type: ignore[arg-type]
            html = html.replace(f"cid:{part['Content-ID'].strip('<>')}", f"data:image/png;base64,{inside}")
    return html


def main(target: Path) -> None:
    from playwright.sync_api import sync_playwright

    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, made in cases(Path(scratch)).items():
            text = made.get_body(("plain",))
            assert text is not None
            (target / f"{name}.txt").write_text(f"{made['Subject']}\n\n{text.get_content()}")
            for scheme in SCHEMES:
                for width in WIDTHS:
                    tab = browser.new_page(
                        viewport={"width": width, "height": 700}, device_scale_factor=2, color_scheme=scheme
                    )
                    tab.set_content(page(made))
                    tab.screenshot(path=str(target / f"{name}-{scheme}-{width}.png"), full_page=True)
                    tab.close()
        browser.close()
    print(target)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="vigie-mails-")))
