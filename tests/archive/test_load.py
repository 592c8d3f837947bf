"""Texts become rows exactly once, whatever comes late, twice, torn or hostile."""

import json
import os
import sqlite3
import subprocess
import sys

import pytest

from archive import database, load, loading, read
from tests import cycles
from tests.conftest import NOW
from tests.cycles import BOOT, Failed, archive, dump, load_all, machine, write
from tests.engines import CHILD, ON_POSTGRESQL

MINUTE = 60


def values(data, name):
    """{labels: [(at, value)...]} of one metric."""
    with database.reader(data) as db:
        return {
            line.labels: [tuple(s) for s in read.samples(db, 1, line, 0, 2**40)] for line in read.series(db, 1, name)
        }


def test_one_cycle_becomes_rows(data):
    loaded = archive(data, NOW, machine(NOW, disk=0.4))

    assert len(loaded) == 1
    assert loaded[0].values["disk_used_ratio", '{"mount":"/"}'] == 0.4
    assert values(data, "disk_used_ratio")['{"mount":"/"}'] == [(NOW, 0.4)]
    assert loaded[0].samples == len(dump(data, "sample")["sample"])
    assert os.listdir(os.path.join(data, "spool")) == []
    assert os.path.exists(os.path.join(data, "journal", "2026-11-21", f"{NOW}.prom"))


def test_a_counter_becomes_a_rate_by_the_uptime_of_its_own_section(data):
    counter = "# TYPE net_bytes_total counter\nnet_bytes_total{} %d\n"
    for number, (raw, up) in enumerate([(1000, 500.0), (7000, 560.0), (7000, 620.0), (7600, 740.0)]):
        archive(data, NOW + number * MINUTE, {"net": counter.replace("{}", "") % raw}, uptime=up)

    assert values(data, "net_bytes_total") == {"{}": [(NOW + 60, 100), (NOW + 120, 0), (NOW + 180, 5)]}


def test_a_counter_that_restarted_gives_no_sample_then_goes_on(data):
    for number, raw in enumerate([1000, 1600, 30, 90]):
        archive(data, NOW + number * MINUTE, {"net": f"# TYPE net_bytes_total counter\nnet_bytes_total {raw}\n"})

    assert values(data, "net_bytes_total")["{}"] == [(NOW + 60, 10), (NOW + 180, 1)]


def test_a_new_boot_gives_no_rate_across_it_and_one_event(data):
    text = "# TYPE net_bytes_total counter\nnet_bytes_total %d\n"
    archive(data, NOW, {"net": text % 1000}, boot="one", uptime=9000)
    archive(data, NOW + 60, {"net": text % 5000}, boot="two", uptime=20)
    archive(data, NOW + 120, {"net": text % 5600}, boot="two", uptime=80)

    assert values(data, "net_bytes_total")["{}"] == [(NOW + 120, 10)]
    assert [row[2:4] for row in dump(data, "event")["event"]] == [(NOW + 40, "boot")]


def test_a_machine_that_cannot_tell_its_boots_apart_still_gets_no_false_rate(data):
    text = "# TYPE net_bytes_total counter\nnet_bytes_total %d\n"
    archive(data, NOW, {"net": text % 1000}, boot="unknown", uptime=9000)
    archive(data, NOW + 60, {"net": text % 5000}, boot="unknown", uptime=20)
    archive(data, NOW + 120, {"net": text % 5600}, boot="unknown", uptime=80)

    assert values(data, "net_bytes_total")["{}"] == [(NOW + 120, 10)]


def test_d03_the_same_text_twice_changes_nothing(data):
    archive(data, NOW, machine(NOW))
    before = dump(data)

    assert archive(data, NOW, machine(NOW)) == []

    assert dump(data) == before
    assert os.listdir(os.path.join(data, "spool")) == []
    assert len(os.listdir(os.path.join(data, "journal", "2026-11-21"))) == 1


