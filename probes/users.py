#!/usr/bin/env -S python3 -I -S
"""Who is logged in, from where, since when: from loginctl; where it does not answer, from who (a real utmp needed).

logind renames a file in /run/systemd/sessions whenever a session begins, ends or changes: until then its last answer stands
(VIGIE_STATE: answer, and stamp with the time of asking). It is asked again every quarter of an hour all the same.
"""

import posix
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")  # -I leaves it out
import reading

HEAD = """\
# HELP users_logged_in People logged in
# HELP.fr users_logged_in Personnes connectées
# TYPE users_logged_in gauge
"""
SESSIONS = """\
# HELP login_sessions Sessions open
# HELP.fr login_sessions Sessions ouvertes
# TYPE login_sessions gauge
"""
UNAVAILABLE = "# UNAVAILABLE loginctl does not answer and there is no utmp: nobody here keeps the list of sessions\n"
# Names come from the network: what is unusual becomes _.
ALLOWED = reading.ALPHANUMERIC + " .:_@%+/\\-"
STANDS = 900  # s
PROPERTIES = ("Name", "Class", "State", "TTY", "Seat", "RemoteHost", "Timestamp")

Session = tuple[str, str, str, int]  # who, at which terminal, from where, since when


def text(root: str, state: str, alone: bool) -> str:
    sessions = modified(f"{root}/run/systemd/sessions", folder=True)
    keep = state if sessions is not None else ""
    if keep and sessions is not None:
        said = kept(keep, sessions)
        if said:
            return said
    logind = modified(f"{root}/run/systemd/system", folder=True) is not None
    utmp = posix.access(f"{root}/run/utmp", posix.R_OK)
    if not logind and not utmp:
        return UNAVAILABLE
    if not alone:
        raise reading.AskError
    if keep:
        if reading.exists(f"{keep}/answer"):
            posix.unlink(f"{keep}/answer")
        reading.write(f"{keep}/stamp", f"{int(time.time())}\n")
    found = from_logind() if logind and reading.is_program("loginctl") else None
    if found is None and utmp and reading.is_program("who"):
        found = from_who(f"{root}/run/utmp")
    if found is None:
        return UNAVAILABLE
    said = told(found)
    if keep:
        reading.write(f"{keep}/answer", said)
    return said


def modified(path: str, folder: bool = False) -> int | None:
    """When, in ns; None when it is not there (or is no folder, where one is meant)."""
    try:
        found = posix.stat(path)
    except OSError:
        return None
    return None if folder and found.st_mode & 0o170000 != 0o040000 else found.st_mtime_ns


def kept(state: str, sessions: int) -> str:
    """The last answer, '' when it stands no more. `sessions`: when one of them changed, in ns."""
    asked = modified(f"{state}/stamp")
    if asked is None or asked <= sessions:
        return ""
    when = reading.slurp(f"{state}/stamp", 4096).partition("\n")[0]
    if len(when) > 20 or not reading.whole(when) or not 0 <= int(time.time()) - int(when) < STANDS:
        return ""
    return reading.slurp(f"{state}/answer") if reading.exists(f"{state}/answer") else ""


def told(found: list[Session]) -> str:
    facts: dict[str, None] = {}  # two sessions may look the same
    for user, tty, origin, since in found:
        facts[f'login_info{{user="{tame(user)}",tty="{tame(tty)}",from="{tame(origin)}",since="{since}"}} 1\n'] = None
    people = len({user for user, _, _, _ in found})
    return f"{HEAD}users_logged_in {people}\n{SESSIONS}login_sessions {len(found)}\n{''.join(facts)}"


def tame(name: str) -> str:
    return reading.tame(name, ALLOWED).replace("\\", "\\\\")


def refused(program: str) -> reading.RefusedError:
    return reading.RefusedError(f"{program} printed something else than sessions")


def from_logind() -> list[Session] | None:
    """None when it does not answer. Raises RefusedError."""
    variables = {b"LC_ALL": b"C", b"TZ": b"UTC"}
    status, rows = reading.ask(["loginctl", "list-sessions", "--no-legend", "--no-pager"], variables, quiet=True)
    if status:
        return None
    names = [row.split(None, 1)[0] for row in rows.split("\n") if row.strip()]
    if not all(name.isascii() and name.isalnum() for name in names):
        raise refused("loginctl")
    if not names:
        return []
    # A session may end between the two questions: then the whole is asked again at the next cycle.
    wanted = [word for name in PROPERTIES for word in ("-p", name)]
    _, rows = reading.ask(["loginctl", "show-session", "--no-pager", *wanted, "--", *names], variables)
    found = []
    for block in rows.rstrip("\n").split("\n\n"):
        said = {}
        for row in block.split("\n"):
            name, equals, value = row.partition("=")
            if not equals or not "A" <= name[:1] <= "Z":
                raise refused("loginctl")
            said[name] = value
        user, kind, since = said.get("Name"), said.get("Class"), said.get("Timestamp")
        if not user or not kind or not since:
            raise refused("loginctl")
        if kind in {"user", "user-early", "user-light"} and said.get("State") != "closing":
            tty = said.get("TTY", "")
            origin = said.get("RemoteHost") or said.get("Seat") or tty
            day, _, zone = since.partition(" ")[2].rpartition(" ")  # "Mon 2026-11-23 08:15:30 UTC"
            found.append((user, tty, origin, moment(day if zone == "UTC" else "")))
    return found


def from_who(utmp: str) -> list[Session]:
    """Raises RefusedError."""
    # In the locale C it would leave out the year.
    _, rows = reading.ask(["who", "--", utmp], {b"LC_ALL": b"C.UTF-8", b"TZ": b"UTC"})
    found = []
    for row in rows.split("\n"):
        if not row:
            continue
        user, _, rest = row.partition(" ")
        tty, _, rest = rest.lstrip(" ").partition(" ")
        rest = rest.lstrip(" ")
        day, origin = rest[:16], rest[16:].rstrip(" ")
        inside = origin.lstrip(" ")
        if not user or not tty or (origin and not (inside != origin and inside[0] == "(" and inside[-1] == ")")):
            raise refused("who")
        found.append((user, tty, inside[1:-1] or tty, moment(day, "who")))
    return found


def moment(day: str, program: str = "the source of sessions") -> int:
    """Seconds since 1970 of "2026-11-23 08:15:30", its seconds left out or not. Raises RefusedError."""
    date, _, clock = day.partition(" ")
    numbers = date.split("-") + clock.split(":")
    if len(numbers) == 5:
        numbers.append("00")
    if [len(number) for number in numbers] != [4, 2, 2, 2, 2, 2] or not reading.whole("".join(numbers)):
        raise refused(program)
    year, month, date_of_month, hour, minute, second = (int(number) for number in numbers)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1] if 1 <= month <= 12 else 0
    if not (year >= 1970 and 1 <= date_of_month <= days and hour < 24 and minute < 60 and second <= 60):
        raise refused(program)
    # Days are counted from March on: what a leap year adds stands at the end of such a year.
    years = year - (month < 3)
    days = years * 365 + years // 4 - years // 100 + years // 400
    days += (153 * ((month + 9) % 12) + 2) // 5 + date_of_month - 1 - 719468
    return days * 86400 + hour * 3600 + minute * 60 + second


if __name__ == "__main__":
    reading.main(text)
