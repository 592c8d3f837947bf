"""The dashboard's server: waitress, one process, in the foreground. `python -m web.serve`, or `./vigie web`.

1. Read the settings, make the application, open the port: what is wrong is said in one line.
2. Write `data/run/web.pid` (pid and its start time), so that run_all.sh knows its own from a stranger with the same pid.
3. Serve until SIGTERM or Ctrl-C; take the file away.
"""

import errno
import os
import signal
import socket
import sys
from types import FrameType
from typing import Any

from archive import database, rights, settings
from archive.settings import LOOPBACK, Settings

RUN = "run"
NAME = "web.pid"
M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3  # mallopt(3), malloc.h
# Half-sent requests of 150 clients must not stop a page, and a thousand must be shaken off within seconds.
OPTIONS: dict[str, Any] = {
    "threads": 8,
    "connection_limit": 1000,
    "channel_timeout": 10,
    "cleanup_interval": 5,
    "asyncore_use_poll": True,
    "backlog": 1024,
    "ident": None,  # nothing about the server's version
    "max_request_body_size": 1 << 20,  # the application says no from 64 KiB on, in its own words
    "max_request_header_size": 64 << 10,
    "clear_untrusted_proxy_headers": False,  # web/hosts.py decides whom to believe
}


class ServeError(Exception):
    """The dashboard cannot start: says why and what to do."""


def bind(config: Settings) -> list[socket.socket]:
    """Listening sockets. Raises ServeError in words."""
    host, port = config.listen
    found = []
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ServeError(f"VIGIE_LISTEN: {host!r} is no address of this machine: {error.strerror or error}") from error
    refused: OSError | None = None
    for family, kind, protocol, _name, address in places:
        one = socket.socket(family, kind, protocol)
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
            found.append(one)
        except OSError as error:
            one.close()
            # A machine without IPv6 still has 127.0.0.1 under the name localhost.
            if refused is None or error.errno == errno.EADDRINUSE:
                refused = error
    if refused is not None and (not found or refused.errno == errno.EADDRINUSE):
        for one in found:
            one.close()
        raise ServeError(_why(refused, host, port))
    return found


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"{host}:{port} is taken by another program (ss -ltnp 'sport = :{port}' names it);"
            f" stop it, or set VIGIE_LISTEN={host}:{port + 1} in data/settings.env"
        )
    if error.errno == errno.EACCES:
        return f"{host}:{port}: only root may use a port below 1024; set VIGIE_LISTEN to a higher one"
    return f"{host}:{port}: cannot listen: {error.strerror}"


def started(pid: int) -> str:
    """When a process began, in ticks since boot: with the pid it names one process for good. '' when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def note(config: Settings) -> str:
    """Write who serves (`pid started`, as run_all.sh reads it), aside and renamed. Returns the path."""
    folder = os.path.join(config.data, RUN)
    os.makedirs(folder, mode=rights.of_folder(folder), exist_ok=True)
    path = os.path.join(folder, NAME)
    aside = f"{path}.{os.getpid()}"
    with open(aside, "w", encoding="ascii") as file:
        file.write(f"{os.getpid()} {started(os.getpid())}\n")
    os.rename(aside, path)
    return path


def running(data: str) -> int | None:
    """The pid of the dashboard that serves this data folder, or None."""
    try:
        with open(os.path.join(data, RUN, NAME), encoding="ascii") as file:
            pid, began = file.read(100).split()
        return int(pid) if began and started(int(pid)) == began else None
    except (OSError, ValueError):
        return None


def _forget(path: str) -> None:
    """Take the note away, unless another server has written its own meanwhile."""
    try:
        with open(path, encoding="ascii") as file:
            if file.read(100).split()[0] == str(os.getpid()):
                os.unlink(path)
    except (OSError, IndexError, ValueError):
        pass


def frugal() -> bool:
    """Give memory back. The GNU allocator keeps a heap a thread, and what one thread freed no other can use: eight threads
    that drew the same pages took 18 MiB more than one. Large pieces always come and go by themselves. False where the
    allocator is another one, which needs no such word."""
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    heaps, large = mallopt(M_ARENA_MAX, 1), mallopt(M_MMAP_THRESHOLD, 128 << 10)
    return bool(heaps and large)


def serve(config: Settings, *, quiet: bool = False) -> None:
    """Serve until told to stop. Raises ServeError, SecretError, DatabaseError."""
    import waitress  # type: ignore[import-untyped]  # the command line must not pay for it

    from web import create_app

    rights.take(config.data)
    frugal()
    sockets = bind(config)
    app = create_app(config)
    server = waitress.create_server(app, sockets=sockets, **OPTIONS)
    path = note(config)
    if not quiet:
        print(f"Vigie: {config.url}", flush=True)

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        server.run()  # ends by itself on KeyboardInterrupt, after the requests at work
    finally:
        _forget(path)
        server.close()


def main() -> int:
    from web import logs
    from web.secret import SecretError

    logs.set_up()

    try:
        config = settings.load()
        os.makedirs(config.data, mode=0o700, exist_ok=True)
        if config.listen[0] not in LOOPBACK and not config.url.startswith("https://"):
            print(
                "vigie: the dashboard listens beyond this machine without TLS: passwords can be read on the way;"
                " see docs/deployment.md",
                file=sys.stderr,
            )
        serve(config)
    except (ServeError, SecretError, settings.SettingsError, database.DatabaseError, OSError) as error:
        print(f"vigie: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
