"""What a mail says, as a recipient's own mail client would read it."""

import base64
import json
import shutil
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alerts import mail, owed, picture, sheet, wording
from alerts.spark import BLOCKS, NOTHING, spark
from archive import database, evidence, incidents, outbox
from archive.settings import Settings
from tests.alerts import post
from tests.alerts.post import NOW

WHO = ("a@example.org",)
URL = "https://vigie.example.org"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made = post.make_archive(tmp_path / "data")
    post.fill(made, post.filling())
    return made


def owe(data: Path, *, kinds: tuple[str, ...] = ("opened",), body: str = "", **given: object) -> None:
    with post.writing(data) as db:
        number = post.incident(db, **given)  # type: ignore[arg-type]
        value = float(given.get("value", 0.974))  # type: ignore[arg-type]
        moves = [
            post.transition(
                db, number, kind, NOW, 0.84 if kind == "resolved" else value, str(given.get("level", "critical"))
            )
            for kind in kinds
        ]
        if body:
            evidence.add(db, number, NOW - 20, "opened", body)
        owed.owe(db, 1, moves, post.people(*WHO), URL, NOW)


def made(data: Path, number: int = 1, now: int = NOW, **given: str) -> EmailMessage:
    config: Settings = post.settings(data, smtp_port="25", **given)
    with database.reader(str(data)) as db:
        notification = outbox.notification(db, number)
    raw = mail.make(config, notification, WHO, "vigie@example.org", now).data
    found = message_from_bytes(raw, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def text_of(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def html_of(message: EmailMessage) -> str:
    part = message.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def subject(data: Path, **given: object) -> str:
    owe(data, **given)  # type: ignore[arg-type]
    return str(made(data)["Subject"])


def test_the_subject_is_the_one_that_was_asked_for(data: Path) -> None:
    assert subject(data) == "[srv-web-01] CRITIQUE\u00a0: / à 97\u202f% (seuil 97\u202f%)"


def test_the_subject_in_english(data: Path) -> None:
    owe(data)
    assert str(made(data, language="en")["Subject"]) == "[srv-web-01] CRITICAL: / at 97% (threshold 97%)"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"kinds": ("resolved",)}, "Terminé\u00a0: / revenu à 84\u202f% (après 25\u202fmin, pire valeur 97\u202f%)"),
        ({"kinds": ("opened", "resolved")}, "Terminé\u00a0: / à 97\u202f%, de 07:05 à 07:30"),
        ({"kinds": ("reminded",)}, "Toujours CRITIQUE depuis 25\u202fmin\u00a0: / à 97\u202f% (seuil 97\u202f%)"),
        ({"kinds": ("returned",)}, "CRITIQUE, de retour\u00a0: / à 97\u202f% (seuil 97\u202f%)"),
        ({"level": "warning", "value": 0.91}, "Attention\u00a0: / à 91\u202f% (seuil 90\u202f%)"),
        ({"kinds": ("gone",)}, "Terminé\u00a0: / n’est plus mesuré (après 25\u202fmin, pire valeur 97\u202f%)"),
        ({"kind": "silent", "metric": "smart", "labels": "{}", "level": "warning"}, "Attention\u00a0: la sonde smart ne dit plus rien depuis 07:05"),
        ({"kind": "silent", "metric": "", "labels": "{}", "level": "warning", "kinds": ("opened", "resolved")}, "Terminé\u00a0: aucune mesure de 07:05 à 07:30"),
        ({"kind": "forecast", "level": "warning", "value": 61_000.0}, "Attention\u00a0: / plein dans 16\u202fh"),
    ],
    ids=["resolved", "both", "reminded", "returned", "warning", "gone", "probe", "machine", "forecast"],
)  # fmt: skip
def test_each_kind_of_news_has_its_subject(data: Path, given: dict[str, object], wanted: str) -> None:
    assert subject(data, **given) == f"[srv-web-01] {wanted}"


