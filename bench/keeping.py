"""What keeping costs: bytes a value, bytes of a year, how long upkeep holds the writer's lock, what a day of it costs."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator

from archive import database, pack, purge, read, rebuild, rollup, slices
from bench import build, year
from bench.build import END
from bench.figures import Figure, Section
from bench.year import DAY


def section(data: str, days: int, *, whole: bool) -> Section:
    """The archive as it stands."""
    figures = sizes(data, days, whole=whole)
    return Section("What keeping costs", "", figures)


def pages(data: str) -> dict[str, tuple[int, int]]:
    """{table: (bytes in the file, of which payload)} where this SQLite can tell."""
    with database.reader(data) as db:
        try:
            rows = db.execute("SELECT name, sum(pgsize), sum(payload) FROM dbstat GROUP BY name").fetchall()
        except database.sqlite3.OperationalError:
            return {}
    return {row[0]: (row[1], row[2]) for row in rows}


def sizes(data: str, days: int, *, whole: bool) -> list[Figure]:
    with database.reader(data) as db:
        count, payload = db.execute(
            "SELECT sum(count), sum(length(data)) FROM (SELECT count, data FROM packed UNION ALL SELECT count, data FROM packed_long)"
        ).fetchone()
        worst = db.execute(
            "SELECT m.name, sum(length(p.data)) * 1.0 / sum(p.count) AS size FROM packed_long p JOIN series s ON s.id = p.series"
            " JOIN metric m ON m.id = s.metric GROUP BY s.id ORDER BY size DESC LIMIT 1"
        ).fetchone()
        spans = db.execute("SELECT sum(count), sum(length(data)) FROM rolled").fetchone()
        cycles = db.execute("SELECT sum(count), sum(length(data)) FROM packed_cycle").fetchone()
        exact = mismatches(db)
    found = pages(data)
    files = build.files(data)
    figures = [
        Figure("values packed", count, ""),
        Figure(
            "bytes a value, packed, one-minute resolution",
            payload / count,
            "B",
            1.5,
            None,
            "payload of the blobs",
            True,
        ),
    ]
    if found:
        inside = sum(
            found.get(name, (0, 0))[0]
            for name in ("packed", "packed_long", "sqlite_autoindex_packed_1", "sqlite_autoindex_packed_long_1")
        )
        figures.append(
            Figure("the same in the file: pages, keys, slack", inside / count, "B", 1.5, None, "dbstat", True)
        )
    if worst:
        figures.append(Figure("the worst series", worst[1], "B", None, None, f"{worst[0]}: noise, not waste"))
    figures += [
        Figure(
            "bytes a packed 5-minute or hourly span",
            spans[1] / spans[0] if spans[0] else 0,
            "B",
            None,
            None,
            "a row takes 30",
        ),
        Figure("bytes a packed cycle", cycles[1] / cycles[0] if cycles[0] else 0, "B", None, None, "a row takes 70"),
        Figure(
            "hours that differ from their samples, days from their hours",
            exact,
            "",
            0,
            None,
            "every 9th series, recounted",
            True,
        ),
        Figure("database", files["database"] / 1e6, "MB"),
        Figure("journal", files["journal"] / 1e6, "MB"),
    ]
    days_there = build.RAW_DAYS if whole else 2
    texts = [len(text.raw) for text in rebuild.texts(data)]
    quarter = purge.QUARTER * max(texts) / 1e6
    journal = files["journal"] / days_there * 14 / 1e6 + quarter
    figures.append(
        Figure(
            f"database and journal, {days} days of {len(year.SPECS)} series",
            files["database"] / 1e6 + journal,
            "MB",
            50 if whole else None,
            None,
            f"the journal counted as the 14 days that are kept ({days_there} are there: {files['journal'] / 1e6:.1f} MB),"
            f" and a quarter of a day that is not compressed yet: {quarter:.1f} MB",
            whole,
        )
    )
    return figures


def mismatches(db: database.sqlite3.Connection) -> int:
    """Rollups recounted from the samples: how many are not exact."""
    wrong = 0
    from archive import rolled

    until = rollup.until_of(db, 1)
    for line in read.series(db, 1)[::9]:
        for back in (19, 9, 4):
            day = until // DAY * DAY - back * DAY
            samples = [
                (s.at, round(s.value * line.metric.scale)) for s in read.samples(db, 1, line, day, day + DAY - 1)
            ]
            if not samples:
                continue
            for step in (rollup.FINE, rollup.HOUR, rollup.DAY):
                if step == rollup.DAY and day + DAY > rollup.days_until(db, 1):
                    continue
                counted = build.spans([at for at, _ in samples], [value for _, value in samples], step)
                wrong += len(set(counted) ^ set(rolled.rows_of(db, 1, line.id, step, day, day + DAY)))
    return wrong


def upkeep(data: str, scratch: str, days: int, *, minutes: int = 1440, purging: bool = True) -> Section:
    """One more day comes in as texts, then all of upkeep: on a copy. Each hold of the writer's lock is timed."""
    copy = os.path.join(scratch, "upkeep")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(data, copy)
    build.settle(copy, END + 3 * 3600)  # the night before: what is measured is the work of one day
    held: list[float] = []
    changed: list[int] = []
    teller = build.Teller(build.scales())
    build.texts(copy, END, days, year.Machine(), teller, minutes)
    real = database.locked

    @contextlib.contextmanager
    def locked(where: str, wait: float = 10.0, name: str = database.LOCK, **how: bool) -> Iterator[None]:
        with real(where, wait, name, **how):
            began = time.perf_counter()
            yield
            if name == database.LOCK:
                held.append((time.perf_counter() - began) * 1000)

    whole = pack.drop

    def drop(db: database.sqlite3.Connection, host: int, day: int, most: int) -> int:
        changed.append(whole(db, host, day, most))
        return changed[-1]

    database.locked, pack.drop = locked, drop  # type: ignore[assignment]
    began, cpu = time.perf_counter(), time.process_time()
    try:
        problems = build.settle(copy, END + DAY + 3 * 3600)
    finally:
        database.locked, pack.drop = real, whole
    wall, spent = time.perf_counter() - began, time.process_time() - cpu
    kept = 30 if days > 120 else max(2, days // 5)
    before = os.path.getsize(os.path.join(copy, database.NAME))
    with database.writer(copy) as db, database.transaction(db):
        db.execute("UPDATE setting SET value=? WHERE name='retention_days'", (str(kept),))
    with database.writer(copy) as db:
        if purging:
            purge.purge(db, 1, END + DAY, confirmed=True)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    after = os.path.getsize(os.path.join(copy, database.NAME))
    shutil.rmtree(copy)
    held.sort()
    figures = [
        Figure("upkeep of a day: processor", spent, "s", 20, None, f"wall {wall:.1f} s; backup, check, packing, journal"),
        Figure("the writer's lock is held at a time", held[len(held) // 2], "ms", 200, (held[0], held[-1]), f"{len(held)} holds"),
        Figure("the longest hold", held[-1], "ms", 200, None, f"a slice ends after {slices.BUDGET * 1000:.0f} ms of work"),
        Figure("rows removed by one statement, at most", max(changed, default=0), "", 5000, None, f"{sum(changed):,} samples in {len(changed)}; archive/slices.py", True),
        Figure("upkeep's errors", len(problems), "", 0, None, "; ".join(problems), True),
        Figure(
            f"the file after a purge to {kept} days, of before", after / before, "", 0.75, None,
            f"{before / 1e6:.1f} → {after / 1e6:.1f} MB", True,
        ),
    ]  # fmt: skip
    return Section("What upkeep costs", "", figures if purging else figures[:-1])
