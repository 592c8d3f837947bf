"""Handing mails to the machine's own `sendmail`, where one is installed and no SMTP server is set."""

import os
import signal
import subprocess
from collections.abc import Sequence

from alerts.outcome import ACCEPTED, LATER, REFUSED, Outcome, one_line

PLACES = ("/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/bin/sendmail", "/usr/local/sbin/sendmail")
DEADLINE = 60.0
# sysexits.h: no such user, no such host, not permitted. Anything else may pass.
_FOR_GOOD = (67, 68, 77)


def find(places: Sequence[str] = ()) -> str:
    """The program's path, or ''. `places`: where to look, instead of PLACES."""
    return next((path for path in places or PLACES if os.access(path, os.X_OK)), "")


class Sendmail:
    """A Courier that runs `sendmail -i -f FROM -- recipients` with the mail on its standard input."""

    def __init__(self, program: str, deadline: float = DEADLINE) -> None:
        self.server = program
        self.alive = True
        self._deadline = deadline

    def send(self, sender: str, recipients: Sequence[str], message: bytes) -> list[Outcome]:
        """One call for all: its exit status is everybody's answer."""
        state, reply = self._run([self.server, "-i", "-f", sender, "--", *recipients], message)
        return [Outcome(one, state, reply) for one in recipients]

    def _run(self, argv: list[str], message: bytes) -> tuple[str, str]:
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": os.environ.get("HOME", "/")}
        try:
            # A session of its own: past the deadline its children go with it.
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            return LATER, f"{self.server}: cannot be run: {error.strerror}"
        try:
            said, _ = process.communicate(message, timeout=self._deadline)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return LATER, f"{self.server}: took longer than {self._deadline:.0f} s"
        words = one_line(said[:2000].decode("utf-8", "replace"))
        if process.returncode == 0:
            return ACCEPTED, words or "taken by sendmail"
        state = REFUSED if process.returncode in _FOR_GOOD else LATER
        return state, f"status {process.returncode} {words}".strip()

    def close(self) -> None:
        """Nothing stays open."""
