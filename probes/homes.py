#!/usr/bin/env -S python3 -I -S
"""The size of each person's home, measured about once an hour in the background (probes/measuring.py).

Walking a disk takes minutes, so the probe never does it itself:

1. A text handed over by a privileged run (VIGIE_HOMES_TEXT, else /run/vigie/homes.prom) wins, when only root, or who
   runs this probe, can have written it, and it is less than 3 hours old.
2. Else the last measurement kept in VIGIE_STATE is printed. Once it is 55 minutes old, a process of its own, at idle
   priority, starts the next one; it holds a lock, so that two never overlap.
3. Run by hand, without VIGIE_STATE, it measures at once and says on standard error how far it is.

`homes.py --measure` measures and prints, reads no setting and writes no file.
"""

import posix
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")  # -I leaves it out
import reading

AGAIN, STALE, HANDED_STALE = 55 * 60, 8 * 3600, 3 * 3600  # seconds

HEAD = """\
# HELP user_home_bytes Home folder by user
# EVERY 15
# HELP.fr user_home_bytes Dossier personnel par utilisateur
# TYPE user_home_bytes gauge
# WARN user_home_bytes > 100e9
# OFF user_home_bytes
# HELP homes_measured Homes measured
# HELP.fr homes_measured Dossiers personnels mesurés
# TYPE homes_measured gauge
# HELP homes_known Homes
# HELP.fr homes_known Dossiers personnels
# TYPE homes_known gauge
# HELP home_unreadable_info Home not measured
# HELP.fr home_unreadable_info Dossier personnel non mesuré
"""

SERIES = ("user_home_bytes{", "homes_measured ", "homes_known ", "home_unreadable_info{")


def text(root: str, state: str, alone: bool) -> str:
    said = reading.environment("VIGIE_NOW")
    now = int(said) if reading.whole(said) else int(time.time())
    lines, refusal = handed_over(now)
    if refusal and alone:
        posix.write(2, f"homes.py: {refusal}\n".encode("utf-8", "backslashreplace"))
    if lines is None and state:
        at, lines = last_kept(state)
        if not 0 <= now - at < AGAIN:
            if not alone:
                raise reading.AskError
            import measuring

            measuring.measure_apart(root, state, now)
        if not lines or now - at > STALE:
            return "# EVERY 15\n# UNAVAILABLE the homes are being measured\n"
    elif lines is None:
        import measuring

        _, lines = checked(measuring.measure(root, now, progress=True))
    return HEAD + "\n".join([*lines, ""])


def checked(text: str) -> tuple[int, list[str]]:
    """(when it was measured, its series); ValueError when it is not a whole text of ours."""
    first, *lines = text.split("\n")
    word, _, at = first.partition("at=")
    if word != "# measured " or not reading.whole(at) or lines[-2:] != ["# end", ""]:
        raise ValueError("it is not what homes.py --measure prints, or was cut")
    for line in lines[:-2]:
        series, _, value = line.rpartition(" ")
        inside = series.replace("\\\\", "").replace('\\"', "")
        if not (
            line.startswith(SERIES) and line.isprintable() and reading.whole(value)
            and inside.count('"') in {0, 2, 4} and inside.count("{") <= 1 and (series.endswith('"}') or "{" not in series)
        ):  # fmt: skip
            raise ValueError(f"this line is not one of ours: {line[:80]!r}")
    return int(at), lines[:-2]


def handed_over(now: int) -> tuple[list[str] | None, str]:
    """The series of the privileged run; or None, and where there is a text, why it cannot be trusted."""
    path = reading.environment("VIGIE_HOMES_TEXT") or "/run/vigie/homes.prom"
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, f"{path} is not used: {error.strerror}"
    try:
        s = posix.fstat(fd)
        if s.st_mode & 0o170000 != 0o100000 or s.st_uid not in {0, posix.geteuid()} or s.st_mode & 0o022:
            raise ValueError("it must be a plain file of root that nobody else may write")
        at, lines = checked(posix.read(fd, 1 << 20).decode())
        if not -300 <= now - at <= HANDED_STALE:
            raise ValueError(f"it was measured {(now - at) // 60} minutes ago")
    except ValueError as error:
        return None, f"{path} is not used: {error}"
    finally:
        posix.close(fd)
    return lines, ""


def last_kept(state: str) -> tuple[int, list[str]]:
    """(when, series) of the last measurement; (0, []) when there is none."""
    try:
        return checked(reading.slurp(f"{state}/homes"))
    except (OSError, ValueError):
        return 0, []


if __name__ == "__main__":
    if sys.argv[1:]:
        import measuring

        measuring.main(sys.argv[1:])
    else:
        reading.main(text)
