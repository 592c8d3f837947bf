"""Purge: what is older than the retention goes, and nothing newer, whatever the clock says."""

import lzma
import os
import time

import pytest

from archive import database, pack, purge, read, rebuild, rollup, thresholds
from tests import cycles
from tests.conftest import NOW
from tests.cycles import dump
from tests.engines import put_samples

HOUR, DAY = 3600, 86_400
MIDNIGHT = NOW - NOW % DAY
LINE = {"load": "load_average 1\n"}


def sparse(data: str, first: int, last: int, every: int = HOUR, boot: str = "b", up: float = 1000.0) -> None:
    """A cycle an hour from `first` to `last`, all of one boot."""
    for at in range(first, last + 1, every):
        cycles.write(data, at, LINE, boot=boot, uptime=up + at - first)
    cycles.load_all(data, last)


def retention(data: str, days: object) -> None:
    with database.writer(data) as db:
        db.execute(
            "INSERT INTO setting VALUES ('retention_days', ?, 0, 'x') ON CONFLICT (name) DO UPDATE SET value=excluded.value",
            (str(days),),
        )


def run(data: str, now: int, **more: object) -> purge.Purge:
    with database.writer(data) as db:
        return purge.purge(db, 1, now, **more)  # type: ignore[arg-type]


def times(data: str) -> list[int]:
    return [row[1] for row in dump(data, "sample")["sample"]]


def test_nothing_within_the_retention_ever_goes(data):
    retention(data, 10)
    sparse(data, MIDNIGHT - 12 * DAY, NOW)
    kept = [at for at in times(data) if at >= MIDNIGHT - 10 * DAY]

    done = run(data, NOW)

    assert done.refused == ""
    assert done.samples > 0
    assert times(data) == kept
    with database.reader(data) as db:
        assert read.cycles(db, 1, 0, NOW)[0] == MIDNIGHT - 10 * DAY


def test_d20_one_run_removes_two_days_at_most_unless_a_person_confirmed(data):
    retention(data, 10)
    sparse(data, MIDNIGHT - 20 * DAY, NOW)

    run(data, NOW)
    assert min(times(data)) == MIDNIGHT - 18 * DAY
    run(data, NOW)
    assert min(times(data)) == MIDNIGHT - 16 * DAY

    run(data, NOW, confirmed=True)
    assert min(times(data)) == MIDNIGHT - 10 * DAY


def test_packed_days_and_rollups_go_with_their_samples(data):
    retention(data, 10)
    sparse(data, MIDNIGHT - 14 * DAY, NOW)
    with database.writer(data) as db, database.transaction(db):
        while rollup.roll(db, 1, NOW):
            pass
        for day in range(5, 15):
            pack.pack_day(db, 1, MIDNIGHT - day * DAY)
    for _ in range(4):
        run(data, NOW)

    assert min(row[2] for row in dump(data, "packed")["packed"]) == MIDNIGHT - 10 * DAY
    assert min(row[3] for row in dump(data, "rollup")["rollup"]) == MIDNIGHT - 10 * DAY


def test_five_minute_rollups_go_after_40_days_and_the_graph_still_knows(data):
    sparse(data, MIDNIGHT - 42 * DAY, NOW)
    with database.writer(data) as db, database.transaction(db):
        while rollup.roll(db, 1, NOW):
            pass
    with database.reader(data) as db:
        line = read.series(db, 1, "load_average")[0]
        before = read.points(db, 1, line, MIDNIGHT - 42 * DAY, NOW, 1800)
    run(data, NOW)

    fine = [row[3] for row in dump(data, "rollup")["rollup"] if row[2] == 300]
    assert NOW - 40 * DAY - HOUR <= min(fine) <= NOW - 40 * DAY
    with database.reader(data) as db:
        assert read.points(db, 1, line, MIDNIGHT - 42 * DAY, NOW, 1800) == before


def test_small_batches_remove_the_same(data):
    retention(data, 10)
    sparse(data, MIDNIGHT - 12 * DAY, NOW)
    run(data, NOW, batch=7)

    assert min(times(data)) == MIDNIGHT - 10 * DAY


