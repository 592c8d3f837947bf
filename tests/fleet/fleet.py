"""A small fleet for tests: a centre served over HTTP on loopback, machines with data folders of their own."""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import waitress

from archive import database, engine, settings
from archive.fleet import members, parcel, send, state
from tests import conftest, cycles
from tests.conftest import NOW
from web import create_app

TOKEN_TAGS = ""


class Clock:
    """The centre's clock, which a test puts where it wants it."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Centre:
    def __init__(self, data: str, mail_to: str = "c@example.org") -> None:
        self.data, self.clock = data, Clock()
        self.settings = settings_of(data, VIGIE_TRUSTED_HOSTS="127.0.0.1", VIGIE_MAIL_TO=mail_to)
        self.app = create_app(self.settings, now=self.clock)
        self.server: Any = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Centre":
        self.server = waitress.create_server(self.app, host="127.0.0.1", port=self.port, threads=4)
        self.port = self.server.effective_port
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        return self

    def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            with contextlib.suppress(OSError):
                self.server.task_dispatcher.shutdown()
            self.thread.join(10)
            self.server = None

    def add(self, name: str, tags: str = "") -> str:
        with database.writer(self.data) as db, database.transaction(db):
            return members.add(db, name, "test", self.clock.now, tags)

    def member(self, name: str) -> members.Member:
        with database.reader(self.data) as db:
            found = members.named(db, name)
        assert found is not None
        return found

    def post(self, token: str, what: parcel.Parcel, path: str = "cycles") -> Any:
        """As the machine would, without the network."""
        return self.app.test_client().post(
            f"/fleet/v1/{path}", data=parcel.pack(what), headers={"Authorization": f"Bearer {token}"}
        )


class Machine:
    """A data folder as run_all.sh makes it, on SQLite whatever the centre is on."""

    def __init__(self, folder: str, name: str, uid: str = "") -> None:
        self.data, self.name = folder, name
        for part in ("spool", "journal", "probes", "run", "log", "quarantine"):
            os.makedirs(os.path.join(folder, part), mode=0o700)
        before, conftest.ENGINE = conftest.ENGINE, "sqlite"
        try:
            database.create(folder, uid or f"uid-of-{name}", name, f"machine-id-of-{name}", NOW)
        finally:
            conftest.ENGINE = before
        self.settings = settings_of(folder, VIGIE_HOST_NAME=name)

    def join(self, centre: Centre, token: str, since: int = 0) -> None:
        state.join(self.data, state.Joined(centre.url, token, self.name, since))

    def cycle(self, at: int, archived: bool = True, boot: str = cycles.BOOT, **levels: float) -> None:
        cycles.write(self.data, at, cycles.machine(at, **levels), boot)
        if archived:
            cycles.load_all(self.data, at)

    def send(self, now: int, *, at_once: bool = True) -> int:
        return send.run(self.settings, now, at_once=at_once)


def settings_of(data: str, **more: str) -> settings.Settings:
    """Loading settings says which engine a folder is on: it stays where it is."""
    return settings.load({"VIGIE_DATA": data, "VIGIE_DATABASE_URL": engine.url_of(data), **more})


def head(name: str = "one", now: int = NOW, **more: Any) -> parcel.Head:
    return parcel.Head(**{"uid": f"uid-of-{name}", "name": name, "machine": "m", "now": now, "version": "1",
                          "waiting": 0, "rows": {}, **more})  # fmt: skip


def centre_data(folder: str, kind: str) -> str:
    """A centre's data folder on one of the two engines."""
    before, conftest.ENGINE = conftest.ENGINE, kind
    try:
        return conftest.make_data(folder)
    finally:
        conftest.ENGINE = before


@contextlib.contextmanager
def serving(centre: Centre) -> Iterator[Centre]:
    centre.start()
    try:
        yield centre
    finally:
        centre.stop()
