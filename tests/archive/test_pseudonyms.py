"""Names as VIGIE_USERS wants them, from a probe's text to rows and journal."""

import os
import re
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import database, pseudonyms, read, spool, text
from archive.pseudonyms import Names, pseudonym
from tests import cycles
from tests.conftest import NOW
from tests.engines import bytes_of

SECRET = b"k" * 32
ALICE = pseudonym("alice", SECRET)
HIDE = Names(lambda name: pseudonym(name, SECRET), lambda _raw: True)
OFF = Names(lambda _name: None, lambda _raw: True)
SAID = (
    'login_info{user="alice",tty="pts/0",from="192.0.2.7",since="5"} 1\n'
    'account_info{user="alice",uid="1000",home="/home/alice",shell="/bin/sh"} 1\n'
    '# TYPE user_cpu_seconds_total counter\nuser_cpu_seconds_total{user="alice"} 5\nusers_logged_in 1\n'
)


def settled(data: str, mode: str, now: int = NOW) -> None:
    from archive import privacy

    with database.writer(data) as db:
        privacy.settle(db, data, mode, now)


def everything(data: str) -> bytes:
    """All bytes under the data folder, compressed days unpacked, and those of a database elsewhere."""
    import lzma

    found = bytes_of(data)
    for folder, _folders, names in os.walk(data):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                raw = file.read()
            found += lzma.decompress(raw) if name.endswith(".xz") else raw
    return found


@given(st.text(min_size=1), st.binary(min_size=32, max_size=32))
def test_a_pseudonym_is_stable_tells_nothing_and_stays_when_it_passes_again(name: str, secret: bytes) -> None:
    found = pseudonym(name, secret)
    assert pseudonym(found, secret) == found
    if name != "root" and pseudonym(name, secret) != name:
        assert re.fullmatch("user-[0-9a-f]{12}", found)
        assert pseudonym(name, secret[::-1] + b"x") != found


def test_a_user_who_calls_himself_like_a_pseudonym_is_given_another() -> None:
    assert pseudonym("user-0123456789ab", SECRET) != "user-0123456789ab"


def test_root_is_an_account_and_no_person() -> None:
    assert pseudonym("root", SECRET) == "root"
    assert OFF.of("root") is None


def test_the_key_is_made_once_and_closed_to_others(tmp_path: object) -> None:
    data = str(tmp_path)
    first = pseudonyms.key(data)
    assert pseudonyms.key(data) == first
    assert stat.S_IMODE(os.stat(os.path.join(data, pseudonyms.KEY)).st_mode) == 0o600
    with open(os.path.join(data, pseudonyms.KEY), "w", encoding="ascii") as file:
        file.write("short\n")
    with pytest.raises(OSError, match="no key of 64"):
        pseudonyms.key(data)


@pytest.mark.parametrize("names", [HIDE, OFF], ids=["pseudonyms", "off"])
def test_what_is_kept_of_a_text_is_what_a_covered_text_says(names: Names) -> None:
    """The journal's text, loaded again, gives the rows that the first one gave."""
    applied = pseudonyms.applied(text.parse(SAID.encode()), names)
    covered = pseudonyms.section(SAID.encode(), names)
    assert b"alice" not in covered
    assert b"192.0.2.7" not in covered
    again = pseudonyms.applied(text.parse(covered), names)
    assert (again.samples, again.facts) == (applied.samples, applied.facts)
    assert [sample.metric for sample in applied.samples if sample.metric == "users_logged_in"]


def test_with_names_nothing_changes() -> None:
    parsed = text.parse(SAID.encode())
    assert pseudonyms.applied(parsed, None) is parsed


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=30), min_size=1, max_size=5, unique=True))
def test_whatever_a_name_is_made_of_it_is_covered(names: list[str]) -> None:
    spelled = [name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for name in names]
    said = "".join(f'user_processes{{user="{name}"}} {number}\n' for number, name in enumerate(spelled)).encode()
    try:
        before = text.parse(said)
    except text.TextError:
        assert pseudonyms.section(said, HIDE) == pseudonyms.LEFT_OUT
        return
    after = text.parse(pseudonyms.section(said, HIDE))
    assert [one.value for one in after.samples] == [one.value for one in before.samples]
    assert [dict(one.labels)["user"] for one in after.samples] == [
        pseudonym(dict(one.labels)["user"], SECRET) for one in before.samples
    ]