def test_d01_killed_between_the_commit_and_the_journal_it_is_loaded_once(data):
    path = write(data, NOW, machine(NOW))
    with open(path, "rb") as file:
        raw = file.read()
    load_all(data, NOW)
    before = dump(data)
    os.remove(os.path.join(data, "journal", "2026-11-21", f"{NOW}.prom"))
    with open(path, "wb") as file:  # as if the rename had not been
        file.write(raw)

    assert load_all(data, NOW) == []

    assert dump(data) == before
    assert os.path.exists(os.path.join(data, "journal", "2026-11-21", f"{NOW}.prom"))


def test_texts_out_of_order_keep_their_own_time_and_make_no_negative_rate(data):
    for number in (0, 1, 3, 4):
        archive(data, NOW + number * 60, machine(NOW + number * 60, cpu=0.25))
    late = archive(data, NOW + 120, machine(NOW + 120, cpu=0.25))
    archive(data, NOW + 300, machine(NOW + 300, cpu=0.25))

    assert [cycle.at for cycle in late] == [NOW + 120]
    rates = values(data, "cpu_busy_seconds_total")["{}"]
    assert [at for at, _ in rates] == [NOW + n * 60 for n in (1, 3, 4, 5)]
    assert all(value == pytest.approx(0.25, abs=0.001) for _, value in rates)
    assert [at for at, _ in values(data, "uptime_seconds")["{}"]] == [NOW + n * 60 for n in range(6)]
    with database.reader(data) as db:
        assert read.last_cycle(db, 1).at == NOW + 300


def test_a_late_text_does_not_undo_what_is_known_since(data):
    archive(data, NOW + 60, {"users": 'login_info{user="a"} 1\n', "x": Failed("broken")})
    archive(data, NOW, {"users": 'login_info{user="b"} 1\n', "x": "a 1\n"})

    with database.reader(data) as db:
        assert [fact.label("user") for fact in read.facts(db, 1, "login_info")] == ["a"]
        assert {probe.name: probe.state for probe in read.probes(db, 1)} == {"users": "ok", "x": "failed"}


def test_d20_a_clock_ten_years_ahead_for_one_run_is_not_taken_for_the_present(data):
    far = NOW + 3650 * 86_400
    cycles.fill(data, NOW, 10)
    archive(data, far, machine(NOW + 600, load=9), uptime=NOW + 600 - cycles.BOOTED)
    for number in (11, 12, 13):
        archive(data, NOW + number * 60, machine(NOW + number * 60, load=1))

    with database.reader(data) as db:
        last = read.last_cycle(db, 1)
        latest = read.latest(db, 1)
        line = next(line for line in read.series(db, 1, "load_average") if line.label("window") == "1m")
        assert last.at == NOW + 13 * 60
        assert latest[line.id] == (NOW + 13 * 60, 1)
        assert read.rhythm(db, 1) == 60
    # Nothing was thrown away either.
    assert far in [row[1] for row in dump(data, "cycle")["cycle"]]


def test_d20_a_text_that_waits_with_a_future_time_is_set_aside_with_its_reason(data):
    write(data, NOW + 3661, machine(NOW))
    write(data, NOW + 3599, machine(NOW + 3599))

    assert [cycle.at for cycle in load_all(data, NOW)] == [NOW + 3599]

    with open(os.path.join(data, "quarantine", f"{NOW + 3661}.prom.reason"), encoding="utf-8") as file:
        assert "3661 seconds ahead of the clock" in file.read()


def test_d21_a_clock_set_back_by_an_hour_loses_no_cycle(data):
    for number in range(5):
        archive(data, NOW + number * 60, machine(NOW + number * 60))
    for number in range(5):  # the same minutes once more, an hour of uptime later
        up = NOW + 3600 + number * 60 - cycles.BOOTED
        archive(data, NOW + number * 60, machine(NOW + 3600 + number * 60), uptime=up)

    assert len(dump(data, "cycle")["cycle"]) == 10
    rates = [value for _, value in values(data, "cpu_busy_seconds_total")["{}"]]
    assert all(value == pytest.approx(0.2, abs=0.001) for value in rates)
    assert len(os.listdir(os.path.join(data, "journal", "2026-11-21"))) == 10
    assert not os.listdir(os.path.join(data, "quarantine"))
    with database.reader(data) as db:
        assert read.last_cycle(db, 1).uptime == NOW + 3600 + 240 - cycles.BOOTED


