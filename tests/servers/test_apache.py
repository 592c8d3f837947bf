"""The dashboard in a real Apache by mod_wsgi, with the configuration of docs/deployment.md: the code root's, the data an
ordinary user's, at a name of its own and under a path."""

import os
import re
import shutil
import ssl
import stat
import subprocess
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from archive import logins
from tests import cycles
from tests.servers import document, place, tls
from tests.servers.tls import NAME, Browser
from tests.web import site
from tests.web.site import PASSWORD

APACHE = shutil.which("apache2", path="/usr/sbin:/usr/bin")
MODULES = "/usr/lib/apache2/modules"
pytestmark = [
    pytest.mark.ci,
    pytest.mark.needs_root,
    pytest.mark.skipif(
        APACHE is None or not os.path.exists(f"{MODULES}/mod_wsgi.so"),
        reason="Apache or mod_wsgi is missing (apt install apache2-bin libapache2-mod-wsgi-py3)",
    ),
]
HEADING = "## Under Apache (mod_wsgi)"
# What Debian's own files set before a site is read (mods-available/mpm_event.conf, reqtimeout.conf), in a folder of ours.
MAIN = """
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/apache.pid
ErrorLog {folder}/error.log
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule mime_module {modules}/mod_mime.so
LoadModule ssl_module {modules}/mod_ssl.so
LoadModule reqtimeout_module {modules}/mod_reqtimeout.so
LoadModule wsgi_module {modules}/mod_wsgi.so
TypesConfig /etc/mime.types
User nobody
Group nogroup
StartServers 2
MinSpareThreads 25
MaxSpareThreads 75
ThreadLimit 64
ThreadsPerChild 25
MaxRequestWorkers 150
RequestReadTimeout header=20-40,minrate=500 body=20,minrate=500
WSGISocketPrefix {folder}/wsgi
Listen 127.0.0.1:{port}
Include {folder}/site.conf
"""


class Front(NamedTuple):
    data: str
    port: int
    authority: str
    below: str
    root: str

    @property
    def browser(self) -> Browser:
        return Browser(self.port, self.authority)


@pytest.fixture(scope="module")
def installed(folder: str) -> str:
    place.need_the_system_s_python()
    return place.install(folder)


@pytest.fixture(scope="module", params=["", "/vigie"], ids=["its own name", "under a path"])
def front(
    request: pytest.FixtureRequest, folder: str, installed: str, certificate: tuple[str, str, str]
) -> Iterator[Front]:
    below: str = request.param
    authority, own, key = certificate
    here = os.path.join(folder, "below" if below else "own")
    os.mkdir(here)
    os.chmod(here, 0o755)
    # Where docs/deployment.md has it: data/ beside the code; each of the two forms has its own.
    data = f"{installed}/data"
    shutil.rmtree(data, ignore_errors=True)
    site.filled(data, 3, until=_now())
    site.add_person(data)
    settings = document.replaced(
        document.block("", "## Behind nginx"), ("VIGIE_PROXY_HOPS=1\n", "VIGIE_PROXY_HOPS=0\n", 1)
    )
    if below:
        settings = document.replaced(settings, (f"https://{NAME}\n", f"https://{NAME}{below}\n", 1))
    with open(f"{data}/settings.env", "w", encoding="utf-8") as file:
        file.write(f"{settings}VIGIE_WEB=0\nVIGIE_LANGUAGE=en\n")
    for path, _folders, names in os.walk(data):
        os.chown(path, cycles.NOBODY, cycles.NOBODY)
        for name in names:
            os.chown(os.path.join(path, name), cycles.NOBODY, cycles.NOBODY)
            os.chmod(os.path.join(path, name), 0o600)
    found = Front(data, tls.free_port(), authority, below, installed)
    text = document.replaced(
        document.block("apache", HEADING),
        ("*:443", f"127.0.0.1:{found.port}", 2),
        ("/etc/ssl/vigie.pem", own, 2),
        ("/etc/ssl/vigie.key", key, 2),
        ("user=vigie group=vigie", "user=nobody group=nogroup", 1),
        ("/srv/vigie", installed, 4),
    )
    if below:  # as the sentence after the block has it
        text = document.replaced(text, ("WSGIScriptAlias / ", f"WSGIScriptAlias {below} ", 1))
    with open(f"{here}/site.conf", "w", encoding="utf-8") as file:
        file.write(text)
    with open(f"{here}/apache.conf", "w", encoding="utf-8") as file:
        file.write(MAIN.format(folder=here, modules=MODULES, port=found.port))
    with open(f"{here}/error.log", "wb") as log:
        apache = subprocess.Popen(
            [str(APACHE), "-f", f"{here}/apache.conf", "-DFOREGROUND"],
            stdout=log, stderr=log, env={"PATH": "/usr/bin:/bin"},
        )  # fmt: skip
    try:
        tls.listening(found.port, apache, f"{here}/error.log")
        yield found
    finally:
        apache.terminate()
        apache.wait(30)


