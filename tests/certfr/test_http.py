"""The HTTP client against a server that misbehaves: every fault ends in one `FetchError` within its deadline."""

import gzip
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time as real_time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from archive.certfr import fetcher
from archive.certfr.http import Answer, Client, FetchError, checked_base
from tests.certfr.conftest import Time
from tests.certfr.server import Reply, Site, drip, endless, gzip_bomb, raw, redirect, send, silence

OK = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def client(base_url: str, **more: object) -> Iterator[Client]:
    settings: dict[str, object] = {"pause": 0.0, "deadline": 5.0} | more
    with Client(base_url, **settings) as made:  # type: ignore[arg-type]
        yield made


def get(reply: Reply, path: str = "/x", limit: int = 1 << 16, **more: object) -> Answer:
    """One request of a server that answers so."""
    site = Site()
    site.at[path] = reply
    with site.serve() as base_url, client(base_url, **more) as made:
        return made.get(path, limit=limit)


def refused(reply: Reply, kind: str, says: str, **more: object) -> FetchError:
    with pytest.raises(FetchError, match=says) as caught:
        get(reply, **more)  # type: ignore[arg-type]
    assert caught.value.kind == kind
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_whole_answer() -> None:
    answer = get(send("é" * 100, ETag='"a"', Last_Modified="Mon, 02 Nov 2026 00:00:00 GMT"))
    assert answer.status == 200
    assert answer.body.decode() == "é" * 100
    assert (answer.etag, answer.last_modified) == ('"a"', "Mon, 02 Nov 2026 00:00:00 GMT")
    assert answer.content_type == "text/html; charset=utf-8"


def test_it_says_who_it_is_and_asks_plainly() -> None:
    site = Site()
    site.at["/x"] = send("")
    with site.serve() as base_url:
        with client(base_url, version="1.2", contact="https://example.org/vigie") as made:
            made.get("/x", etag='"e"', last_modified="then")
        with client(base_url, version="1\r\nX: 2", contact="mon(itor)") as made:
            made.get("/x")
    first, second = site.asked
    assert first.headers["user-agent"] == "Vigie/1.2 (+https://example.org/vigie)"
    assert first.headers["accept-encoding"] == "identity"
    assert (first.headers["if-none-match"], first.headers["if-modified-since"]) == ('"e"', "then")
    assert second.headers["user-agent"] == "Vigie/1X: 2 (monitor)"
    assert "x" not in second.headers
    assert "if-none-match" not in second.headers


def test_one_connection_serves_many_requests() -> None:
    site = Site()
    site.at["/x"] = send("ok")
    with site.serve() as base_url, client(base_url) as made:
        assert [made.get("/x").body for _ in range(5)] == [b"ok"] * 5
        assert made.requests == 5


def test_304_is_an_answer_only_to_a_condition() -> None:
    site = Site()
    site.at["/x"] = raw(b"HTTP/1.1 304 Not Modified\r\n\r\n")
    with site.serve() as base_url, client(base_url) as made:
        assert made.get("/x", etag='"e"').status == 304
        with pytest.raises(FetchError, match="status 304"):
            made.get("/x")


@pytest.mark.parametrize("status", [500, 502, 403, 404, 410])
def test_c01_a_bad_status_is_an_error_with_its_number(status: int) -> None:
    error = refused(send("oops", status), "status", f"status {status}; tried again later")
    assert (error.status, error.retry_after) == (status, None)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("999999", 3600),
        ("Mon, 02 Nov 2026 00:10:00 GMT", 600),
        ("Mon, 02 Nov 2099 00:10:00 GMT", 3600),
        ("Mon, 02 Nov 2020 00:10:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("9" * 400, 3600),
    ],
)
def test_c01_retry_after_is_honoured_and_capped(header: str, seconds: int | None) -> None:
    reply = send("", 503, Retry_After=header, Date="Mon, 02 Nov 2026 00:00:00 GMT")
    assert refused(reply, "status", "status 503").retry_after == seconds


