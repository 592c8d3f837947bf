"""What the short form judges can fail: each count is kept as things are, and beyond its bound once the thing that it watches
is broken."""

import os
import shutil
from collections.abc import Iterable
from functools import lru_cache

import pytest

from alerts import chart
from archive import columns, database, purge, rolled, slices
from bench import build, keeping, looking
from bench.figures import Figure
from bench.run import verdict
from web import periods, pictures, state, store

DAYS, MINUTES = 20, 90


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Twenty days of the made-up machine, as the short form has them."""
    path = str(tmp_path_factory.mktemp("bench") / "data")
    os.makedirs(path, mode=0o700)
    build.build(path, DAYS, 2, most=MINUTES)
    return path


@pytest.fixture(scope="module")
def listed(data: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same with long lists."""
    path = str(tmp_path_factory.mktemp("bench") / "listed")
    shutil.copytree(data, path)
    looking.fill_lists(path, 150, 60)
    return path


def broken(figures: Iterable[Figure]) -> list[str]:
    return [one.name for one in verdict([keeping.Section("", "", list(figures))])]


def test_rollups_are_recounted(data: str, tmp_path: object) -> None:
    assert broken(keeping.sizes(data, DAYS, whole=False)) == []
    copy = f"{tmp_path}/copy"
    shutil.copytree(data, copy)
    with database.writer(copy) as db, database.transaction(db):
        db.execute("UPDATE rollup SET sum = sum + 1 WHERE step = 86400")

    assert broken(keeping.sizes(copy, DAYS, whole=False)) == [
        "hours that differ from their samples, days from their hours"
    ]


def test_bytes_a_value_are_judged(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{tmp_path}/data"
    os.makedirs(path, mode=0o700)
    monkeypatch.setattr(columns, "_deflated", lambda body: body)  # nothing is squeezed
    monkeypatch.setattr(columns, "ORDERS", 1)
    build.build(path, 3, 1, most=MINUTES)

    assert "bytes a value, packed, one-minute resolution" in broken(keeping.sizes(path, 3, whole=False))


def test_what_upkeep_holds_and_gives_back_is_judged(
    data: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert broken(keeping.upkeep(data, f"{tmp_path}", DAYS, minutes=MINUTES).figures) == []
    monkeypatch.setattr(slices, "ROWS", 100_000)
    monkeypatch.setattr(purge, "give_back", lambda db: False)
    found = broken(keeping.upkeep(data, f"{tmp_path}", DAYS, minutes=MINUTES).figures)

    assert "rows removed by one statement, at most" in found
    assert any(name.startswith("the file after a purge") for name in found)


def test_rows_read_are_judged(listed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken(looking.reading(listed).figures) == []
    monkeypatch.setattr(rolled, "decode_coarse", lambda blob: None)

    assert "spans read for 7d, a point" in broken(looking.reading(listed).figures)


def test_points_drawn_are_judged(listed: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken(looking.drawing(listed, f"{tmp_path}/img").figures) == []
    monkeypatch.setattr(periods, "choose_step", lambda period, most=0: 300)

    assert "points drawn for 7d" in broken(looking.drawing(listed, f"{tmp_path}/img").figures)


def test_what_is_kept_is_judged(listed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken(looking.looking(listed).figures) == []

    class Nothing(dict):  # type: ignore[type-arg]
        """Forgets whatever it is told."""

        def __setitem__(self, key: object, value: object) -> None:
            pass

    make = looking.Site.__init__

    def forgetful(site: looking.Site, path: str) -> None:
        make(site, path)
        site.app.extensions |= {"overview": Nothing(), "rows": Nothing()}
        monkeypatch.setattr(site, "written", lambda: None)

    monkeypatch.setattr(looking.Site, "__init__", forgetful)
    monkeypatch.setattr(chart, "frame_of", lru_cache(maxsize=0)(chart.frame_of.__wrapped__))
    found = broken(looking.looking(listed).figures)

    assert "overview, kept: of the floor" in found
    assert "pygal's frames made for the overview" in found
    assert "databases opened for a kept overview" in found


def test_statements_and_bytes_are_judged(listed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question asked row by row, a list that is not cut."""
    real = state.rows

    def row_by_row(db: database.sqlite3.Connection, host: int) -> state.Rows:
        for number in range(200):
            db.execute("SELECT 1 FROM incident WHERE id=?", (number,)).fetchone()
        return real(db, host)

    monkeypatch.setattr(state, "rows", row_by_row)
    monkeypatch.setattr(pictures, "MOST_INCIDENTS", 10_000)
    monkeypatch.setattr(looking, "BYTES", 1 << 14)
    found = broken(looking.looking(listed).figures)

    assert [name for name in found if name.startswith("statements of SQL")] == [
        f"statements of SQL: {looking.PAGES[url]}" for url in looking.STATEMENTS
    ]
    assert "bytes of a year's page" in found


def test_modules_and_memory_are_judged(listed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = looking.modules(listed)
    assert 300 < len(loaded) <= looking.MODULES
    assert {name.partition(".")[0] for name in loaded} & looking.STRANGERS == set()
    assert "web.pages.overview" in loaded
    assert "pygal" in loaded
    # A stranger is seen whoever brings it.
    monkeypatch.setattr(looking, "PAGES", {"/": "overview"})
    asked = looking._asked
    monkeypatch.setattr(looking, "_asked", lambda code, path: asked(f"import smtplib\n{code}", path))
    assert "smtplib" in looking.modules(listed)


def test_the_server_gives_memory_back() -> None:
    """On the GNU allocator, both wishes are taken; on another there is nothing to wish."""
    from web import serve

    assert serve.frugal() is hasattr(__import__("ctypes").CDLL(None), "mallopt")


def test_the_store_keeps_nothing_across_a_writing(listed: str, tmp_path: object) -> None:
    copy = f"{tmp_path}/copy"
    shutil.copytree(listed, copy)
    site, made = looking.Site(copy), []
    for writing in (False, False, True, False):
        if writing:
            with database.writer(copy) as db, database.transaction(db):
                db.execute("UPDATE host SET name = name || 'x'")
        with site.app.test_request_context("/", base_url="http://127.0.0.1:5000"):
            made.append(store.kept("name", lambda: store.db().execute("SELECT name FROM host").fetchone()[0]))
            store.close()
    assert made == [made[0], made[0], f"{made[0]}x", f"{made[0]}x"]
