"""What is shown of a publication: a small HTML, a plain text, a title. Nothing of the network runs or hides."""

import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.certfr.document import Document, read_files
from archive.certfr.safe import MAX_TITLE, TAGS, fold, is_link, title, to_html, to_text

SITE = "https://www.cert.ssi.gouv.fr"
PAYLOADS = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='JaVaScRiPt&colon;alert(1)'>x</a>",
    "<a href='\x01javascript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='https://evil.example/'>x</a>",
    "<a href='//evil.example/'>x</a>",
    "<a href='https://www.cert.ssi.gouv.fr.evil.example/'>x</a>",
    "<a href='https://www.cert.ssi.gouv.fr@evil.example/'>x</a>",
    "[x](javascript:alert(1))",
    "[x](https://evil.example/)",
    "![x](https://evil.example/pixel.png)",
    "[x]: https://evil.example\n\n[x]",
    "<https://evil.example/>",
    "<javascript:alert(1)>",
    "<iframe src='https://evil.example'></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data='x'></object><embed src='x'>",
    "<form action='https://evil.example'><input name=a><button>ok</button></form>",
    "<style>body{display:none}</style><p style='position:fixed'>x",
    "<link rel=stylesheet href=//evil.example><meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href='https://evil.example/'>",
    "<p class='x' id='y' data-z='1' onclick='alert(1)'>x</p>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<textarea><script>alert(1)</script>",
    "<title><img src=x onerror=alert(1)></title>",
    "<!--><script>alert(1)</script>-->",
    "<!--[if IE]><script>alert(1)</script><![endif]-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version='1.0'?><script>alert(1)</script>",
    "`<script>alert(1)</script>`",
    "    <script>alert(1)</script>",
    "```\n<script>alert(1)</script>\n```",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&amp;lt;script&amp;gt;",
    "<b><p><table><td><a href='https://www.cert.ssi.gouv.fr/x'><svg><desc><a href=javascript:alert(1)>x",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "\u202e\u2066<b>x\x00</b>\ud800",
    "<h1>x</h1><h2 onclick=x>y</h2>",
]


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.bad.append(tag)
        for name, value in attrs:
            known = {"href": is_link(value or ""), "rel": value == "noopener noreferrer nofollow"}
            if tag != "a" or not known.get(name):
                self.bad.append(f"{tag} {name}={value}")

    def handle_comment(self, data: str) -> None:
        self.bad.append(f"comment {data}")


def check(fragment: str) -> None:
    seen = Seen()
    seen.feed(fragment)
    seen.close()
    assert seen.bad == [], fragment
    fragment.encode("utf-8")


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("markdown", [True, False])
def test_c11_nothing_of_a_payload_is_more_than_text(payload: str, markdown: bool) -> None:
    check(to_html(payload, markdown=markdown))
    check(to_html(f"a {payload} b", markdown=markdown))
    check(to_html("".join(PAYLOADS) + payload, markdown=markdown))
    text = to_text(payload, markdown=markdown)
    text.encode("utf-8")
    assert "\x00" not in text


@given(st.text(alphabet=st.sampled_from("<>/abpi&;#!-[]()`*_\"'=: \n\threfscript"), max_size=200))
@settings(max_examples=300, deadline=None)
def test_c11_any_text_is_safe(text: str) -> None:
    check(to_html(text))
    check(to_html(text, markdown=False))
    to_text(text)


def test_markdown_as_cert_fr_writes_it() -> None:
    shown = to_html(
        '## Solution\n\n<span class="important-content">**[Mise à jour]**</span> Voir *l\'avis* \\[1\\] :\n\n- un `a<b`\n- deux\n'
    )
    assert shown == (
        "<h3>Solution</h3>\n<p><strong>[Mise à jour]</strong> Voir <em>l'avis</em> [1] :</p>\n"
        "<ul>\n<li>un <code>a&lt;b</code></li>\n<li>deux</li>\n</ul>"
    )


def test_old_texts_in_html() -> None:
    assert to_html("<h2>Solution</h2><p>x</p>", markdown=False) == "<h3>Solution</h3><p>x</p>"
    assert to_html("<ul><li>Process <PID></li></ul>", markdown=False) == "<ul><li>Process &lt;PID&gt;</li></ul>"


def test_links() -> None:
    rel = 'rel="noopener noreferrer nofollow"'
    assert to_html(f"[avis]({SITE}/avis/X/)") == f'<p><a href="{SITE}/avis/X/" {rel}>avis</a></p>'
    assert to_html("[avis](/avis/X/)") == f'<p><a href="{SITE}/avis/X/" {rel}>avis</a></p>'
    assert to_html("[ici](https://vendor.example/a?b=1&c=2)") == "<p>ici (https://vendor.example/a?b=1&amp;c=2)</p>"
    assert to_html("<https://vendor.example/>") == "<p>https://vendor.example/</p>"
    mirror = "https://mirror.example/certfr"
    assert f'href="{mirror}/x"' in to_html(f"[x]({mirror}/x)", mirror=mirror)
    assert "href" not in to_html("[x](https://mirror.example/other)", mirror=mirror)
    assert to_html("![photo](https://evil.example/p.png)") == "<p></p>"