def _now() -> int:
    """mod_wsgi hands no environment on: the application's clock is the real one."""
    import time

    return int(time.time()) // 60 * 60


def test_w34_one_logs_in_under_apache_and_nothing_a_client_says_of_a_proxy_is_believed(front: Front) -> None:
    browser = front.browser
    answer = browser.get(f"{front.below}/")
    assert (answer.status, answer.header("Location")) == (302, f"{front.below}/login"), answer.text
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "//evil.example",
              "X-Forwarded-Proto": "http"}  # fmt: skip
    page = browser.get(f"{front.below}/login", **forged)
    assert page.status == 200
    assert "evil" not in page.text
    assert f'action="{front.below}/login"' in page.text
    assert page.header("Strict-Transport-Security") == "max-age=31536000"
    assert browser.log_in(PASSWORD, front.below).status == 303
    assert browser.get(f"{front.below}/probes").status == 200
    with logins.reading(front.data) as db:
        assert {one.address for one in logins.sessions(db, "admin")} == {"127.0.0.1"}
    for cookie in front.browser.log_in(PASSWORD, front.below).cookies:
        assert cookie.startswith("__Host-"), cookie
        assert all(part in cookie for part in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax")), cookie


def test_w20_pages_files_and_errors_carry_the_header_set_under_apache(front: Front) -> None:
    browser = front.browser
    style = re.search(r'href="([^"]+vigie\.css[^"]*)"', browser.get(f"{front.below}/login").text)
    assert style
    assert style[1].startswith(f"{front.below}/static/")
    for path in (f"{front.below}/login", style[1], f"{front.below}/static/nothing", f"{front.below}/healthz"):
        answer = browser.get(path)
        assert answer.header("Content-Security-Policy").count("default-src 'none'") == 1, path
        assert answer.header("X-Content-Type-Options") == "nosniff", path
        assert answer.header("Server") == "Apache", path
    assert "immutable" in browser.get(style[1]).header("Cache-Control")


def test_w13_another_name_is_answered_by_nobody_under_apache(front: Front) -> None:
    told = front.browser.ask("GET", f"{front.below}/login", Host="evil.example")
    assert told.status in (400, 403, 421)
    assert "Vigie" not in told.text
    try:
        told = front.browser.ask("GET", f"{front.below}/login", sni="evil.example", Host="evil.example")
    except ssl.SSLError:
        return  # the certificate is not that name's
    raise AssertionError(f"a certificate for evil.example: {told}")


def test_w33_the_application_runs_as_its_user_and_what_it_makes_is_its_alone(front: Front) -> None:
    front.browser.log_in(PASSWORD, front.below)
    for name in ("secret-key", "logins.db", "lock"):
        path = f"{front.data}/{name}"
        if os.path.exists(path):
            found = os.stat(path)
            assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (cycles.NOBODY, 0o600), name
    assert os.stat(f"{front.root}/web/wsgi.py").st_uid == 0


def test_an_old_tls_is_refused_by_apache(front: Front) -> None:
    tls.old_version_is_refused(front.port, front.authority)


@pytest.mark.needs_browser
def test_a_real_browser_comes_in_under_apache(front: Front, chromium: Any) -> None:
    page = chromium(front.port)
    page.goto(f"https://{NAME}{front.below}/probes")
    page.fill("#name", "admin")
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.wait_for_url(f"https://{NAME}{front.below}/probes")
    assert {cookie["name"] for cookie in page.context.cookies()} == {"__Host-vigie", "__Host-vigie-device"}


def test_w23_a_hundred_and_fifty_slow_clients_are_served_through_by_apache(front: Front) -> None:
    with tls.slow_clients(front.browser, 150) as slow:
        assert len(slow) == 150
        assert tls.answers_within(lambda: front.browser.get(f"{front.below}/healthz").status, 5) < 5


def test_w23_apache_is_back_by_itself_after_a_thousand_slow_clients(front: Front) -> None:
    with tls.slow_clients(front.browser, 1000) as slow:
        assert len(slow) == 1000
        tls.answers_within(lambda: front.browser.get(f"{front.below}/healthz").status, 30)