@pytest.mark.parametrize(
    "start", [1_793_494_800 - 7200, 1_806_195_600 - 7200], ids=["25 October 2026", "28 March 2027"]
)
def test_d22_the_nights_of_the_clock_change_have_every_minute_once(data, monkeypatch, start):
    import time

    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    try:
        for number in range(240):
            write(data, start + number * 60, {"load": f"load_average {number}\n"}, uptime=1000.0 + number * 60)
        load_all(data, start + 240 * 60)
        with database.reader(data) as db:
            line = read.series(db, 1, "load_average")[0]
            hours = read.points(db, 1, line, start, start + 4 * 3600, 3600)
        assert [point.count for point in hours] == [60, 60, 60, 60]
        assert [at for at, _ in values(data, "load_average")["{}"]] == [start + n * 60 for n in range(240)]
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


@pytest.mark.parametrize(
    "at", [1_835_308_800, 2_082_758_399, 2**31 + 60, 951_782_400], ids=["29 February", "year's end", "2^31", "2000"]
)
def test_d23_any_date_is_a_date(data, at):
    archive(data, at, {"load": "load_average 1\n"}, uptime=100)

    assert values(data, "load_average")["{}"] == [(at, 1)]


def test_facts_begin_and_end_with_the_text_that_says_them(data):
    two = 'login_info{user="a",tty="1"} 1\nlogin_info{user="b",tty="2"} 1\n'
    archive(data, NOW, {"users": two})
    archive(data, NOW + 60, {"users": Failed("no answer")})
    archive(data, NOW + 120, {"load": "load_average 1\n"})  # not due in this cycle
    with database.reader(data) as db:
        assert [(f.label("user"), f.gone_at) for f in read.facts(db, 1, "login_info")] == [("a", None), ("b", None)]

    archive(data, NOW + 180, {"users": 'login_info{user="b",tty="2"} 1\n'})
    archive(data, NOW + 240, {"users": two})

    with database.reader(data) as db:
        rows = [(f.label("user"), f.first_at, f.gone_at) for f in read.facts(db, 1, "login_info", gone_since=0)]
        assert rows == [("a", NOW, NOW + 180), ("a", NOW + 240, None), ("b", NOW, None)]


def test_two_probes_that_say_the_same_fact_do_not_fight_over_it(data):
    for number in range(4):
        said = {"a": 'x_info{n="1"} 1\n', "b": 'x_info{n="2"} 1\n'}
        archive(data, NOW + number * 60, said)

    assert len(dump(data, "fact")["fact"]) == 1
    with database.reader(data) as db:
        states = {probe.name: (probe.state, probe.reason) for probe in read.probes(db, 1)}
    assert states["a"][0] == "ok"
    assert states["b"] == ("failed", "its text was refused: x_info: the probe a says it already")


def test_a_probe_that_got_another_name_keeps_its_facts(data):
    archive(data, NOW, {"who": 'login_info{user="a"} 1\n'})
    archive(data, NOW + 60, {"users": 'login_info{user="a"} 1\n'})
    archive(data, NOW + 120, {"users": 'login_info{user="c"} 1\n'})

    with database.reader(data) as db:
        rows = [(f.label("user"), f.first_at, f.gone_at) for f in read.facts(db, 1, "login_info", gone_since=0)]
    assert rows == [("a", NOW, NOW + 120), ("c", NOW + 120, None)]