@pytest.mark.parametrize(
    ("url", "good"),
    [
        (f"{SITE}/alerte/CERTFR-2026-ALE-001/", True),
        (SITE, False),
        (f"{SITE}.evil.example/", False),
        (f"{SITE}@evil.example/", False),
        (f"{SITE}:444/", False),
        ("http://www.cert.ssi.gouv.fr/", False),
        ("HTTPS://www.cert.ssi.gouv.fr/", False),
        (f" {SITE}/", False),
        (f"{SITE}/a b", False),
        (f'{SITE}/"onclick="x', False),
        (f"{SITE}/\u202e", False),
        (f"{SITE}/\n", False),
        ("javascript:alert(1)//https://www.cert.ssi.gouv.fr/", False),
        ("", False),
    ],
)
def test_c11_what_may_be_a_link(url: str, good: bool) -> None:
    assert is_link(url) is good


def test_c11_a_mirror_in_clear_makes_no_link() -> None:
    assert is_link("http://127.0.0.1:1/x", "http://127.0.0.1:1") is False
    assert is_link("https://mirror.example/x", "https://mirror.example") is True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  a\r\n\tb  ", "a b"),
        ("a\u2028b\u2029c\x85d\x0be", "a b c d e"),
        ("\u202egpj.exe\u202c", "gpj.exe"),
        ("a\u200b\u200fb\ufeff", "a b"),
        ("a\x00b\x1b[31mc\x7f", "a b [31mc"),
        ("a\ud800b", "a b"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("&amp;lt;b&amp;gt;", "&amp;lt;b&amp;gt;"),
        ("e\u0301", "é"),
        ("\u202e", ""),
        ("", ""),
    ],
)
def test_c11_titles_are_one_plain_line(text: str, shown: str) -> None:
    assert title(text) == shown


def test_c11_a_title_of_a_megabyte_is_cut() -> None:
    cut = title("é" * 1_000_000)
    assert len(cut) == MAX_TITLE
    assert cut.endswith("…")
    assert title("a b" * 3, most=5) == "a ba…"


@given(st.text(max_size=60))
def test_titles_are_stable(text: str) -> None:
    assert title(title(text)) == title(text)
    assert "\n" not in title(text)


def test_plain_text_for_mails() -> None:
    text = to_text(
        f"## Solution\n\nVoir [l'avis]({SITE}/avis/X/) et\nla [note](https://vendor.example/n).\n\n- un\n- deux\n  - trois\n\n1. a\n\n```\nx  y\n```\n\nFin."
    )
    assert text == (
        f"Solution\n\nVoir l'avis ({SITE}/avis/X/) et la note (https://vendor.example/n).\n\n- un\n- deux\n- trois\n\n- a\n\nx  y\n\nFin."
    )


def test_plain_text_of_a_table() -> None:
    assert to_text("|a|b|\n|-|-|\n|c|d|\n") == "a | b\nc | d"


@pytest.mark.parametrize(
    "part",
    [
        "[",
        "![",
        "[a](",
        "[a][",
        "*a_",
        "<",
        "<div>",
        "<!--",
        "> ",
        "- ",
        "`a``",
        "<a ",
        "&",
        "a\n",
        "|",
        "\\",
        "<b><i><a>",
    ],
)
def test_c13_a_text_made_to_be_slow(part: str) -> None:
    text = part * (1_000_000 // len(part))
    began = time.monotonic()
    for markdown in (True, False):
        check(to_html(text, markdown=markdown))
    assert time.monotonic() - began < 20


def test_a_long_text_is_cut_and_says_so() -> None:
    assert to_html("mot " * 100_000).endswith("<p>…</p>")


def test_folding() -> None:
    assert fold("  Clôture  de\nl'ÉTAT ") == "cloture de l'etat"


@pytest.mark.needs_shared
def test_every_real_text_is_shown_safely(samples: Path) -> None:
    for one in read_files([samples / "json" / "alerte", samples / "json" / "avis"]):
        assert isinstance(one, Document)
        found = one.publication
        for text, markdown in ((found.summary, True), (found.content, True), (found.systems_note, False)):
            shown = to_html(text, markdown=markdown)
            check(shown)
            assert bool(shown) == bool(text)
            words = set(re.findall(r"[a-zéèà]{6,}", re.sub(r"</?[a-z][^>]*>", " ", text).lower()))
            kept = to_text(text, markdown=markdown).lower()
            assert {word for word in words if word not in kept} <= {"markdown", "eventtile", "mtextbody"}, (
                found.reference
            )
        assert title(found.title) == found.title


def test_a_text_that_is_nothing_but_an_address_is_text():
    assert to_text("http:") == "http:"
