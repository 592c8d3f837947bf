"""The dashboard behind a real nginx with the configuration of docs/deployment.md: at a name of its own, and under a path."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from archive import logins
from archive.settings import ROOT
from tests.servers import document, tls
from tests.servers.tls import NAME, Browser
from tests.web import site
from tests.web.site import NOW, PASSWORD

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin")
pytestmark = [pytest.mark.ci, pytest.mark.skipif(NGINX is None, reason="nginx is missing (apt install nginx)")]
HEADING = "## Behind nginx"
BELOW = "### Under a path of a site that is there already"
# Debian's own numbers (/etc/nginx/nginx.conf), in a folder of ours.
MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 2;
events {{ worker_connections 768; }}
http {{
  include /etc/nginx/mime.types;
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  include {folder}/site.conf;
}}
"""


class Front(NamedTuple):
    """nginx before the dashboard."""

    data: str
    port: int  # of nginx, TLS
    plain: int  # of nginx, without
    inner: int  # of the dashboard itself
    authority: str
    below: str  # '' or the path

    @property
    def browser(self) -> Browser:
        return Browser(self.port, self.authority)


@pytest.fixture(scope="module", params=["", "/vigie"], ids=["its own name", "under a path"])
def front(request: pytest.FixtureRequest, folder: str, certificate: tuple[str, str, str]) -> Iterator[Front]:
    below: str = request.param
    authority, own, key = certificate
    place = os.path.join(folder, "below" if below else "own")
    os.mkdir(place)
    os.chmod(place, 0o755)
    data = site.filled(f"{place}/data", 3)
    site.add_person(data)
    found = Front(data, tls.free_port(), tls.free_port(), tls.free_port(), authority, below)
    settings = document.block("", HEADING)
    if below:
        settings = document.replaced(settings, (f"https://{NAME}\n", f"https://{NAME}{below}\n", 1))
    with open(f"{data}/settings.env", "w", encoding="utf-8") as file:
        file.write(f"{settings}VIGIE_LISTEN=127.0.0.1:{found.inner}\nVIGIE_LANGUAGE=en\n")
    with open(f"{place}/site.conf", "w", encoding="utf-8") as file:
        file.write(
            document.replaced(
                site_of(below),
                ("listen 443 ssl", f"listen 127.0.0.1:{found.port} ssl", 2),
                ("listen 80 ", f"listen 127.0.0.1:{found.plain} ", 1),
                ("/etc/ssl/vigie.pem", own, 1),
                ("/etc/ssl/vigie.key", key, 1),
                ("http://127.0.0.1:5000", f"http://127.0.0.1:{found.inner}", 1),
            )
        )
    with open(f"{place}/nginx.conf", "w", encoding="utf-8") as file:
        file.write(MAIN.format(folder=place))
    with open(f"{place}/said.log", "wb") as log:
        dashboard = subprocess.Popen(
            [sys.executable, "-m", "web.serve"], cwd=ROOT, stdout=log, stderr=log,
            env={"PATH": "/usr/bin:/bin", "VIGIE_DATA": data, "VIGIE_NOW": str(NOW)},
        )  # fmt: skip
        nginx = subprocess.Popen(
            [str(NGINX), "-p", place, "-c", f"{place}/nginx.conf", "-e", f"{place}/error.log"], stdout=log, stderr=log
        )
    try:
        tls.listening(found.inner, dashboard, f"{place}/said.log")
        tls.listening(found.port, nginx, f"{place}/error.log")
        yield found
    finally:
        for process in (nginx, dashboard):
            process.terminate()
            process.wait(20)


def site_of(below: str) -> str:
    """The document's servers; under a path, with the second block's locations in the place of the first one's."""
    whole = document.block("nginx", HEADING)
    if not below:
        return whole
    location = re.search(r"^  location / \{.*?^  \}\n", whole, re.DOTALL | re.MULTILINE)
    assert location
    return whole.replace(location[0], document.block("nginx", BELOW))


def test_w34_one_logs_in_through_it_and_the_server_keeps_the_client_s_own_address(front: Front) -> None:
    browser = front.browser
    answer = browser.get(f"{front.below}/")
    assert (answer.status, answer.header("Location")) == (302, f"{front.below}/login")
    # Forged by the client, set anew by nginx: the address that is kept is that of who asked nginx.
    forged = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "//evil.example",
    }
    page = browser.get(f"{front.below}/login", **forged)
    assert "evil" not in page.text
    assert f'action="{front.below}/login"' in page.text
    assert browser.log_in(PASSWORD, front.below).status == 303
    assert browser.get(f"{front.below}/probes").status == 200
    with logins.reading(front.data) as db:
        assert {one.address for one in logins.sessions(db, "admin")} == {"127.0.0.1"}
    told = browser.ask("POST", f"{front.below}/logout", "csrf_token=wrong")
    assert told.status == 400


