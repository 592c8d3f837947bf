"""Real mail servers for the tests: aiosmtpd with moods, raw sockets that misbehave, and a local authority for TLS."""

import contextlib
import datetime
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

__all__ = ["Inbox", "Raw", "authority", "certificate", "closed_port", "server"]


class Inbox:
    """What a server received, and how it answers. `refuse`: {recipient: reply to RCPT}."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], bytes]] = []
        self.refuse: dict[str, str] = {}
        self.data_reply = ""
        self.mail_reply = ""
        self.logins: list[tuple[str, str]] = []
        self.connections = 0
        self.before: Callable[[], None] = lambda: None

    async def handle_MAIL(  # noqa: N802 aiosmtpd's own names
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.mail_reply:
            return self.mail_reply
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.before()
        if self.data_reply:
            return self.data_reply
        content = envelope.original_content or b""
        self.mails.append((list(envelope.rcpt_tos), bytes(content)))
        return "250 2.0.0 taken as 4711"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == "s3cret-wörd".encode(), handled=False)

    @property
    def parsed(self) -> list[EmailMessage]:
        found = [message_from_bytes(data, policy=policy.default) for _, data in self.mails]
        assert all(isinstance(mail, EmailMessage) for mail in found)
        return found  # type: ignore[return-value]

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.parsed]


class _Controller(Controller):
    def __init__(self, inbox: Inbox, **options: Any) -> None:
        self.options = options
        super().__init__(inbox, hostname="127.0.0.1", port=0, ready_timeout=5.0)

    def factory(self) -> SMTP:
        self.handler.connections += 1
        return SMTP(self.handler, **self.options)

    def _trigger_server(self) -> None:
        # Port 0: the kernel chose; the start-up check needs to know which.
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextlib.contextmanager
def server(
    inbox: Inbox | None = None, tls: ssl.SSLContext | None = None, auth: bool = False, port: int = 0, **options: Any
) -> Iterator[tuple[int, Inbox]]:
    """A real SMTP server on a free port of 127.0.0.1; (port, inbox)."""
    inbox = inbox or Inbox()
    if auth:
        options |= {"authenticator": inbox.authenticate, "auth_required": True}
    if tls:
        options |= {"tls_context": tls}
    controller = _Controller(inbox, **options)
    if port:
        controller.port = port
    controller.start()
    try:
        inbox.connections = 0
        yield controller.port, inbox
    finally:
        controller.stop()


class Raw:
    """A server of raw sockets: `talk(connection)` is what it does with each connection."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self.talk = talk
        self.heard: list[bytes] = []
        self.connections = 0

    def __enter__(self) -> "Raw":
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.1)
        self.port = int(self.listener.getsockname()[1])
        self.stop = False
        self.threads = [threading.Thread(target=self._serve)]
        self.threads[0].start()
        return self

    def _serve(self) -> None:
        while not self.stop:
            try:
                connection, _ = self.listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            connection.settimeout(5)
            thread = threading.Thread(target=self._one, args=(connection,))
            thread.start()
            self.threads.append(thread)

    def _one(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.talk(connection)

    def __exit__(self, *_: object) -> None:
        self.stop = True
        for thread in self.threads:
            thread.join(10)
        self.listener.close()

    # Moods

    @staticmethod
    def until_data(connection: socket.socket, answers: dict[str, str] | None = None) -> bytes:
        """Speak like a server up to DATA, then return what was read of the mail so far."""
        connection.sendall(b"220 raw ESMTP\r\n")
        file = connection.makefile("rb")
        while line := file.readline():
            word = line[:4].decode("ascii", "replace").upper().strip()
            if word == "DATA":
                connection.sendall(b"354 go on\r\n")
                return file.readline()
            connection.sendall((answers or {}).get(word, "250 raw").encode() + b"\r\n")
            if word == "QUIT":
                break
        return b""

    @staticmethod
    def drop_in_data(connection: socket.socket) -> None:
        Raw.until_data(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    @staticmethod
    def drop_after_dot(connection: socket.socket) -> None:
        connection.sendall(b"220 raw ESMTP\r\n")
        file = connection.makefile("rb")
        reading = False
        while line := file.readline():
            if reading and line == b".\r\n":
                return
            if reading:
                continue
            reading = line.upper().startswith(b"DATA")
            connection.sendall(b"354 go on\r\n" if reading else b"250 raw\r\n")

    @staticmethod
    def silent(connection: socket.socket) -> None:
        while connection.recv(1000):
            pass

    @staticmethod
    def drip(connection: socket.socket) -> None:
        for _ in range(600):
            connection.sendall(b"2")
            time.sleep(0.05)

    @staticmethod
    def drip_after_greeting(connection: socket.socket) -> None:
        connection.sendall(b"220 raw ESMTP\r\n")
        connection.recv(1000)
        Raw.drip(connection)

    @staticmethod
    def endless_line(connection: socket.socket) -> None:
        connection.sendall(b"220-")
        for _ in range(2000):
            connection.sendall(b"x" * 10_000)

    @staticmethod
    def endless_lines(connection: socket.socket) -> None:
        for _ in range(100_000):
            connection.sendall(b"220-and so on\r\n" * 20)


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def authority(folder: Path) -> Path:
    """A local certificate authority, made by openssl; the file of its certificate."""
    folder.mkdir(exist_ok=True)
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
             "-subj", "/CN=Vigie test authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
             "-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.pem"))  # fmt: skip
    return folder / "ca.pem"


