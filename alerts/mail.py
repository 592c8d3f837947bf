"""A mail owed becomes bytes that a server takes: text part, HTML part, graphs, headers.

1. `alerts.letter` reads what it tells, `alerts.sheet` lays it out once, two templates write it as text and as HTML.
2. Data is data: it is handed to the templates, never compiled as one; HTML is autoescaped.
3. A template that is damaged, or a row that cannot be told, gives a plain mail that still says which incident it is.
4. Headers are one clean line each; addresses are one addr-spec each, or left out.
"""

import functools
import os
import sqlite3
import textwrap
from collections.abc import Sequence
from email import policy
from email.header import Header
from email.headerregistry import Address, HeaderRegistry, UniqueUnstructuredHeader
from email.message import EmailMessage
from email.policy import Policy
from email.utils import format_datetime
from typing import NamedTuple

import jinja2

from alerts import chart, chart_data, picture, sheet, wording
from alerts.findings import Table, cell
from alerts.letter import Letter, read_letter
from alerts.sheet import Sheet
from alerts.smtp import envelope
from alerts.words import Words
from archive import database, outbox
from archive.outbox import Notification
from archive.settings import ROOT, Settings

TEMPLATES = os.path.join(ROOT, "templates")
WIDTH = 72


class _Subject(UniqueUnstructuredHeader):
    """Folded by `email.header`: the newer folder of Python 3.11 loses the space between two words that are encoded."""

    def fold(self, *, policy: Policy) -> str:
        charset = "us-ascii" if str(self).isascii() else "utf-8"
        value = Header(str(self), charset, maxlinelen=76, header_name="Subject").encode(linesep=policy.linesep)
        return f"Subject: {value}{policy.linesep}"


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("subject", _Subject)  # type: ignore[arg-type] # a mixin, as the registry wants it
_POLICY = policy.SMTP.clone(max_line_length=78, header_factory=_HEADERS)


class Part(NamedTuple):
    """A picture inside the HTML part."""

    cid: str
    png: bytes
    name: str


class Content(NamedTuple):
    subject: str
    text: str
    html: str  # '' for a mail of text alone
    pictures: tuple[Part, ...] = ()
    reply_to: str = ""  # an address; '' for none


class Made(NamedTuple):
    subject: str
    data: bytes  # as it goes to the server, before dot-stuffing


def make(settings: Settings, notification: Notification, to: Sequence[str], sender: str, now: int) -> Made:
    """The whole mail, read from the archive. Raises only where even a plain mail cannot be made."""
    with database.reader(settings.data) as db:
        answers = outbox.references(db, notification)
        content = content_of(db, settings, notification, now)
    return Made(content.subject, assemble(content, notification, answers, to, sender, settings.host_name, now))


def content_of(db: sqlite3.Connection, settings: Settings, notification: Notification, now: int) -> Content:
    """Words and pictures of a mail; plain ones where the good ones cannot be made."""
    body = outbox.body_of(notification)
    if "text" in body:
        subject = wording.one_line(notification.subject)
        return Content(subject, body["text"], body.get("html", ""), reply_to=body.get("reply_to", ""))
    words = Words(body.get("language") or settings.language, settings.timezone)
    try:
        letter = read_letter(db, notification, now)
        return compose(letter, words, now, notification.message_id)
    except Exception as error:  # whatever is wrong with words or templates, the incident must be told
        return plain(notification, outbox.told(db, notification.id), body.get("url", ""), error)


def compose(letter: Letter, words: Words, now: int, message_id: str, templates: str = TEMPLATES) -> Content:
    """Both parts from one sheet. Pure but for the templates' files. Raises what a damaged template raises."""
    laid = sheet.lay_out(letter, words, now)
    pictures = _pictures(letter, laid, words, now, message_id)
    shown = {number: part.cid for number, part in pictures}
    cids = [shown.get(number, "") for number in range(len(laid.pieces))]
    reader = (words.language, words.timezone, templates)
    text = environment(*reader, html=False).get_template("mail/incident.txt").render(sheet=laid)
    html = environment(*reader, html=True).get_template("mail/incident.html").render(sheet=laid, pictures=cids)
    if not text.strip() or not html.strip():
        raise ValueError("a template is empty")
    return Content(laid.subject, text, html, tuple(part for _, part in pictures))


def plain(notification: Notification, told: Sequence[outbox.Told], url: str, error: Exception | None = None) -> Content:
    """What is said when nothing better can be: facts as they stand in the rows, in English and French."""
    lines = [
        "Vigie : ce courriel est réduit à l’essentiel, son modèle n’a pas pu être rempli.",
        "Vigie: this mail is reduced to the bare facts, its template could not be filled in.",
        "",
    ]
    for one in told[-50:]:
        value = "" if one.value is None else f" {one.value:g}"
        lines.append(cell(f"{one.kind} {one.level}: {one.metric} {one.labels}{value}", 200))
        if url:
            lines.append(f"{url}/incidents/{one.incident}")
    if error is not None:
        lines += ["", cell(f"({type(error).__name__}: {error})", 200)]
    return Content(wording.one_line(notification.subject), "\n".join(lines) + "\n", "")