def test_a_line_of_which_nothing_is_left_goes_and_others_stay(data):
    retention(data, 10)
    cycles.archive(data, MIDNIGHT - 12 * DAY, {"x": 'a{user="gone"} 1\n'}, boot="b", uptime=1.0)
    sparse(data, MIDNIGHT - 11 * DAY, NOW, up=1.0 + DAY)
    with database.writer(data) as db:
        ident = db.execute("SELECT id FROM series WHERE labels LIKE '%gone%'").fetchone()[0]
    run(data, NOW)
    run(data, NOW)

    assert ident not in [row[0] for row in dump(data, "series")["series"]]
    with database.reader(data) as db:
        assert len(read.series(db, 1, "load_average")) == 1


@pytest.mark.parametrize("bad", ["0", "-1", "abc", "1e9", "1000000000", "", "٣", "3651", "1.5"])
def test_d19_a_retention_that_is_none_counts_as_the_default(data, bad):
    retention(data, bad)
    with database.reader(data) as db:
        assert purge.retention_days(db) == purge.DEFAULT_RETENTION


def test_what_a_person_was_shown_goes_at_once_and_nothing_further(data):
    sparse(data, MIDNIGHT - 12 * DAY, NOW)
    with database.writer(data) as db:
        thresholds.set_retention(db, 5, "ada", NOW, confirmed=True)
        shown, _size = purge.preview(db, 1, 5, NOW)
    before = len(times(data))
    run(data, NOW)
    assert min(times(data)) == MIDNIGHT - 5 * DAY
    assert before - len(times(data)) == shown
    # A week later the guard holds again: what was shown then has gone, and no more than two days go in a night.
    with database.writer(data) as db:
        assert purge.edge(db, 1, NOW + 7 * DAY) == MIDNIGHT - 3 * DAY


def test_without_a_yes_two_days_go_and_a_longer_retention_takes_the_yes_back(data):
    sparse(data, MIDNIGHT - 12 * DAY, NOW)
    with database.writer(data) as db:
        thresholds.set_retention(db, 5, "ada", NOW)
        assert purge.edge(db, 1, NOW) == MIDNIGHT - 10 * DAY
        thresholds.set_retention(db, 6, "ada", NOW, confirmed=True)
        assert purge.edge(db, 1, NOW) == MIDNIGHT - 10 * DAY + 4 * DAY
        thresholds.set_retention(db, 400, "ada", NOW)
        assert purge.allowed(db) == 0


# --- The clock (D20, D21) ---------------------------------------------------------------------------------------------


def test_d20_a_clock_ahead_of_the_newest_sample_purges_nothing(data):
    retention(data, 1)
    sparse(data, MIDNIGHT - 3 * DAY, NOW)
    before = dump(data)

    assert "ahead of the newest sample" in run(data, NOW + 3650 * DAY).refused
    assert "ahead of the newest sample" in run(data, NOW + HOUR + 1, confirmed=True).refused

    assert dump(data) == before


def test_d20_ten_years_ahead_for_one_cycle_and_back_deletes_nothing(data):
    retention(data, 30)
    sparse(data, MIDNIGHT - 3 * DAY, NOW)
    kept = dump(data, "sample", "packed")
    far = NOW + 3650 * DAY
    up = 1000.0 + NOW - (MIDNIGHT - 3 * DAY)
    cycles.archive(data, far, LINE, boot="b", uptime=up + 60)

    assert run(data, far).refused
    cycles.archive(data, NOW + 120, LINE, boot="b", uptime=up + 120)
    done = run(data, NOW + 120)

    assert done.refused == ""
    assert set(kept["sample"]) <= set(dump(data, "sample")["sample"])


def test_d20_an_hour_of_a_wrong_clock_after_a_start_deletes_nothing(data):
    retention(data, 5)
    sparse(data, MIDNIGHT - 3 * DAY, NOW)
    far = NOW + 100 * DAY
    for number in range(60):
        cycles.write(data, far + number * 60, LINE, boot="new", uptime=30.0 + number * 60)
    cycles.load_all(data, far + HOUR)
    before = len(times(data))

    assert run(data, far + HOUR).refused == "the machine has not been up for 24 hours yet"

    assert len(times(data)) == before


def test_d21_a_clock_set_during_the_last_day_purges_nothing_until_a_day_has_passed(data):
    retention(data, 5)
    sparse(data, MIDNIGHT - 10 * DAY, NOW)
    up = 1000.0 + NOW - (MIDNIGHT - 10 * DAY)
    for number in range(1, 26):
        cycles.write(data, NOW + 20 * DAY + number * HOUR, LINE, boot="b", uptime=up + number * HOUR)
        cycles.load_all(data, NOW + 20 * DAY + number * HOUR)
        done = run(data, NOW + 20 * DAY + number * HOUR)
        assert bool(done.refused) == (number < 25)
    assert done.samples > 0