def certificate(folder: Path, name: str, *, days: int = 30, signed: bool = True) -> ssl.SSLContext:
    """A server's TLS context with a certificate for `name`; `days` negative: already expired; not `signed`: by itself."""
    stem = folder / f"{name.replace('.', '-')}{days}{int(signed)}"
    kind = "IP" if name.replace(".", "").isdigit() else "DNS"
    key, request, cert, extra = (f"{stem}.{end}" for end in ("key", "csr", "pem", "ext"))
    Path(extra).write_text(f"subjectAltName={kind}:{name}\n")
    _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
             "-keyout", key, "-out", request)  # fmt: skip
    signer = ["-CA", str(folder / "ca.pem"), "-CAkey", str(folder / "ca.key"), "-CAcreateserial"]
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    start = end - datetime.timedelta(days=40)
    _sign(folder, request, cert, extra, start, end, signer if signed else ["-signkey", key])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


def _sign(
    folder: Path,
    request: str,
    cert: str,
    extra: str,
    start: datetime.datetime,
    end: datetime.datetime,
    signer: list[str],
) -> None:
    """`openssl x509` knows only whole days from now; `openssl ca` knows dates, so an expired one can be made."""
    if "-signkey" in signer:
        _openssl("x509", "-req", "-in", request, "-days", "30", "-extfile", extra, "-out", cert, *signer)
        return
    config = folder / "ca.cnf"
    (folder / "index.txt").touch()
    (folder / "new").mkdir(exist_ok=True)
    config.write_text(
        "[ca]\ndefault_ca=own\n[own]\n"
        f"dir={folder}\ndatabase={folder}/index.txt\nnew_certs_dir={folder}/new\nrand_serial=yes\ndefault_md=sha256\n"
        "policy=any\nunique_subject=no\n[any]\ncommonName=supplied\n"
    )
    _openssl("ca", "-batch", "-config", str(config), "-cert", str(folder / "ca.pem"), "-keyfile", str(folder / "ca.key"),
             "-startdate", f"{start:%Y%m%d%H%M%SZ}", "-enddate", f"{end:%Y%m%d%H%M%SZ}", "-in", request,
             "-extfile", extra, "-out", cert, "-notext")  # fmt: skip


def _openssl(*argv: str) -> None:
    done = subprocess.run(["openssl", *argv], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