def test_the_text_part_reads_well_alone(data: Path) -> None:
    owe(data, body=post.evidence_body())
    text = text_of(made(data))
    for said in (
        "CRITIQUE\u00a0: / à 97\u202f%", "au-dessus de 97\u202f% pendant 15\u202fmin", "À ce rythme, plein dans", "Que faire",
        "+38,2\u202fGio  /home/alice", "rsync  alice  session-4.scope (pid 4312)", "venant de 10.20.0.14",
        "mise à jour de linux-image-amd64 (+3)", "https://vigie.example.org/incidents/1", "█",
    ):  # fmt: skip
        assert said in text, said
    assert max(len(line) for line in text.split("\n")) <= 100
    assert "\n\n\n\n" not in text


def test_both_parts_say_the_same(data: Path) -> None:
    """Every word of the HTML part stands in the text part, and every word of the text part but its rulers in the HTML."""
    owe(data, body=post.evidence_body())
    message = made(data)
    page = BeautifulSoup(html_of(message), "html.parser")
    assert page.body is not None
    spoken = page.body.get_text(" ").split()
    written = text_of(message).split()
    only_html = {word for word in spoken if word not in written}
    assert only_html <= {"■", "CRITIQUE", "Ouvrir", "l’incident", "/"}
    drawn = set(BLOCKS) | set("=-")
    only_text = {word for word in written if word not in spoken and not set(word) <= drawn}
    # The scale under the sparkline stands in the picture's description.
    alt = str(page.img["alt"]) if page.img else ""
    assert {word for word in only_text if word.strip("()") not in alt} <= {"L’incident", ":", "CRITIQUE"}


def test_the_picture_is_a_png_inside_the_mail_and_nothing_is_loaded(data: Path) -> None:
    owe(data)
    message = made(data)
    page = BeautifulSoup(html_of(message), "html.parser")
    (image,) = page.find_all("img")
    parts = {part["Content-ID"]: part for part in message.walk() if part.get_content_type() == "image/png"}
    content = parts[f"<{str(image['src']).removeprefix('cid:')}>"].get_payload(decode=True)
    assert isinstance(content, bytes)
    assert content.startswith(b"\x89PNG")
    assert 8_000 < len(content) < 150_000
    assert not page.find_all(["script", "link", "iframe", "form"])
    for tag in page.find_all(True):
        for name, value in tag.attrs.items():
            assert name not in ("srcset", "background"), tag
            assert name != "src" or str(value).startswith("cid:")
            assert "url(" not in str(value)
    assert "@import" not in html_of(message)