def test_w34_the_cookies_are_bound_to_the_host_and_hsts_is_on(front: Front) -> None:
    browser = front.browser
    browser.log_in(PASSWORD, front.below)
    page = browser.get(f"{front.below}/login")
    assert page.header("Strict-Transport-Security") == "max-age=31536000"
    fresh = front.browser
    told = [*fresh.get(f"{front.below}/login").cookies, *fresh.log_in(PASSWORD, front.below).cookies]
    assert len(told) >= 3
    for cookie in told:
        assert cookie.startswith("__Host-"), cookie
        assert all(part in cookie for part in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax")), cookie
        assert "domain" not in cookie.lower()


def test_w20_pages_files_and_errors_carry_the_header_set_once(front: Front) -> None:
    browser = front.browser
    style = re.search(r'href="([^"]+vigie\.css[^"]*)"', browser.get(f"{front.below}/login").text)
    assert style
    assert style[1].startswith(f"{front.below}/static/")
    for path in (f"{front.below}/login", style[1], f"{front.below}/static/nothing", f"{front.below}/healthz"):
        answer = browser.get(path)
        assert answer.header("Content-Security-Policy").count("default-src 'none'") == 1, path
        assert answer.header("X-Content-Type-Options") == "nosniff", path
        assert answer.header("Server") == "nginx", path
    assert "immutable" in browser.get(style[1]).header("Cache-Control")
    assert browser.get(style[1]).header("Content-Type").startswith("text/css")


def test_w13_another_name_is_answered_by_nobody(front: Front) -> None:
    browser = front.browser
    with pytest.raises(ssl.SSLError, match="unrecognized name"):
        browser.ask("GET", "/", sni="evil.example", Host="evil.example")
    with pytest.raises((ConnectionError, OSError)):
        browser.get("/", Host="evil.example")  # our name to the certificate, another to the site
    with socket.create_connection(("127.0.0.1", front.inner), timeout=10) as one:
        one.sendall(b"GET /login HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert one.recv(100).startswith(b"HTTP/1.1 400 ")


def test_plain_http_leads_to_tls_and_an_old_tls_is_refused(front: Front) -> None:
    with socket.create_connection(("127.0.0.1", front.plain), timeout=10) as one:
        one.sendall(b"GET /login?x HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        head = one.recv(2000).decode()
    assert head.startswith("HTTP/1.1 301 ")
    assert f"Location: https://{NAME}/login?x\r\n" in head
    tls.old_version_is_refused(front.port, front.authority)


@pytest.mark.needs_browser
def test_a_real_browser_keeps_the_cookies_and_comes_in(front: Front, chromium: Any) -> None:
    page = chromium(front.port)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"https://{NAME}{front.below}/probes")
    assert page.url == f"https://{NAME}{front.below}/login"
    page.fill("#name", "admin")
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.wait_for_url(f"https://{NAME}{front.below}/probes")
    names = {cookie["name"] for cookie in page.context.cookies()}
    assert names == {"__Host-vigie", "__Host-vigie-device"}
    page.goto(f"https://{NAME}{front.below}/")
    links = page.eval_on_selector_all("a[href]", "all => all.map(one => one.getAttribute('href'))")
    assert all(link.startswith((f"{front.below}/", "#", "https://www.cert.ssi.gouv.fr/", "?")) for link in links), links
    assert said == []


def test_w23_a_hundred_and_fifty_slow_clients_are_served_through(front: Front) -> None:
    with tls.slow_clients(front.browser, 150) as slow:
        assert len(slow) == 150
        assert tls.answers_within(lambda: front.browser.get(f"{front.below}/healthz").status, 5) < 5


def test_w23_it_is_back_by_itself_after_a_thousand_slow_clients(front: Front) -> None:
    with tls.slow_clients(front.browser, 1000) as slow:
        assert len(slow) == 1000
        tls.answers_within(lambda: front.browser.get(f"{front.below}/healthz").status, 30)


def test_the_document_does_not_add_to_what_a_client_says_of_itself() -> None:
    for text in (document.block("nginx", HEADING), document.block("nginx", BELOW)):
        assert "proxy_add_x_forwarded_for" not in text
        assert set(re.findall(r"proxy_set_header (\S+)", text)) == {
            "Host", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"
        }  # fmt: skip