def test_a_text_that_cannot_be_read_is_left_out_and_refused_again() -> None:
    covered = pseudonyms.section(b'broken{user="alice"\n', HIDE)
    assert b"alice" not in covered
    with pytest.raises(text.TextError):
        text.parse(covered)
    assert pseudonyms.section(b"broken{\n", Names(lambda name: name, lambda _raw: False)) == b"broken{\n"


def test_two_log_ins_that_differ_in_what_is_hidden_become_one() -> None:
    said = b'login_info{user="a",tty="1",from="x"} 1\nlogin_info{user="a",tty="1",from="y"} 1\n'
    assert pseudonyms.section(said, HIDE).count(b"login_info") == 1


def test_a_covered_cycle_is_a_whole_cycle() -> None:
    raw = cycles.spool_text(NOW, {"users": SAID, "cpu": "cpu_cores 4\n", "homes": cycles.Failed("no"), "empty": ""})
    covered = pseudonyms.covered(raw, HIDE)
    assert covered != raw
    before, after = spool.parse(raw), spool.parse(covered)
    assert [(one.probe, one.status, one.uptime) for one in after.sections] == [
        (one.probe, one.status, one.uptime) for one in before.sections
    ]
    assert pseudonyms.covered(covered, HIDE) == covered
    assert pseudonyms.covered(b"cut", HIDE) == b"cut"


@pytest.mark.parametrize("mode", ["pseudonyms", "off"])
def test_neither_database_nor_journal_nor_latest_holds_a_name(data: str, mode: str) -> None:
    from alerts import cycle
    from archive import settings

    config = settings.load({"VIGIE_DATA": data, "VIGIE_USERS": mode})
    for number in range(3):
        said = {**cycles.machine(NOW + number * 60), "who": SAID, "bad": 'x{user="alice" 1\n'}
        cycles.write(data, NOW + number * 60, said)
        cycle.run(config, NOW + number * 60)
    found = everything(data)
    for name in (b"alice", b"user0", b"192.0.2"):
        assert name not in found, name
    with database.reader(data) as db:
        lines = {line.label("user") for line in read.series(db, 1, "user_memory_bytes")}
        assert len(lines) == (8 if mode == "pseudonyms" else 0)
        assert read.facts(db, 1, "login_info") if mode == "pseudonyms" else not read.facts(db, 1, "login_info")
        assert read.latest(db, 1)
    assert os.listdir(os.path.join(data, "spool")) == []


def test_a_kill_between_the_commit_and_the_journal_leaves_no_name_behind(data: str) -> None:
    settled(data, "pseudonyms")
    path = cycles.write(data, NOW, {"users": SAID})
    with database.writer(data) as db, database.transaction(db):
        from archive.loading import Loading

        Loading(db, 1, spool.parse(spool.read(path)), NOW).run()
    assert b"alice" in everything(data)  # the text waits still
    assert cycles.load_all(data, NOW) == []
    assert b"alice" not in everything(data)


def test_the_minutes_path_loads_nothing_heavy_while_names_are_kept(data: str) -> None:
    """tests/test_house.py looks at the whole path; here, that `of` gives nothing to do."""
    with database.reader(data) as db:
        assert pseudonyms.of(db) is None


@pytest.mark.parametrize("mode", ["pseudonyms", "off"])
def test_a_rebuild_from_old_texts_hides_names_too(data: str, mode: str) -> None:
    from archive import rebuild

    cycles.archive(data, NOW, {"users": SAID, "load": "load1 1\n"})
    with database.writer(data) as db:
        with database.transaction(db):
            for table in ("sample", "cycle", "counter", "fact", "series"):
                db.execute(f"DELETE FROM {table}")
        from archive import privacy

        privacy.settle(db, data, mode, NOW)
        assert rebuild.replay(data, db, NOW + 60) == (1, [])
    assert "alice" not in repr(cycles.dump(data))
