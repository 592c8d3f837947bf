"""A real HTTP server on loopback that plays CERT-FR's site, and misbehaves where it is told to.

`Site` holds publications and serves them in every shape that the real one has: index, feed, list pages, JSON, page.
`site.at[path] = reply` replaces one answer; a reply is a function of the connection and the request. Raw sockets: what a
polite HTTP library would refuse to send is the point.
"""

import gzip
import html
import json
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date, datetime
from typing import NamedTuple

MONTHS = ["janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre"]
MONTHS += ["novembre", "décembre"]


class Request(NamedTuple):
    path: str
    headers: dict[str, str]  # names in lower case


Reply = Callable[[socket.socket, Request], None]


# --- replies -----------------------------------------------------------------------------------------


def send(body: bytes | str, status: int = 200, kind: str = "text/html; charset=utf-8", **headers: str) -> Reply:
    """A whole answer; header names are written with underscores."""
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body

    def reply(connection: socket.socket, _request: Request) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(raw)}", f"Content-Type: {kind}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        connection.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + raw)

    return reply


def raw(data: bytes) -> Reply:
    """These bytes, then the end."""

    def reply(connection: socket.socket, _request: Request) -> None:
        connection.sendall(data)
        raise ConnectionAbortedError

    return reply


def drip(data: bytes, every: float, step: int = 1) -> Reply:
    """A few bytes at a time: no single read is slow, the whole never ends."""

    def reply(connection: socket.socket, _request: Request) -> None:
        for start in range(0, len(data), step):
            connection.sendall(data[start : start + step])
            time.sleep(every)
        raise ConnectionAbortedError

    return reply


def silence(seconds: float) -> Reply:
    def reply(_connection: socket.socket, _request: Request) -> None:
        time.sleep(seconds)
        raise ConnectionAbortedError

    return reply


def endless(_connection: socket.socket, _request: Request) -> None:
    """A body without length that never ends (until the client leaves, or 1 GB)."""
    _connection.sendall(b"HTTP/1.1 200 X\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n")
    for _ in range(16_384):
        _connection.sendall(b"x" * 65_536)
    raise ConnectionAbortedError


def gzip_bomb(megabytes: int) -> Reply:
    packed = gzip.compress(b"\x00" * (megabytes << 20))
    return send(packed, Content_Encoding="gzip")


def redirect(to: str, status: int = 302) -> Reply:
    return send(b"", status, Location=to)


# --- the site ----------------------------------------------------------------------------------------


def french(day: date) -> str:
    return f"{day.day:02d} {MONTHS[day.month - 1]} {day.year}"


def publication(
    reference: str,
    *days: str,
    title: str = "Vulnérabilité dans Exemple",
    closed: str | None = None,
    systems: Iterable[str] = ("Exemple versions 2.x antérieures à 2.4.1",),
    cves: Iterable[str] = ("CVE-2026-10001",),
    summary: str = "Une vulnérabilité a été trouvée dans *Exemple*.",
    **more: object,
) -> dict[str, object]:
    """One publication in the shape of the site's own JSON; `days` are those of its revisions."""
    found: dict[str, object] = {
        "$ref": "https://www.cert.ssi.gouv.fr/openapi.json",
        "reference": reference,
        "title": title,
        "summary": summary,
        "content": "## Solution\n\nVoir le bulletin de l'éditeur.\n",
        "affected_systems": [
            {
                "description": line,
                "product": {"name": "Exemple", "vendor": {"name": "Exemple", "scada": False}},
            }
            for line in systems
        ],
        "affected_systems_content": "",
        "cves": [{"name": name, "url": f"https://www.cve.org/CVERecord?id={name}"} for name in cves],
        "links": [],
        "revisions": [
            {
                "description": "Version initiale" if not i else "Mise à jour",
                "revision_date": f"{day}T00:00:00.000000",
            }
            for i, day in enumerate(days)
        ],
        "risks": [{"description": "Déni de service à distance"}],
        "vendor_advisories": [
            {"published_at": None, "title": "Bulletin Exemple 12", "url": "https://exemple.invalid/12"}
        ],
    }
    if "-ALE-" in reference:
        found["closed_at"] = closed
    return found | more