def test_each_probe_is_measured_and_a_refused_text_says_why(data):
    archive(data, NOW, {"good": "a 1\nb_ratio 2\n", "bad": "a b c\n", "late": Failed("timed out after 10 s")})

    assert {k: v[0][1] for k, v in values(data, "probe_success").items()} == {
        '{"probe":"bad"}': 0, '{"probe":"good"}': 1, '{"probe":"late"}': 0,
    }  # fmt: skip
    assert values(data, "probe_rejected_samples") == {'{"probe":"good"}': [(NOW, 1)]}
    assert values(data, "probe_seconds")['{"probe":"late"}'] == [(NOW, 1)]
    with database.reader(data) as db:
        reasons = {probe.name: probe.reason for probe in read.probes(db, 1)}
    assert "its text was refused: line 1: 'a b c'" in reasons["bad"]
    assert reasons["late"] == "timed out after 10 s"


def test_the_lag_is_the_time_from_the_cycle_to_its_archiving(data):
    write(data, NOW, {"load": "load_average 1\n"})
    load_all(data, NOW + 90)

    assert values(data, "cycle_lag_seconds")["{}"] == [(NOW, 90)]


@pytest.mark.parametrize("name", ["probe_success", "cycle_lag_seconds", "probe_seconds", "probe_rejected_samples"])
def test_a_probe_cannot_speak_in_vigies_own_name(data, name):
    archive(data, NOW, {"evil": f'{name}{{probe="cpu"}} 1\n', "cpu": Failed("x")})

    assert values(data, "probe_success") == {'{"probe":"cpu"}': [(NOW, 0)], '{"probe":"evil"}': [(NOW, 0)]}


def test_a_metric_keeps_the_kind_and_scale_it_was_first_archived_with(data):
    archive(data, NOW, {"a": "things 2\n"})
    archive(data, NOW + 60, {"a": "# TYPE things counter\nthings 3\n"})

    assert values(data, "things")["{}"] == [(NOW, 2)]
    with database.reader(data) as db:
        assert "is archived as gauge, this text says counter" in read.probes(db, 1)[0].reason


def test_a_metric_takes_over_new_words_and_levels(data):
    archive(data, NOW, {"a": "# HELP x_ratio Old\n# WARN x_ratio > 0.5\nx_ratio 0.1\n"})
    archive(data, NOW + 60, {"a": "# HELP x_ratio New\n# WARN x_ratio > 0.6\nx_ratio 0.1\n"})

    with database.reader(data) as db:
        metric = read.metric(db, "x_ratio")
    assert metric.help == "New"
    assert json.loads(metric.shipped)["warning"] == 0.6


def test_p10_hostile_labels_are_stored_as_text(data):
    hostile = ["<script>alert(1)</script>", "'; DROP TABLE sample; --", "$(touch /tmp/x)", "\\u202e", "😀" * 50]
    text = "".join(f'disk_used_ratio{{mount="{name.replace(chr(92), chr(92) * 2)}"}} 0.5\n' for name in hostile)
    archive(data, NOW, {"disk": text})

    with database.reader(data) as db:
        assert {line.label("mount") for line in read.series(db, 1, "disk_used_ratio")} == set(hostile)


def test_p10_a_label_of_10_kb_fails_its_own_probe_alone(data):
    archive(data, NOW, {"disk": 'disk_used_ratio{mount="' + "x" * 10_240 + '"} 0.5\n', "load": "load_average 1\n"})

    assert values(data, "load_average")["{}"] == [(NOW, 1)]
    assert values(data, "probe_success")['{"probe":"disk"}'] == [(NOW, 0)]


def test_labels_that_change_at_every_cycle_do_not_fill_the_archive(data, monkeypatch):
    monkeypatch.setattr(loading, "MAX_SERIES", 50)
    for number in range(5):
        text = "".join(f'a{{n="{number}-{n}"}} 1\n' for n in range(30))
        archive(
            data,
            NOW + number * 60,
            {"evil": text, "load": "load_average 1\n"} if number else {"load": "load_average 1\n"},
        )

    assert len(dump(data, "series")["series"]) <= 50
    assert len(values(data, "load_average")["{}"]) == 5
    with database.reader(data) as db:
        assert next(probe for probe in read.probes(db, 1) if probe.name == "evil").rejected == 30