def test_the_picture_has_words_without_any_font_of_the_system() -> None:
    """The same word drawn with our font and without any: the difference is ink."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="200" height="40"><text x="5" y="25" font-family="DejaVu Sans">{}</text></svg>'
    assert len(picture.png(svg.format("Mémoire œuvre 97\u202f%"))) > len(picture.png(svg.format(""))) + 500


def test_the_fonts_are_small_and_their_licence_is_there() -> None:
    files = list(Path(picture.FONTS).glob("*.ttf"))
    assert files
    assert sum(file.stat().st_size for file in files) < 100_000
    assert "Bitstream" in (Path(picture.FONTS) / "LICENSE.txt").read_text()


def test_headers_say_that_a_machine_wrote_it(data: Path) -> None:
    owe(data)
    message = made(data)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["From"] == "Vigie srv-web-01 <vigie@example.org>"
    assert message["Date"].datetime.timestamp() == NOW
    assert message["List-Id"] is None
    assert not message.defects


def test_m17_an_evil_machine_name_and_mount_stay_in_one_header_line(data: Path) -> None:
    evil = "/x\r\nBcc: evil@x\u0085\u2028\u2029\x0b\x0c\x00\u202e" + "y" * 3000
    with post.writing(data) as db:
        db.execute("UPDATE host SET name=?", (evil,))
    owe(data, labels=json.dumps({"mount": evil}))
    message = made(data, host_name="h\u2028ôte")
    assert message["Bcc"] is None
    assert len(str(message["Subject"])) <= 165
    assert not message.defects


def test_m19_hostile_text_is_data_in_both_parts(data: Path) -> None:
    evil = "/<script>alert(1)</script>{{7*7}}{% raw %}\n.\n" + "é" * 40
    process = {"pid": 1, "user": "<b>bob</b>", "unit": "", "command": "{{config}}<img src=x onerror=y>", "arguments": "",
               "cores": 1.0, "memory": 1, "read": 2.0e6, "written": None}  # fmt: skip
    owe(data, labels=json.dumps({"mount": evil}), body=post.evidence_body(disk=[process]))
    message = made(data)
    text, html = text_of(message), html_of(message)
    assert "<script>alert" in text
    assert "{{7*7}}" in text
    assert "49" not in str(message["Subject"])
    page = BeautifulSoup(html, "html.parser")
    assert not page.find_all("script")
    assert len(page.find_all("img")) <= 1
    assert "&lt;script&gt;" in html
    assert "{{config}}" in page.get_text()
    assert all(len(line) <= 998 for line in message.as_bytes().split(b"\n"))


@pytest.mark.parametrize(
    "damage", ["{% if", "{{ nothing.here }}", "", "{% include 'gone' %}"], ids=["syntax", "name", "empty", "file"]
)
def test_m20_a_damaged_template_gives_a_plain_mail(
    data: Path, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(mail.TEMPLATES, templates)
    (templates / "mail" / "incident.txt").write_text(damage)
    monkeypatch.setattr(mail.compose, "__defaults__", (str(templates),))
    owe(data)
    message = made(data)
    text = text_of(message)
    assert "disk_used_ratio" in text
    assert f"{URL}/incidents/1" in text
    assert str(message["Subject"]).startswith("[srv-web-01]")


def test_m20_no_template_is_ever_made_from_data() -> None:
    for module in (mail, sheet, wording):
        source = Path(str(module.__file__)).read_text()
        assert "from_string" not in source
        assert "Template(" not in source
        assert "|safe" not in source
    for template in Path(mail.TEMPLATES, "mail").iterdir():
        assert "|safe" not in template.read_text().replace(" ", "")


@pytest.mark.parametrize("value", [None, 1e308, -1e308, 0.0, 5e-324])
def test_m23_an_absurd_value_that_got_through_is_told_all_the_same(data: Path, value: float | None) -> None:
    with post.writing(data) as db:
        number = post.incident(db, value=value or 0.0)
        owed.owe(db, 1, [post.transition(db, number, "opened", NOW, value)], post.people(*WHO), URL, NOW)
        db.execute('UPDATE incident SET threshold=\'{"warning": "nan", "above": 1}\'')
    message = made(data)
    assert str(message["Subject"]).startswith("[srv-web-01] CRITIQUE")
    assert "nan" not in text_of(message)


def test_late_mail_says_that_it_is_late(data: Path) -> None:
    owe(data)
    assert "devait partir il y a 2\u202fh" in text_of(made(data, now=NOW + 7300))


def test_consequences_are_told_in_their_causes_mail(data: Path) -> None:
    with post.writing(data) as db:
        cause = post.incident(db)
        held = post.incident(db, labels='{"mount":"/srv"}')
        one = incidents.get(db, held)
        assert one is not None
        incidents.update(db, one._replace(cause=cause))
        owed.owe(db, 1, [post.transition(db, cause)], post.people(*WHO), URL, NOW)
    assert "Conséquences  Espace disque utilisé /srv" in text_of(made(data))


def test_a_mail_of_ready_words_is_sent_as_it_is(data: Path) -> None:
    with post.writing(data) as db:
        owed.owe_ready(db, 1, "digest", "Sujet\r\nBcc: x", "Texte \x1b[31m\n", "<p>é</p>", WHO, NOW)
    message = made(data)
    assert str(message["Subject"]) == "Sujet\\x0d\\x0aBcc: x"
    assert "\x1b" not in text_of(message)
    assert html_of(message).strip() == "<p>é</p>"


def test_a_machine_without_the_renderer_still_mails(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "png", lambda svg: b"")
    owe(data)
    html = html_of(made(data))
    assert "<img" not in html
    assert "█" in html


# --- the sparkline ---------------------------------------------------------------------------------------------------


def test_a_sparkline_rises_with_its_values() -> None:
    assert spark([(at, at) for at in range(80)], 0, 80, 8) == BLOCKS


def test_what_was_not_measured_is_a_dot() -> None:
    assert spark([(0, 1.0), (79, 2.0)], 0, 80, 4) == f"{BLOCKS[0]}{NOTHING * 2}{BLOCKS[-1]}"


def test_a_flat_line_is_no_mountain() -> None:
    assert spark([(at, 0.5 + at / 1e6) for at in range(80)], 0, 80, 4, least=0.05) == BLOCKS[0] * 4
    assert spark([(0, 5.0)], 0, 10, 2) == f"{BLOCKS[0]}{NOTHING}"


@given(st.lists(st.tuples(st.integers(-10, 110), st.floats())), st.booleans())
def test_a_sparkline_is_one_block_a_cell_whatever_comes(points: list[tuple[int, float]], above: bool) -> None:
    found = spark(points, 0, 100, 10, above=above)
    assert found == "" or (len(found) == 10 and set(found) <= set(BLOCKS + NOTHING))


@settings(max_examples=60)
@given(st.text(max_size=300))
def test_whatever_text_a_subject_is_one_printable_line(text: str) -> None:
    found = wording.one_line(text)
    assert len(found) <= wording.LONGEST_SUBJECT
    assert all(c.isprintable() or c in "\u00a0\u202f" for c in found)
    message = EmailMessage(policy=policy.SMTP)
    message["Subject"] = found
    assert b"\n" not in message.as_bytes().split(b"\n\n")[0].replace(b"\r\n ", b"").rstrip()


def test_base64_of_the_picture_is_wrapped(data: Path) -> None:
    owe(data)
    raw = made(data).as_bytes()
    assert max(len(line) for line in raw.split(b"\n")) <= 998
    assert base64.b64encode(b"\x89PNG\r\n")[:7] in raw


def test_a_machine_that_was_silent_shows_no_other_line_and_says_where_to_look(data: Path) -> None:
    post.fill(data, [(NOW, 0.5)], "# HELP load_average Load\nload_average 4\n# HELP disk_used_ratio x\n")
    with post.writing(data) as db:
        number = post.incident(
            db, kind="silent", metric="", labels="{}", since=NOW - 7200, value=7200.0, ended=NOW, state="resolved"
        )
        moves = [post.transition(db, number, kind, NOW, 7200.0) for kind in ("opened", "resolved")]
        owed.owe(db, 1, moves, post.people(*WHO), URL, NOW)
    mail_ = made(data)
    part = mail_.get_body(("plain",))
    assert part is not None
    assert not set(BLOCKS) & set(part.get_content())
    assert "journalctl" in part.get_content()
    assert [part.get_content_type() for part in mail_.walk() if part.get_content_maintype() == "image"] == []


# --- headers ----------------------------------------------------------------------------------------------------------


def headers(subject: str) -> EmailMessage:
    one = outbox.Notification(0, 1, NOW, "test", "<a@x>", "<a@x>", "", "{}")
    raw = mail.assemble(mail.Content(subject, "x", ""), one, [], WHO, "v@example.org", "srv", NOW)
    found = message_from_bytes(raw, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


@settings(deadline=None)
@given(st.text(st.sampled_from("ab é’œ\u202f\u00a0:%(/)[]-=?_"), min_size=1, max_size=120))
@example("[srv-web-01] Vos programmes occupent 140\u202f% d’un cœur")
@example("é é " * 20)
def test_a_subject_arrives_as_it_was_written(text: str) -> None:
    subject = wording.one_line(text)
    assert str(headers(subject)["Subject"]) == (subject or "Vigie")


@settings(deadline=None)
@given(st.text(st.sampled_from("ab é’œ-"), min_size=1, max_size=60))
def test_the_senders_name_arrives_as_it_was_written(host: str) -> None:
    one = outbox.Notification(0, 1, NOW, "test", "<a@x>", "<a@x>", "", "{}")
    raw = mail.assemble(mail.Content("s", "x", ""), one, [], WHO, "v@example.org", host, NOW)
    # The older reader: the newer one of Python 3.11 puts a space into a long encoded word.
    told = str(make_header(decode_header(message_from_bytes(raw, policy=policy.compat32)["From"])))
    assert told.split() == [*f"Vigie {host}".split(), "<v@example.org>"]