class Site:
    """The site's content, and what was asked of it. Use `with site.serve() as base_url`."""

    def __init__(self, *publications: dict[str, object]) -> None:
        self.publications = {str(entry["reference"]): entry for entry in publications}
        self.at: dict[str, Reply] = {}
        self.asked: list[Request] = []
        self.before: Callable[[Request], None] = lambda _request: None
        self.validators = True
        self.base = ""

    # What it serves.

    def of_kind(self, kind: str) -> list[dict[str, object]]:
        mark = "-ALE-" if kind == "alerte" else "-AVI-"
        return [entry for reference, entry in self.publications.items() if mark in reference]

    def index(self, kind: str) -> str:
        return json.dumps(
            [
                {
                    "reference": entry["reference"],
                    "json_url": f"/{kind}/{entry['reference']}/json/",
                    "last_revision_date": max(_days(entry)) if _days(entry) else None,
                }
                for entry in self.of_kind(kind)
            ]
        )

    def feed(self, kind: str) -> str:
        items = []
        for entry in sorted(self.of_kind(kind), key=lambda entry: min(_days(entry), default=""))[-40:]:
            day = datetime.fromisoformat(min(_days(entry)))
            link = f"https://www.cert.ssi.gouv.fr/{kind}/{entry['reference']}/"
            items.append(
                f"<item><title>{html.escape(str(entry['title']))} ({french(day)})</title><link>{link}</link>"
                f'<description>Un résumé...</description><guid isPermaLink="true">{link}</guid>'
                f"<pubDate>{day:%a, %d %b %Y} 00:00:00 +0000</pubDate></item>"
            )
        head = "<?xml version='1.0' encoding='UTF-8'?>\n<rss version=\"2.0\"><channel><title>CERT-FR</title>"
        return f"{head}{''.join(items)}</channel></rss>"

    def list_page(self, kind: str, number: int) -> str:
        mark = "cert-alert" if kind == "alerte" else "cert-avis"
        ordered = sorted(self.of_kind(kind), key=lambda entry: max(_days(entry), default=""), reverse=True)
        ordered.sort(key=lambda entry: entry.get("closed_at") is not None)
        articles = []
        for entry in ordered[10 * number - 10 : 10 * number]:
            closed = entry.get("closed_at")
            state = "closed" if closed else "open"
            said = f"Clôturée le {french(date.fromisoformat(str(closed)))}" if closed else "Alerte en cours"
            status = f'<span class="item-status">{said}</span>' if kind == "alerte" else ""
            articles.append(
                f'<article class="item {mark} {state}"><section class="item-header"><div class="item-title"><h3>\n'
                f'  <a href="/{kind}/{entry["reference"]}/">\n    {html.escape(str(entry["title"]))}</a\n  ></h3></div>'
                f'<div class="item-meta"><span class="item-ref">{entry["reference"]}</span>'
                f'<span class="item-date">Publié le {french(datetime.fromisoformat(max(_days(entry))))}</span>{status}'
                f'</div></section><section class="item-excerpt"><p><p>Un résumé...</p>\n</p></section></article>'
            )
        return f"<!doctype html><html><title>Liste</title><body>{''.join(articles)}</body></html>"

    def page(self, entry: dict[str, object]) -> str:
        days = sorted(_days(entry))
        closed = entry.get("closed_at")
        told = [(datetime.fromisoformat(day), "Mise à jour") for day in days]
        if closed:
            told.append((datetime.fromisoformat(str(closed)), "Clôture de l'alerte. Le reste demeure."))
        systems = entry["affected_systems"]
        assert isinstance(systems, list)
        lines = "".join(f"<li>{html.escape(system['description'])}</li>" for system in systems)
        history = "".join(f"<dt><strong>le {french(day)}</strong></dt><dd>{text}</dd>" for day, text in told)
        table = "".join(
            f"<tr><td>{label}</td><td>{html.escape(str(value))}</td></tr>"
            for label, value in (("Référence", entry["reference"]), ("Titre", entry["title"]))
        )
        return (
            f"<!doctype html><html><body><h1>Objet: {html.escape(str(entry['title']))}</h1><table>{table}</table>"
            f'<section class="article-content"><h2>Systèmes affectés</h2><ul>{lines}</ul>'
            f"<div><h2>Résumé</h2><p>Un résumé.</p></div></section>"
            f'<section class="article-footer"><ol><dl>{history}</dl></ol></section></body></html>'
        )

    # How it answers.

    def answer(self, connection: socket.socket, request: Request) -> None:
        self.asked.append(request)
        self.before(request)
        path = request.path
        reply = self.at.get(path) or self._usual(path, request)
        reply(connection, request)

    def _usual(self, path: str, request: Request) -> Reply:
        parts = path.strip("/").split("/")
        if parts[0] not in ("alerte", "avis"):
            return send("rien", 404)
        if parts[1:] == ["json"]:
            return self._conditional(self.index(parts[0]), "application/json", request)
        if parts[1:] == ["feed"]:
            return self._conditional(self.feed(parts[0]), "application/rss+xml", request)
        if len(parts) == 1 or parts[1] == "page":
            return send(self.list_page(parts[0], int(parts[2]) if len(parts) > 1 else 1))
        entry = self.publications.get(parts[1])
        if entry is None:
            return send("<title>Page introuvable</title>", 404)
        if parts[2:] == ["json"]:
            return send(json.dumps(entry, sort_keys=True), kind="application/json")
        return send(self.page(entry))

    def _conditional(self, body: str, kind: str, request: Request) -> Reply:
        etag = f'"{hash(body) & 0xFFFFFFFF:x}"'
        if not self.validators:
            return send(body, kind=kind)
        if request.headers.get("if-none-match") == etag:
            return raw_304
        return send(body, kind=kind, ETag=etag)

    def paths(self) -> list[str]:
        return [request.path for request in self.asked]

    def serve(self, tls: ssl.SSLContext | None = None) -> "Server":
        return Server(self, tls)


def raw_304(connection: socket.socket, _request: Request) -> None:
    connection.sendall(b"HTTP/1.1 304 Not Modified\r\n\r\n")


def _days(entry: dict[str, object]) -> list[str]:
    revisions = entry["revisions"]
    assert isinstance(revisions, list)
    return [revision["revision_date"] for revision in revisions]


class Server:
    """Serves a site on a free loopback port, one thread a connection, keep-alive."""

    def __init__(self, site: Site, tls: ssl.SSLContext | None) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    _talk(self.request, site, tls)

        class Threads(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            block_on_close = False

        self._server = Threads(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return self.base_url

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _talk(plain: socket.socket, site: Site, tls: ssl.SSLContext | None) -> None:
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.settimeout(30)
    connection = tls.wrap_socket(plain, server_side=True) if tls else plain
    with connection, connection.makefile("rb") as incoming:
        while first := incoming.readline():
            headers = {}
            while (line := incoming.readline()) not in (b"\r\n", b""):
                name, _colon, value = line.decode("latin-1").partition(":")
                headers[name.strip().lower()] = value.strip()
            site.answer(connection, Request(first.decode("latin-1").split(" ")[1], headers))