def test_a_counter_that_nobody_prints_any_more_is_forgotten_in_time(data):
    text = "# TYPE a_total counter\n"
    archive(data, NOW, {"a": text + "".join(f'a_total{{n="{n}"}} 1\n' for n in range(50))}, uptime=1000)
    archive(data, NOW + 60, {"a": text + 'a_total{n="0"} 1\n'}, uptime=1060)
    archive(data, NOW + 9 * 86_400, {"a": text + 'a_total{n="0"} 1\n'}, uptime=1000 + 9 * 86_400)

    assert len(json.loads(dump(data, "counter")["counter"][0][2])["raw"]) == 1


@pytest.mark.parametrize("huge", ["1e18", "1152921504606846976", "9223372036854775807", "1e300"])
def test_huge_numbers_are_stored_or_dropped_never_a_crash(data, huge):
    for number in range(2):
        archive(
            data, NOW + number * 60, {"a": f"x_bytes {huge}\n# TYPE y_total counter\ny_total {huge}\nload_average 1\n"}
        )

    assert len(values(data, "load_average")["{}"]) == 2


def test_a_duplicate_section_loads_what_came_first(data):
    body = cycles.spool_text(NOW, {"a": "load_average 1\n"})
    head = body[: body.index(b"# VIGIE lines=")]
    twice = head + head.replace(b"load_average 1", b"load_average 2")
    mark = f"# VIGIE lines=4 bytes={len(twice)} cycle={NOW} boot=x uptime=5\n".encode()
    with open(os.path.join(data, "spool", f"{NOW}.prom"), "wb") as file:
        file.write(twice + mark)

    load_all(data, NOW)

    assert values(data, "load_average")["{}"] == [(NOW, 1)]


def test_one_bad_file_never_stops_the_others(data):
    for number in range(6):
        path = write(data, NOW + number * 60, {"load": f"load_average {number}\n"})
        if number % 2:
            with open(path, "r+b") as file:
                file.truncate(20)

    assert [cycle.at for cycle in load_all(data, NOW + 300)] == [NOW, NOW + 120, NOW + 240]
    assert len([row for row in dump(data, "event")["event"] if row[3] == "quarantine"]) == 3


@pytest.mark.needs_root
def test_d15_a_text_of_another_owner_stays_in_the_spool_and_is_said_once(data):
    write(data, NOW, {"load": "load_average 1\n"})
    write(data, NOW + 60, {"load": "load_average 2\n"})

    def step():
        return [[cycle.at for cycle in load_all(data, NOW + 60)] for _ in range(3)]

    foreign = os.path.join(data, "spool", f"{NOW}.prom")
    os.chmod(foreign, 0o600)
    kept = os.stat(foreign)

    cycles.as_nobody(lambda: None, data)
    os.chown(foreign, kept.st_uid, kept.st_gid)

    assert cycles.as_nobody(step) == str([[NOW + 60], [], []])
    assert os.listdir(os.path.join(data, "spool")) == [f"{NOW}.prom"]
    assert [row[3:5] for row in dump(data, "event")["event"]] == [("spool", f"{NOW}.prom")]


def test_a_journal_that_cannot_be_written_loses_no_row_and_no_text(data):
    os.rmdir(os.path.join(data, "journal"))
    with open(os.path.join(data, "journal"), "w", encoding="ascii"):
        pass
    for number in range(2):
        write(data, NOW + number * 60, {"load": "load_average 1\n"})

    assert [cycle.at for cycle in load_all(data, NOW + 60)] == [NOW, NOW + 60]
    assert load_all(data, NOW + 60) == []
    os.unlink(os.path.join(data, "journal"))
    assert load_all(data, NOW + 60) == []

    assert os.listdir(os.path.join(data, "spool")) == []
    assert len(os.listdir(os.path.join(data, "journal", "2026-11-21"))) == 2
    assert len(dump(data, "cycle")["cycle"]) == 2


WRITER = (
    CHILD
    + """
from archive import database, load
data, now = sys.argv[1], int(sys.argv[2])
total = 0
for _ in range(40):
    with database.writer(data, 30.0) as db:
        total += len(load.load(data, db, now))
print(total)
"""
)