def test_c01_too_many_requests_without_a_time_is_an_hour() -> None:
    assert refused(send("", 429), "status", "status 429, which asks to wait 3600 s").retry_after == 3600


def test_c01_a_date_without_the_servers_own_clock_says_nothing() -> None:
    assert refused(send("", 503, Retry_After="Mon, 02 Nov 2026 00:10:00 GMT"), "status", "503").retry_after is None


@pytest.mark.parametrize(
    "reply",
    [
        silence(20),
        drip(OK + b"X-A: " + b"a" * 500, 0.05),
        drip(OK + b"Content-Length: 5000\r\n\r\n" + b"a" * 5000, 0.05, step=40),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 500, 0.05),
    ],
    ids=["silence", "header", "body", "chunks"],
)
def test_c02_the_deadline_is_for_the_whole_answer(reply: Reply) -> None:
    began = real_time.monotonic()
    refused(reply, "network", r"within 0\.8 s", deadline=0.8)
    assert real_time.monotonic() - began < 10


def test_c02_the_child_that_hangs_is_killed_and_the_next_request_has_another() -> None:
    site = Site()
    site.at |= {"/slow": drip(OK + b"X-A: " + b"a" * 500, 0.05), "/x": send("ok")}
    with site.serve() as base_url, client(base_url, deadline=0.8) as made:
        made.get("/x")
        assert made._child is not None
        first = made._child.pid
        with pytest.raises(FetchError):
            made.get("/slow")
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        assert made.get("/x").body == b"ok"


def test_c02_a_server_that_does_not_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        began = real_time.monotonic()
        with (
            client(f"http://127.0.0.1:{port}", deadline=0.8) as made,
            pytest.raises(FetchError, match=r"within 0\.8 s"),
        ):
            made.get("/x")
        assert real_time.monotonic() - began < 10
        for one in waiting:
            one.close()


def test_c02_nothing_is_left_behind() -> None:
    """The child ends with its parent's pipe (and by its own alarm, when it hangs then)."""
    site = Site()
    site.at["/x"] = send("ok")
    with site.serve() as base_url:
        made = Client(base_url, pause=0.0)
        made.get("/x")
        assert made._child is not None
        child = made._child
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(5) == 0
        made.close()


def test_c02_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with (
        client(f"http://127.0.0.1:{port}") as made,
        pytest.raises(FetchError, match="Connection refused") as caught,
    ):
        made.get("/x")
    assert caught.value.kind == "network"


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:1/x",
        "https://example.org/",
        "file:///etc/passwd",
        "/x",
        "//evil.example/x",
        "gopher://127.0.0.1/",
        "",
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_c03_a_redirect_is_reported_never_followed(target: str, status: int) -> None:
    site = Site()
    site.at["/x"] = redirect(target, status)
    with site.serve() as base_url, client(base_url) as made:
        with pytest.raises(FetchError, match="not followed") as caught:
            made.get("/x")
        assert caught.value.kind == "redirect"
        assert target in str(caught.value)
        assert len(site.asked) == 1


@pytest.mark.parametrize(
    "base_url",
    [
        "http://www.cert.ssi.gouv.fr",
        "http://169.254.169.254",
        "http://127.0.0.1.evil.example",
        "https://user:secret@www.cert.ssi.gouv.fr",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "https://www.cert.ssi.gouv.fr/?a=1",
        "https://[::1",
        "https://",
        "www.cert.ssi.gouv.fr",
        "https://www.cert.ssi.gouv.fr\r\nHost: x",
        "",
    ],
)
def test_c03_the_base_is_https_or_this_machine(base_url: str) -> None:
    with pytest.raises(FetchError, match="VIGIE_CERTFR_URL"):
        checked_base(base_url)


@pytest.mark.parametrize(
    "base_url",
    ["https://mirror.example/certfr/", "http://127.0.0.1:8000", "http://[::1]:1", "http://localhost"],
)
def test_a_mirror_is_a_base(base_url: str) -> None:
    assert checked_base(base_url) == base_url.rstrip("/")


