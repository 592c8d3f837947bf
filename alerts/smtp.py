"""Handing mails to an SMTP server, with each recipient's own answer, in bounded time.

smtplib gives the protocol; what it does not give stands here:

1. certificates are always verified, and a password never goes over a connection that is not;
2. MAIL, RCPT one by one, DATA: what the server said of each recipient is kept;
3. a deadline for the whole of a mail: a watchdog shuts the socket, so a server that drips one byte a second, says
   nothing or never ends its greeting costs a minute, not a night (timeouts of sockets count from read to read);
4. replies are bounded in lines and bytes.
"""

import base64
import contextlib
import smtplib
import ssl
from collections.abc import Sequence

from alerts.outcome import ACCEPTED, LATER, REFUSED, LoginRefused, Outcome, Unreachable, one_line
from alerts.smtp_session import READ, Log, Session
from archive.settings import Settings

DEADLINE = 60.0  # seconds for one mail, and for opening the conversation
# RFC 5321 4.5.3.1.10: an old server's 552 to RCPT means "too many recipients", not "never".
_TRY_AGAIN = (552,)


def connect(settings: Settings, log: Log | None = None, deadline: float = DEADLINE) -> "Conversation":
    """Open, secure and log in. Raises Unreachable or LoginRefused, each with a text for people."""
    talk = Conversation(settings, log or (lambda line: None), deadline)
    try:
        talk.open()
    except BaseException:
        talk.close()
        raise
    return talk


class Conversation:
    """One open SMTP session: a Courier."""

    def __init__(self, settings: Settings, log: Log, deadline: float) -> None:
        self.settings = settings
        self.server = f"{settings.smtp_host}:{settings.smtp_port}"
        self.deadline = deadline
        self.alive = False
        self._smtp = Session(log, settings.smtp_password)
        self._smtp.timeout = min(READ, deadline)

    def open(self) -> None:
        """Connect, greet, secure, log in."""
        try:
            with self._smtp.watched(self.deadline):
                self._open()
        except (Unreachable, LoginRefused):
            raise
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(f"{self.server}: {_untrusted(error, self.settings)}") from error
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise Unreachable(f"{self.server}: {self._smtp.words(error)}") from error
        self.alive = True

    def _open(self) -> None:
        settings, smtp = self.settings, self._smtp
        security = settings.smtp_security
        context = self._context() if security in ("tls", "starttls") else None
        code, text = smtp.open(settings.smtp_host, settings.smtp_port, context if security == "tls" else None)
        if code != 220:
            raise Unreachable(f"{self.server}: greets with {code} {text}")
        self._greet()
        if context and security == "starttls":
            if not smtp.has_extn("starttls"):
                raise Unreachable(
                    f"{self.server}: does not offer STARTTLS, so nothing is sent and no password is said"
                    " (VIGIE_SMTP_SECURITY=tls is for port 465)"
                )
            code, text = smtp.ask("STARTTLS")
            if code != 220:
                raise Unreachable(f"{self.server}: STARTTLS: {code} {text}")
            smtp.secure(context, settings.smtp_host)
            self._greet()
        if settings.smtp_user:
            self._log_in()

    def _context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.settings.smtp_ca_file or None)
        except OSError as error:
            raise Unreachable(
                f"VIGIE_SMTP_CA_FILE={self.settings.smtp_ca_file}: is not a readable file of certificates: {error}"
            ) from error

    def _greet(self) -> None:
        code, text = self._smtp.greet()
        if not 200 <= code <= 299:
            raise Unreachable(f"{self.server}: EHLO: {code} {text}")

    def _log_in(self) -> None:
        """One mechanism, one try: a wrong password tried three times a minute would lock the account."""
        smtp, user, password = self._smtp, self.settings.smtp_user, self.settings.smtp_password
        offered = smtp.esmtp_features.get("auth", "").upper().replace("=", " ").split()
        with smtp.secret():
            if "PLAIN" in offered:
                code, text = smtp.ask("AUTH PLAIN " + _base64(f"\0{user}\0{password}"))
            elif "LOGIN" in offered:
                code, text = smtp.ask("AUTH LOGIN " + _base64(user))
                if code == 334:
                    code, text = smtp.ask(_base64(password))
            else:
                raise LoginRefused(
                    f"{self.server}: offers no log-in that Vigie knows (PLAIN, LOGIN; it said:"
                    f" {' '.join(offered) or 'none'}); check VIGIE_SMTP_USER and the port"
                )
        if code in (235, 503):  # 503: already logged in
            return
        if 400 <= code <= 499:
            raise Unreachable(f"{self.server}: log-in: {code} {text}")
        raise LoginRefused(
            f"{self.server}: the log-in of {user} was refused: {code} {text}; check VIGIE_SMTP_USER and the password"
        )

    def send(self, sender: str, recipients: Sequence[str], message: bytes) -> list[Outcome]:
        """One mail for these recipients; each one's answer. The whole takes at most the deadline."""
        delivery = _Delivery(self._smtp, recipients)
        try:
            with self._smtp.watched(self.deadline):
                delivery.run(sender, message)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            self.alive = False
            delivery.broken(self._smtp.words(error))
        if delivery.leaving:
            self.alive = False
        return [Outcome(one, *delivery.answers[one]) for one in recipients]

    def close(self) -> None:
        """QUIT where somebody still listens, then shut."""
        if self.alive:
            self.alive = False
            with contextlib.suppress(smtplib.SMTPException, OSError), self._smtp.watched(5.0):
                self._smtp.ask("QUIT")
        self._smtp.shut()