def test_d06_two_loaders_at_once_load_each_text_once(data):
    children = [
        subprocess.Popen([sys.executable, "-c", WRITER, data, str(NOW + 6000)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for number in range(60):
        write(data, NOW + number * 60, machine(NOW + number * 60))
    counts = [int(child.communicate(timeout=60)[0]) for child in children]
    counts.append(len(load_all(data, NOW + 6000)))

    assert sum(counts) == 60
    assert len(dump(data, "cycle")["cycle"]) == 60
    assert os.listdir(os.path.join(data, "spool")) == []


@pytest.mark.sqlite("bytes of the write-ahead log")
def test_a_cycle_of_60_series_takes_few_statements_and_few_bytes(data, capsys):
    cycles.fill(data, NOW - 1200, 10)
    said = []
    write(data, NOW, machine(NOW))
    with database.locked(data):
        db = database._open(data, "rw")
        db.set_trace_callback(said.append)
        before = (
            os.path.getsize(os.path.join(data, "vigie.db-wal"))
            if os.path.exists(os.path.join(data, "vigie.db-wal"))
            else 0
        )
        load.load(data, db, NOW)
        grown = os.path.getsize(os.path.join(data, "vigie.db-wal")) - before
        db.set_trace_callback(None)
        series = db.execute("SELECT count(*) FROM series").fetchone()[0]
        db.close()
    with capsys.disabled():
        print(f"\n  one cycle, {series} series: {len(said)} statements, {grown} bytes of WAL")

    assert 55 <= series <= 90
    writes = [one for one in said if one.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE"))]
    assert len(writes) - series <= 12  # a row a sample, a row a probe, the cycle, the counters
    assert grown < 80_000


def test_ten_times_the_series_cost_about_ten_times_the_processor(data):
    """Both in one run, of this thread alone: a search through all lines for each line would be a hundred times."""
    import time

    def text(prefix, many):
        return f"# TYPE {prefix}_total counter\n" + "".join(f'{prefix}_total{{n="{n}"}} {n}\n' for n in range(many))

    def cost(prefix, many, at):
        archive(data, at, {prefix: text(prefix, many)})
        write(data, at + 60, {prefix: text(prefix, many)})
        began = time.thread_time()
        assert load_all(data, at + 60)[0].samples >= many
        return time.thread_time() - began

    small = min(cost("small", 200, NOW + 600 * turn) for turn in range(3))
    assert cost("big", 2000, NOW + 6000) < 30 * small


@pytest.mark.sqlite("the file may not grow")
def test_a_full_database_keeps_the_text_and_the_rows(data):
    archive(data, NOW, machine(NOW))
    before = dump(data, "sample", "cycle", "fact", "counter")
    write(data, NOW + 60, machine(NOW + 60))
    for number in range(100):
        write(data, NOW + 60 + number, {"x": "".join(f'a{{n="{number}-{n}"}} 1\n' for n in range(100))})

    def load_without_room(db):
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={pages}")
        load.load(data, db, NOW + 3000)

    with pytest.raises(database.DatabaseError, match="full"), database.writer(data) as db:
        load_without_room(db)

    assert set(before["cycle"]) <= set(dump(data, "cycle")["cycle"])
    waiting = len(os.listdir(os.path.join(data, "spool")))
    assert waiting > 0
    assert len(load_all(data, NOW + 3000)) == waiting
    with database.reader(data) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_the_lines_of_a_cycle_are_the_same_whatever_the_boot_says(data):
    loaded = archive(data, NOW, machine(NOW), boot="")

    assert loaded[0].boot == ""
    assert BOOT not in json.dumps(dump(data, "cycle")["cycle"])


def test_a_column_takes_values_of_its_type_alone(data):
    kind = sqlite3.DatabaseError if ON_POSTGRESQL else sqlite3.IntegrityError
    with database.writer(data) as db, pytest.raises(kind, match=r"bigint|INTEGER"):
        db.execute("INSERT INTO sample VALUES (1, 'x', 1, 1)")