def assemble(
    content: Content,
    notification: Notification,
    answers: Sequence[str],
    to: Sequence[str],
    sender: str,
    host: str,
    now: int,
) -> bytes:
    """Headers and parts as bytes. 7-bit throughout: every server takes it."""
    from datetime import UTC, datetime

    mail = EmailMessage(policy=_POLICY)
    mail["From"] = _address(sender, f"Vigie {cell(host, 60)}") or _address("vigie@localhost", "Vigie")
    known = [address for one in to if (address := _address(one))]
    # Whoever's address cannot stand in a header is in the envelope alone.
    mail["To"] = tuple(known) if known else "undisclosed-recipients:;"
    if content.reply_to and (answer := _address(content.reply_to)):
        mail["Reply-To"] = answer
    mail["Subject"] = content.subject or "Vigie"
    mail["Date"] = format_datetime(datetime.fromtimestamp(now, UTC))
    mail["Message-ID"] = notification.message_id
    if answers:
        mail["In-Reply-To"] = answers[0]
        mail["References"] = " ".join(answers)
    # RFC 3834, and what Exchange listens to: no "out of office" comes back.
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(clean_lines(content.text), cte="quoted-printable")
    if content.html:
        mail.add_alternative(content.html, subtype="html", cte="quoted-printable")
        body = mail.get_payload()[1]  # type: ignore[index]
        for part in content.pictures:
            body.add_related(  # type: ignore[union-attr]
                part.png, "image", "png", cid=f"<{part.cid}>", filename=part.name, disposition="inline"
            )
    return mail.as_bytes()


def clean_lines(text: str) -> str:
    """Text for a mail: line ends alone steer; anything else that steers a terminal is taken out."""
    return "".join(c if c.isprintable() or c in "\n\u00a0\u202f" else " " for c in text.replace("\r\n", "\n"))


@functools.lru_cache(maxsize=8)
def environment(language: str, timezone: str, templates: str, *, html: bool) -> jinja2.Environment:
    """Jinja for mails: autoescape in HTML, words in the reader's language, an unknown name is an error."""
    words = Words(language, timezone)
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=html,  # noqa: S701 the text part has nothing to escape
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    words.install(env)
    env.globals["colon"] = wording.colon(words)
    env.filters["fill"] = fill
    env.filters["facts"] = facts
    env.filters["columns"] = columns
    return env


def fill(text: str, indent: int = 0) -> str:
    """Wrapped at 72 columns. A no-break space stays one."""
    return textwrap.fill(
        text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Label and value, one below the other."""
    wide = max((len(label) for label, _ in rows), default=0)
    return "\n".join(f"  {label:<{wide}}  {value}" for label, value in rows)


def columns(table: Table) -> str:
    """A table's rows with their columns aligned; the last one is as long as it likes."""
    if not table.rows:
        return ""
    wide = [max(len(row[number]) for row in table.rows) for number in range(len(table.rows[0]))]
    lines = []
    for row in table.rows:
        cells = [
            f"{value:>{width}}" if right else f"{value:<{width}}"
            for value, width, right in zip(row, wide, table.right, strict=True)
        ]
        lines.append(("  " + "  ".join(cells)).rstrip(" "))
    return "\n".join(lines)


def _pictures(letter: Letter, laid: Sheet, words: Words, now: int, message_id: str) -> list[tuple[int, Part]]:
    found = []
    for number, (story, piece) in enumerate(zip(letter.stories, laid.pieces, strict=True)):
        graph = sheet.graph_of(story, words, now)
        if graph is None:
            continue
        title = words.metric_name(story.metric) if story.metric else piece.title
        label = words.labels_name(story.first.labels, 60)
        heading = f"{title} · {label}" if label else title
        note = f"{piece.spark.left} – {piece.spark.right}" if piece.spark else ""
        drawn = chart.draw(graph, words, chart_data.CARD, chart_data.Name(label=heading), alone=(heading, note))
        png = picture.png(drawn.svg) if drawn else b""
        if png:
            cid = f"graph{number}.{message_id.strip('<>')}"
            found.append((number, Part(cid, png, f"vigie-{story.first.incident}.png")))
    return found


def _address(address: str, name: str = "") -> Address | None:
    try:
        ascii_form = envelope(address)
        user, _, domain = ascii_form.rpartition("@")
        return Address(name, user, domain) if ascii_form.isascii() else None
    except ValueError:
        return None