def test_a_machine_that_is_switched_off_every_night_is_purged_too(data):
    retention(data, 5)
    for day in range(12, -1, -1):
        start = MIDNIGHT - day * DAY + 8 * HOUR
        sparse(data, start, start + 9 * HOUR, boot=f"day{day}", up=60.0)
    now = MIDNIGHT + 17 * HOUR

    assert run(data, now).refused == ""
    assert min(times(data)) >= MIDNIGHT - 10 * DAY


def test_d20_a_machine_just_installed_purges_nothing(data):
    assert run(data, NOW).refused == "there is no sample yet"
    sparse(data, NOW - 2 * HOUR, NOW)
    assert run(data, NOW).refused == "the machine has not been up for 24 hours yet"


def test_a_preview_says_what_would_go_and_touches_nothing(data):
    sparse(data, MIDNIGHT - 12 * DAY, NOW)
    before = dump(data)
    with database.reader(data) as db:
        rows, size = purge.preview(db, 1, 10, NOW)

    assert dump(data) == before
    run(data, NOW, confirmed=True)
    retention(data, 10)
    assert run(data, NOW, confirmed=True).samples == rows
    assert size > 0


def test_d18_purge_beside_loading_takes_nothing_newer(data):
    import threading

    retention(data, 10)
    sparse(data, MIDNIGHT - 14 * DAY, NOW)
    failures: list[BaseException] = []

    def purging():
        try:
            for _ in range(10):
                run(data, NOW, batch=5)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=purging)
    thread.start()
    for number in range(1, 40):
        cycles.archive(data, NOW + number, LINE, boot="b", uptime=1000.0 + NOW + number - (MIDNIGHT - 14 * DAY))
    thread.join(30)

    assert failures == []
    assert len([at for at in times(data) if at > NOW]) == 39 * 4
    assert min(times(data)) == MIDNIGHT - 10 * DAY


def test_a_million_rows_go_in_short_steps(data, capsys):
    retention(data, 10)
    sparse(data, MIDNIGHT - 3 * DAY, NOW)
    with database.writer(data) as db, database.transaction(db):
        start = MIDNIGHT - 12 * DAY
        put_samples(db, ((start + number, series, 1) for number in range(20_000) for series in range(1, 51)))
    longest, removed, more = 0.0, 0, True
    while more:
        began = time.perf_counter()
        with database.writer(data) as db, database.transaction(db):
            done = purge.step(db, 1, MIDNIGHT - 10 * DAY, NOW)
        longest = max(longest, time.perf_counter() - began)
        removed, more = removed + done.samples, done.more
    with capsys.disabled():
        print(f"\n  purge of {removed} rows: the lock was held {longest * 1000:.0f} ms at most")

    assert removed == 1_000_000
    assert longest < 1.0


# --- The journal ------------------------------------------------------------------------------------------------------


def journal(data: str) -> list[str]:
    return sorted(os.listdir(os.path.join(data, "journal")))


def test_days_past_are_compressed_whole_and_today_is_not(data):
    sparse(data, MIDNIGHT - 2 * DAY, NOW)
    texts = {text.raw for text in rebuild.texts(data)}

    assert purge.journal(data, NOW) == 0

    assert journal(data) == ["2026-11-19.txt.xz", "2026-11-20.txt.xz", "2026-11-21"]
    assert {text.raw for text in rebuild.texts(data)} == texts


def test_a_text_that_came_late_makes_a_second_file(data):
    sparse(data, MIDNIGHT - 3 * HOUR, NOW)
    purge.journal(data, NOW)
    cycles.archive(data, MIDNIGHT - 60, LINE)
    purge.journal(data, NOW)

    assert journal(data) == ["2026-11-20.2.txt.xz", "2026-11-20.txt.xz", "2026-11-21"]
    assert len(list(rebuild.texts(data))) == 5


