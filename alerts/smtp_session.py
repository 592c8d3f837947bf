"""One SMTP session: smtplib's protocol, with bounded replies, a watchdog over the whole, and a log without passwords."""

import contextlib
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

from alerts.outcome import one_line

READ = 30.0  # seconds between two reads
LINE, LINES = 2048, 100  # what one reply may hold

Log = Callable[[str], None]


class Session(smtplib.SMTP):
    """smtplib's session with bounded replies, a watchdog, and a log that hides the password."""

    def __init__(self, log: Log, password: str) -> None:
        super().__init__(local_hostname="localhost")
        self._log = log
        self._password = password
        self._secret = False
        self._handle: socket.socket | None = None  # a second handle on the connection, for the watchdog
        self._expired = False
        self._until = 0.0

    # Time

    @contextlib.contextmanager
    def watched(self, seconds: float) -> Iterator[None]:
        """Within `seconds` the block ends, or its socket is shut under it."""
        self._expired, self._until = False, time.monotonic() + seconds
        watchdog = threading.Timer(seconds, self._expire)
        watchdog.daemon = True
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()
            watchdog.join()

    def _expire(self) -> None:
        self._expired = True
        handle = self._handle
        if handle is not None:
            with contextlib.suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

    def words(self, error: Exception) -> str:
        """What went wrong, for people."""
        if self._expired:
            return "took too long; the connection was cut"
        if isinstance(error, TimeoutError):
            return "said nothing in time"
        if isinstance(error, smtplib.SMTPServerDisconnected):
            return "closed the connection"
        if isinstance(error, OSError) and error.strerror:
            return one_line(f"no connection: {error.strerror}")
        return one_line(str(error) or type(error).__name__)

    # Talk

    def open(self, host: str, port: int, context: ssl.SSLContext | None) -> tuple[int, str]:
        """Connect (to each address in turn, in the time left) and read the greeting."""
        self._log(f"* {host}:{port}")
        self._host = host
        self.sock = _dial(host, port, self._until, self._keep)
        # An address literal: a name without a dot is refused by many servers.
        here = self.sock.getsockname()[0]
        self.local_hostname = f"[IPv6:{here}]" if ":" in here else f"[{here}]"
        if context:
            self.secure(context, host)
        return self.reply()

    def _keep(self, sock: socket.socket) -> None:
        self.shut_handle()
        self._handle = sock.dup()
        sock.settimeout(self.timeout)
        if self._expired:
            raise TimeoutError

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """TLS with a verified certificate; what was said before counts no more."""
        self.sock = context.wrap_socket(self._connected(), server_hostname=host)
        self.file = None
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features = {}
        self.does_esmtp = False
        self._log(f"* {self.sock.version()}, certificate verified")

    def _connected(self) -> socket.socket:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        return self.sock

    def greet(self) -> tuple[int, str]:
        """EHLO, or HELO where it is not known."""
        code, _ = self.ehlo(self.local_hostname)
        if not 200 <= code <= 299:
            code, _ = self.helo(self.local_hostname)
        text = self.ehlo_resp or self.helo_resp or b""
        return code, one_line(text.decode("utf-8", "replace"))

    def ask(self, command: str) -> tuple[int, str]:
        """One command, one reply."""
        self.command_encoding = "utf-8"
        self.putcmd(command)
        return self.reply()

    def reply(self) -> tuple[int, str]:
        code, text = self.getreply()
        return code, one_line(text.decode("utf-8", "replace"))

    def send_message_bytes(self, message: bytes) -> None:
        """The mail with CRLF line ends and doubled dots, and the final dot."""
        lines = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n").split(b"\n")
        stuffed = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)
        self._log(f"> (the mail: {len(message)} bytes)")
        self.send(stuffed + b"\r\n.\r\n")

    def putcmd(self, cmd: str, args: str = "") -> None:
        shown = f"{cmd} {args}".strip()
        if self._secret:
            shown = " ".join(shown.split()[:2]) + " (hidden)" if shown.startswith("AUTH ") else "(hidden)"
        self._log(f"> {shown}")
        super().putcmd(cmd, args)

    def getreply(self) -> tuple[int, bytes]:
        """smtplib's reading, but bounded: an endless greeting ends as an error."""
        if self.file is None:
            self.file = self._connected().makefile("rb")
        said: list[bytes] = []
        code = -1
        while True:
            line = self.file.readline(LINE + 1)
            if len(line) > LINE or len(said) >= LINES:
                raise smtplib.SMTPException("the server's reply has no end")
            if not line.endswith(b"\n"):
                # Half a reply is none: a "250" cut short must not count as accepted.
                raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
            said.append(line[4:].strip(b" \t\r\n"))
            self._log(f"< {self._hidden(line.decode('utf-8', 'replace').rstrip())}")
            if not line[:3].isdigit():
                raise smtplib.SMTPException(f"not the reply of a mail server: {one_line(repr(line[:60]))}")
            code = int(line[:3])
            if line[3:4] != b"-":
                return code, b"\n".join(said)

    def _hidden(self, text: str) -> str:
        return text.replace(self._password, "(hidden)") if self._password else text

    @contextlib.contextmanager
    def secret(self) -> Iterator[None]:
        """What is said now is not logged."""
        self._secret = True
        try:
            yield
        finally:
            self._secret = False

    def shut(self) -> None:
        self.close()
        self.shut_handle()

    def shut_handle(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()


def _dial(host: str, port: int, until: float, keep: Callable[[socket.socket], None]) -> socket.socket:
    """A connected socket. Names are looked up aside, because nothing else can bound that."""
    found: list[tuple[socket.AddressFamily, tuple[str, int]]] = []
    failed: list[OSError] = []

    def look_up() -> None:
        try:
            found.extend((info[0], info[4]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))  # type: ignore[misc]
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(max(0.1, min(READ, until - time.monotonic())))
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError
    error: OSError = TimeoutError()
    for family, address in found:
        left = until - time.monotonic()
        if left <= 0:
            break
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(min(READ / 2, left))
        try:
            sock.connect(address)
            keep(sock)
        except OSError as problem:
            sock.close()
            error = problem
            continue
        return sock
    raise error