@pytest.mark.parametrize(
    "path", ["x", "//evil/", "/../x", "/a/..", "/x?y", "/x#y", "/x\r\nA: b", "@evil", "/é", "/a b"]
)
def test_c03_only_plain_paths_are_asked(path: str) -> None:
    if path == "//evil/":  # still our host: the base stands in front
        return
    with client("http://127.0.0.1:1") as made, pytest.raises(FetchError, match="not asked"):
        made.get(path)


# --- TLS ---------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str, alternative: str) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, made = folder / f"{name}.key", folder / f"{name}.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName={alternative}", "-days", "2"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    return made, key


def context(folder: Path, name: str, alternative: str) -> tuple[ssl.SSLContext, Path]:
    made, key = certificate(folder, name, alternative)
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(made, key)
    return found, made


def test_c05_a_certificate_of_nobody_is_refused(tmp_path: Path) -> None:
    tls, _made = context(tmp_path, "nobody", "IP:127.0.0.1")
    site = Site()
    with (
        site.serve(tls) as base_url,
        client(base_url) as made,
        pytest.raises(FetchError, match="certificate") as caught,
    ):
        made.get("/x")
    assert caught.value.kind == "network"
    assert site.asked == []


def test_c05_a_known_certificate_of_another_name_is_refused(tmp_path: Path) -> None:
    tls, made_file = context(tmp_path, "other", "DNS:www.example.org")
    site = Site()
    with (
        site.serve(tls) as base_url,
        client(base_url, ca_file=str(made_file)) as made,
        pytest.raises(FetchError, match="certificate"),
    ):
        made.get("/x")
    assert site.asked == []


def test_a_known_certificate_is_accepted(tmp_path: Path) -> None:
    tls, made_file = context(tmp_path, "mirror", "IP:127.0.0.1")
    site = Site()
    site.at["/x"] = send("ok")
    with site.serve(tls) as base_url, client(base_url, ca_file=str(made_file)) as made:
        assert made.get("/x").body == b"ok"