def test_a_quarter_of_a_day_that_is_not_over_is_compressed_and_its_texts_come_back_in_order(data):
    first = MIDNIGHT + 60
    sparse(data, first, first + (purge.QUARTER - 2) * 60, 60)
    assert not purge.journal_of_today(data, NOW)
    sparse(data, first + (purge.QUARTER - 1) * 60, first + purge.QUARTER * 60, 60)
    texts = [text.raw for text in rebuild.texts(data)]
    assert purge.journal_of_today(data, NOW)
    assert [text.raw for text in rebuild.texts(data)] == texts
    assert not purge.journal_of_today(data, NOW)
    sparse(data, first + HOUR * 7, first + HOUR * 8, 60)

    after = list(rebuild.texts(data))
    assert [text.raw for text in after][: len(texts)] == texts
    assert len(after) == len(texts) + 61  # what stands in the folder is read after what was compressed
    assert journal(data) == ["2026-11-21", "2026-11-21.txt.xz"]
    assert purge.journal(data, NOW + DAY) == 0
    assert journal(data) == ["2026-11-21.2.txt.xz", "2026-11-21.txt.xz"]
    assert [text.raw for text in rebuild.texts(data)] == [text.raw for text in after]


def test_the_journal_keeps_14_of_the_days_there_are_and_so_many_bytes(data):
    sparse(data, MIDNIGHT - 20 * DAY, NOW, every=6 * HOUR)

    assert purge.journal(data, NOW) == 6
    assert len(journal(data)) == 15
    assert purge.journal(data, NOW, most=600) > 0
    assert journal(data)[-2:] == ["2026-11-20.txt.xz", "2026-11-21"]


def test_d20_a_clock_that_jumped_drops_no_day_of_the_journal(data):
    sparse(data, MIDNIGHT - 3 * DAY, NOW)
    texts = {text.raw for text in rebuild.texts(data)}

    assert purge.journal(data, NOW + 3650 * DAY) == 0
    assert purge.journal(data, 0) == 0

    assert {text.raw for text in rebuild.texts(data)} == texts


def test_killed_while_compressing_no_text_is_lost(data):
    sparse(data, MIDNIGHT - 5 * HOUR, MIDNIGHT - HOUR)
    texts = {text.raw for text in rebuild.texts(data)}
    code = """
from archive import purge
import os, sys
place, count, real = sys.argv[2], int(sys.argv[3]), getattr(os, sys.argv[2])
def dying(*args, **more):
    global count
    count -= 1
    if count == 0:
        os.kill(os.getpid(), 9)
    return real(*args, **more)
setattr(os, place, dying)
purge.journal(sys.argv[1], int(sys.argv[4]))
"""
    for place, count in (("fsync", 1), ("rename", 1), ("fsync", 2), ("unlink", 1), ("unlink", 3), ("rmdir", 1)):
        done = cycles.python(code, data, place, str(count), str(NOW))
        assert done.returncode in (-9, 0), done.stderr
        assert {text.raw for text in rebuild.texts(data) if not text.problem} == texts
    purge.journal(data, NOW)
    assert {text.raw for text in rebuild.texts(data)} == texts
    assert not [name for name in journal(data) if name.startswith(".") or name == "2026-11-20"]


def test_no_journal_is_nothing_to_do(tmp_path):
    assert purge.journal(str(tmp_path), NOW) == 0


def test_a_torn_archive_gives_what_is_whole_and_says_so(data):
    # Texts that do not compress, so that a cut leaves some of them.
    import random

    for number in range(40):
        noise = "".join(f'a{{n="{random.Random(number * 99 + n).getrandbits(256):x}"}} 1\n' for n in range(60))
        cycles.write(data, MIDNIGHT - 3600 + number * 60, {"x": noise})
    cycles.load_all(data, NOW)
    purge.journal(data, NOW)
    path = os.path.join(data, "journal", "2026-11-20.txt.xz")
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) * 2 // 3)

    found = list(rebuild.texts(data))

    assert 15 < len([text for text in found if not text.problem]) < 40
    assert [text.where for text in found if text.problem] == [path]
    with pytest.raises((EOFError, lzma.LZMAError)), lzma.open(path) as archive:
        archive.read()


@pytest.mark.sqlite("the file gives pages back")
def test_the_file_shrinks_when_rows_are_gone(data):
    retention(data, 10)
    sparse(data, MIDNIGHT - 3 * DAY, NOW)
    with database.writer(data) as db, database.transaction(db):
        start = MIDNIGHT - 12 * DAY
        put_samples(db, ((start + number, series, 1) for number in range(5_000) for series in range(1, 51)))
    path = os.path.join(data, database.NAME)
    with database.writer(data) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    before = os.path.getsize(path)
    run(data, NOW)

    assert os.path.getsize(path) < before / 2