class _Delivery:
    """One mail through one session; `answers` fills as the server speaks."""

    def __init__(self, smtp: Session, recipients: Sequence[str]) -> None:
        self.smtp = smtp
        self.answers: dict[str, tuple[str, str]] = {}
        self.recipients = recipients
        self.taken: list[str] = []  # RCPT said yes
        self.dotted = False  # the final dot is out: it may have been taken
        self.leaving = False

    def run(self, sender: str, message: bytes) -> None:
        addresses = {one: address for one in self.recipients if (address := self._address(one))}
        if not addresses:
            return
        utf8 = not all(address.isascii() for address in (*addresses.values(), sender))
        options = " SMTPUTF8" if utf8 and self.smtp.has_extn("smtputf8") else ""
        options += f" SIZE={len(message)}" if self.smtp.has_extn("size") else ""
        code, text = self.smtp.ask(f"MAIL FROM:<{envelope(sender)}>{options}")
        if code != 250:
            self._rest(code, text)
            self._reset()
            return
        for one, address in addresses.items():
            code, text = self.smtp.ask(f"RCPT TO:<{address}>")
            if code in (250, 251, 252):
                self.taken.append(one)
            else:
                self._answer(one, 450 if code in _TRY_AGAIN else code, text, shown=code)
            if code == 421:
                self._rest(code, text)
                self.leaving = True
                return
        if not self.taken:
            self._reset()
            return
        code, text = self.smtp.ask("DATA")
        if code == 354:
            self.smtp.send_message_bytes(message)
            self.dotted = True
            code, text = self.smtp.reply()
        else:
            self._reset()
        self._rest(code, text)

    def broken(self, words: str) -> None:
        """The conversation broke: who has no answer yet is tried again, with the same Message-ID."""
        if self.dotted:
            words += " (after the whole mail was sent: it may arrive twice)"
        for one in self.recipients:
            self.answers.setdefault(one, (LATER, words))

    def _rest(self, code: int, text: str) -> None:
        """One answer for all who have none yet."""
        for one in self.recipients:
            if one not in self.answers:
                self._answer(one, code, text)
        self.leaving = self.leaving or code == 421

    def _answer(self, one: str, code: int, text: str, shown: int = 0) -> None:
        state = ACCEPTED if 200 <= code <= 299 else REFUSED if 500 <= code <= 599 else LATER
        self.answers[one] = (state, f"{shown or code} {text}".strip())

    def _address(self, one: str) -> str:
        try:
            address = envelope(one)
        except ValueError as error:
            self.answers[one] = (REFUSED, str(error))
            return ""
        if not address.isascii() and not self.smtp.has_extn("smtputf8"):
            self.answers[one] = (REFUSED, "the server takes no address with letters outside ASCII (no SMTPUTF8)")
            return ""
        return address

    def _reset(self) -> None:
        if not self.leaving:
            self.smtp.ask("RSET")


def envelope(address: str) -> str:
    """One addr-spec as the envelope says it, its domain in ASCII. Raises ValueError for anything else."""
    name, at, domain = address.rpartition("@")
    bad = set(' \t\r\n,;<>"()[]\\:')
    if not at or not name or not domain or "@" in name or bad & set(address) or not address.isprintable():
        raise ValueError(f"{one_line(repr(address), 80)} is not one mail address")
    if len(name.encode()) > 64 or len(address.encode()) > 254:
        raise ValueError(f"{one_line(repr(address), 80)} is longer than a mail address can be")
    try:
        return f"{name}@{domain if domain.isascii() else domain.encode('idna').decode('ascii')}"
    except UnicodeError as error:
        raise ValueError(f"{one_line(repr(address), 80)}: the domain cannot be written in ASCII") from error


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _untrusted(error: ssl.SSLCertVerificationError, settings: Settings) -> str:
    remedy = "give its authority's certificate in VIGIE_SMTP_CA_FILE" if not settings.smtp_ca_file else ""
    if "Hostname mismatch" in str(error) or "IP address mismatch" in str(error):
        remedy = f"VIGIE_SMTP_HOST must be the name that stands in it, not {settings.smtp_host}"
    elif "expired" in str(error):
        remedy = "it must be renewed on the server"
    words = f"the server's certificate is not trusted, so nothing was sent: {error.verify_message}"
    return one_line(words) + (f"; {remedy}" if remedy else "")