@pytest.mark.parametrize("address", ["127.0.0.1"])
def test_c04_a_name_that_leads_elsewhere_meets_the_certificate(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that lies sends us to a server that cannot prove the name: refused before a byte of HTTP."""
    tls, _made = context(tmp_path, "www.cert.ssi.gouv.fr", "DNS:www.cert.ssi.gouv.fr")
    site = Site()
    with site.serve(tls) as base_url:
        port = int(base_url.rpartition(":")[2])
        lie = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: lie)
        asked = {
            "url": "https://www.cert.ssi.gouv.fr/x",
            "headers": {},
            "limit": 9,
            "deadline": 2,
            "ca_file": "",
        }
        with fetcher.session() as session:
            facts, body = fetcher.fetch(session, asked)
    assert (facts["problem"], body) == ("network", b"")
    assert "certificate" in str(facts["detail"])
    assert site.asked == []


# --- bodies ------------------------------------------------------------------------------------------


def test_c06_an_endless_body_is_left_at_the_cap() -> None:
    began = real_time.monotonic()
    refused(endless, "body", "more than 65536 bytes", path="/x")
    assert real_time.monotonic() - began < 10


def test_c06_a_body_that_announces_too_much() -> None:
    refused(raw(OK + b"Content-Length: 1000000000\r\n\r\n" + b"x" * 200_000), "body", "more than 65536 bytes")


def test_c06_a_gzip_bomb_is_stopped_at_the_cap_of_what_it_unpacks_to() -> None:
    bomb = gzip_bomb(100)
    began = real_time.monotonic()
    site = Site()
    site.at["/x"] = bomb
    with site.serve() as base_url, client(base_url) as made:
        with pytest.raises(FetchError, match="more than 2097152 bytes"):
            made.get("/x")
        assert made._child is not None
        status = Path(f"/proc/{made._child.pid}/status").read_text()
        peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    assert peak < 100_000, "kB: the bomb was not unpacked whole"
    assert real_time.monotonic() - began < 10


def test_c06_gzip_inside_gzip_and_strange_packings_are_refused() -> None:
    refused(send(b"x", Content_Encoding="gzip, gzip"), "body", "not asked for")
    refused(send(b"x", Content_Encoding="br"), "body", "not asked for")
    refused(send(b"not gzip", Content_Encoding="gzip"), "body", "cut or broken")


def test_gzip_that_was_not_asked_for_is_read() -> None:
    assert get(send(gzip.compress(b"text" * 100), Content_Encoding="gzip")).body == b"text" * 100


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 100\r\n\r\nshort",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        OK + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n0\r\n\r\n",
        OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"x" * 9000)[:-20] + b"\xff" * 20,
    ],
    ids=["length", "no-last-chunk", "half-chunk", "bad-chunk", "bad-gzip"],
)
def test_c07_a_cut_or_broken_body_is_no_answer(data: bytes) -> None:
    refused(raw(data), "body", "cut or broken")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 100,
        b"HTTP/1.1 \r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n",
    ],
    ids=["nothing", "nul", "no-status", "another-protocol", "500-headers"],
)
def test_c07_what_is_no_http_is_no_answer(data: bytes) -> None:
    refused(raw(data), "network", "no usable answer")


def test_c07_header_of_a_megabyte() -> None:
    refused(raw(OK + b"A: " + b"b" * 1_000_000 + b"\r\n\r\n"), "network", "no usable answer")


# --- manners -----------------------------------------------------------------------------------------


def test_c16_one_request_a_second_and_five_minutes_in_all(time: Time) -> None:
    site = Site()
    site.at["/x"] = send("ok")
    with site.serve() as base_url, Client(base_url, clock=time.clock, sleep=time.sleep) as made:
        for _ in range(300):
            made.get("/x")
        with pytest.raises(FetchError, match="the round's 300 s are over") as caught:
            made.get("/x")
        assert caught.value.kind == "spent"
    assert made.requests == 300
    assert all(seconds == 1.0 for seconds in time.slept)
    assert made.time_left() <= 1


def test_the_pause_is_between_starts(time: Time) -> None:
    site = Site()
    site.at["/x"] = send("ok")
    with site.serve() as base_url, Client(base_url, clock=time.clock, sleep=time.sleep) as made:
        made.get("/x")
        time.now += 0.25
        made.get("/x")
        time.now += 5
        made.get("/x")
    assert time.slept == [0.75]


def test_the_last_answer_has_no_more_time_than_the_round(time: Time) -> None:
    site = Site()
    site.at["/x"] = silence(20)
    with site.serve() as base_url, Client(base_url, clock=time.clock, sleep=time.sleep, budget=10.5) as made:
        time.now = 10.0
        began = real_time.monotonic()
        with pytest.raises(FetchError, match=r"within 0\.5 s"):
            made.get("/x")
        assert real_time.monotonic() - began < 10


def test_c20_proxies_and_netrc_of_the_environment_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password canary\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    monkeypatch.delenv("no_proxy", raising=False)
    site = Site()
    site.at["/x"] = send("ok")
    with site.serve() as base_url, client(base_url) as made:
        assert made.get("/x").body == b"ok"
    assert "authorization" not in site.asked[0].headers


def test_an_interrupt_ends_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    site.at["/x"] = silence(20)
    with site.serve() as base_url, client(base_url) as made:
        monkeypatch.setattr("archive.certfr.http._read_line", lambda *_args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            made.get("/x")
        assert made._child is None


def test_two_clients_do_not_share_a_child() -> None:
    site = Site()
    site.at["/x"] = send("ok")
    found: list[bytes] = []
    with site.serve() as base_url:

        def one() -> None:
            with client(base_url) as made:
                found.append(made.get("/x").body)

        threads = [threading.Thread(target=one) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [b"ok"] * 3
