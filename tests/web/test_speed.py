"""What keeps pages fast, in counts that no machine changes: rows read, points drawn, frames made, answers kept; and that a
kept answer is never another reader's."""

import itertools
import os
import re
import sys
from collections.abc import Iterator

import pytest

from alerts import chart
from archive import database, incidents, load, pack, postgresql, read, rolled, rollup, slices
from tests import cycles
from tests.engines import analyze, plan, put_samples, watched
from tests.web import site
from tests.web.site import NOW, Clock
from web import cards, periods
from web.words import spoken

HOUR, DAY, YEAR = 3600, 86_400, 365 * 86_400
MIDNIGHT = NOW - NOW % DAY


# --- an answer that is kept --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = site.filled(str(tmp_path_factory.mktemp("speed") / "data"), 30, cpu=0.97, disk=0.93)
    site.add_person(path)
    site.add_person(path, "reader", "reader")
    return path


def fresh(path: str, language: str, who: str, prefix: str) -> str:
    """The part that is kept, from an application that has kept nothing."""
    return answer(site.site(path, wsgi=True).test_client(), language, who, prefix)


def answer(client, language: str, who: str, prefix: str) -> str:  # type: ignore[no-untyped-def]
    if who:
        site.log_in(client, who)
    headers = {"Accept-Language": language, "X-Forwarded-Host": "127.0.0.1"}
    found = client.get("/fragment", headers=headers, environ_overrides={"SCRIPT_NAME": prefix})
    assert found.status_code == 200, (found.status, language, who)
    return found.text


def test_a_kept_answer_is_never_another_readers(data: str) -> None:
    """Each combination, asked after every other of one application, is what a new application gives it."""
    readers = list(itertools.product(("fr", "en"), ("admin", "reader"), ("", "/vigie")))
    alone = {reader: fresh(data, *reader) for reader in readers}
    assert len(set(alone.values())) >= 4  # language and place differ at least
    one = site.site(data, wsgi=True)
    for first, second in itertools.permutations(readers, 2):
        assert answer(one.test_client(), *first) == alone[first]
        assert answer(one.test_client(), *second) == alone[second]


def test_a_kept_answer_has_no_theme_in_it(data: str) -> None:
    """A theme is the page's, around the kept part; were it in it, a reader would get another's."""
    client = site.site(data).test_client()
    site.log_in(client)
    part = client.get("/fragment").text
    for theme in ("dark", "light", "auto"):
        client.set_cookie("vigie-theme", theme)
        assert client.get("/fragment").text == part
    assert "data-theme" not in part


def test_a_kept_answer_is_of_this_cycle_only(tmp_path: object) -> None:
    path, clock = site.filled(f"{tmp_path}/data", 30, cpu=0.2), Clock()
    client = site.site(path, clock).test_client()
    before = client.get("/fragment").text
    site.judged(path, 1, NOW + 60, cpu=0.4)
    clock.at = NOW + 60
    after = client.get("/fragment").text

    assert after != before
    assert after == site.site(path, clock).test_client().get("/fragment").text


class Opened:
    """Counts the databases that this process opens, through Python's own audit of it."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.on = False
        sys.addaudithook(self)

    def __call__(self, event: str, found: tuple[object, ...]) -> None:
        if self.on and event == "sqlite3.connect":
            self.names.append(str(found[0]))

    def ask(self, what: str, data: str) -> None:
        """A connection to rows that are elsewhere."""
        if self.on:
            self.names.append(f"{what} of {data}")


@pytest.fixture(scope="module")
def opened() -> Iterator[Opened]:
    found = Opened()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("reader", "writer"):
            real = getattr(postgresql, name)
            patch.setattr(
                postgresql,
                name,
                lambda data, *more, name=name, real=real: (found.ask(name, data), real(data, *more))[1],
            )
        yield found


def test_a_kept_page_opens_no_database_until_a_row_is_written(tmp_path: object, opened: Opened) -> None:
    path, clock = site.filled(f"{tmp_path}/data", 30, cpu=0.2), Clock()
    client = site.site(path, clock).test_client()
    client.get("/")
    opened.names.clear()
    opened.on = True
    kept = client.get("/")
    assert opened.names == []
    clock.at = NOW + 5 * 60  # the minute is another, and no cycle came: the words of the state follow the clock alone
    stale = client.get("/fragment").text
    opened.on = False
    site.judged(path, 1, NOW + 360, cpu=0.4)
    clock.at = NOW + 360

    assert kept.status_code == 200
    assert "État inconnu" in stale
    assert "État inconnu" not in client.get("/fragment").text


def test_texts_that_wait_while_all_is_calm_are_seen_by_a_page_that_is_kept(tmp_path: object) -> None:
    """The minute's path leaves texts in the spool while no level is near; a reader sees them all the same."""
    path, clock = site.filled(f"{tmp_path}/data", 30, cpu=0.2), Clock()
    client = site.site(path, clock).test_client()
    before = client.get("/fragment").text
    os.makedirs(f"{path}/run", exist_ok=True)
    with open(f"{path}/run/{database.CALM}", "w", encoding="ascii") as file:
        file.write("")
    cycles.write(path, NOW + 60, cycles.machine(NOW + 60, cpu=0.55))

    assert client.get("/fragment").text != before
    with database.reader(path) as db:
        newest = read.last_cycle(db, 1)
    assert newest is not None
    assert newest.at == NOW + 60


# --- what is drawn -----------------------------------------------------------------------------------------------------


def test_the_cards_of_the_first_page_share_their_frames_and_have_few_points(data: str) -> None:
    client = site.site(data).test_client()
    site.log_in(client)
    chart.frame_of.cache_clear()
    page = client.get("/").text
    charts = len(re.findall(r'class="v-chart v-(?:card|narrow)"', page))
    made = chart.frame_of.cache_info()

    assert charts >= 6
    assert made.misses <= charts // 2 + 1
    for line in re.findall(r'class="v-line"[^>]* d="([^"]*)"', page) + re.findall(r' d="([^"]*)" class="v-line"', page):
        assert len(re.findall(r"-?\d*\.?\d+", line)) <= 2 * (cards.POINTS + 2)


@pytest.mark.parametrize("most", [1, 60, 120, 370])
def test_a_coarse_period_holds_the_whole_one_in_at_most_so_many_points(most: int) -> None:
    told = spoken("fr", "Europe/Paris")
    for key in periods.NAMED:
        whole = periods.parse({"period": key}, NOW, NOW - 3 * YEAR, told)
        found = periods.coarse(whole, most)
        assert found.end >= whole.end
        assert found.start <= whole.start + found.step
        assert (found.end - found.start) // found.step <= most + 1
        assert found.start % found.step == found.end % found.step == 0


# --- what is read ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ten_years(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One line, an hourly span for ten years and a sample a minute for three days, as upkeep leaves them."""
    path = str(tmp_path_factory.mktemp("years") / "data")
    site.folder(path)
    cycles.archive(path, NOW, {"load": "load_average 1\n"})
    with database.writer(path) as db, database.transaction(db):
        line = read.series(db, 1, "load_average")[0].id
        first = MIDNIGHT - 10 * YEAR
        rollup.store(db, 1, line, HOUR, [(at, 1, 9, 300, 60) for at in range(first, MIDNIGHT, HOUR)])
        rollup.store(db, 1, line, 300, [(at, 1, 9, 25, 5) for at in range(MIDNIGHT - 40 * DAY, MIDNIGHT, 300)])
        rollup.reached(db, 1, MIDNIGHT, NOW)
        for day in range(first, first + 20 * DAY, DAY):
            found = [(day + n * 60, 5) for n in range(1440)]
            pack.put(db, (1, line, day, len(found), pack.encode(found)))
        times = [MIDNIGHT - 2 * DAY + n * 60 for n in range(2 * 1440 + (NOW - MIDNIGHT) // 60)]
        put_samples(db, ((at, line, 5) for at in times))
        analyze(db)
    slices.repeat(path, lambda db, spent: rollup.roll(db, 1, NOW, 10_000))
    slices.pack_old(path, 1, MIDNIGHT - 2 * DAY, NOW)
    return path


def rows_read(path: str, key: str) -> tuple[int, int]:
    """(points of a graph over this period, rows and packed spans read for it)."""
    told = spoken("fr", "UTC")
    with database.reader(path) as db:
        line = read.series(db, 1, "load_average")[0]
        period = periods.parse({"period": key}, NOW, MIDNIGHT - 10 * YEAR, told)
        points = read.points(db, 1, line, period.start, period.end, period.step)
        level = max((span for span in read.ROLLED if period.step % span == 0), default=0)
        count = 0
        for span, first, last in rollup.pieces(db, 1, period.start, period.end, level):
            if not span:
                count += len(pack.every(db, 1, line.id, first, last - 1))
                continue
            count += db.execute(
                "SELECT count(*) FROM rollup WHERE host=1 AND series=? AND step=? AND at >= ? AND at < ?",
                (line.id, span, first, last),
            ).fetchone()[0]
            packed = rolled.read_by(db, 1, line.id, span, first, last, period.step)
            count += sum(len(found.at) for _size, found in packed)
    return len(points), count


@pytest.mark.parametrize(("key", "a_point"), [("1h", 1), ("24h", 1), ("7d", 1), ("30d", 1), ("1y", 1), ("all", 14)])
def test_a_graph_reads_few_rows_whatever_its_period(ten_years: str, key: str, a_point: int) -> None:
    points, rows = rows_read(ten_years, key)

    assert 20 < points <= chart.MOST
    # Finer than a point: today's 5 minutes, or the hours of a stretch that is not over; samples since the last whole hour.
    finer = {"7d": 288, "30d": 18 * 24}.get(key, 24)
    assert rows <= points * a_point + finer + 120


def test_what_a_graph_reads_is_found_by_its_key(ten_years: str) -> None:
    """No statement of a graph or of the newest values walks a table: ten years cost what one does."""
    with database.reader(ten_years) as db:
        line = read.series(db, 1, "load_average")[0]
        with watched(db) as seen:
            for step in (60, 300, HOUR, DAY):
                read.points(db, 1, line, NOW - 100 * step, NOW, step)
            read.latest(db, 1)
            read.rhythm(db, 1)
            read.last_cycle(db, 1)
        said = seen.statements
        walk = r"scan (on )?(sample|rollup|packed|packed_long|rolled|cycle|packed_cycle)\b"
        walks = [
            (text, row)
            for text in said
            if text.lstrip().upper().startswith("SELECT")
            for row in plan(db, text)
            if re.search(walk, row, re.IGNORECASE) and "Index" not in row and "Bitmap Heap" not in row
        ]

    assert said
    assert walks == []


@pytest.mark.sqlite("SQLite's own steps are counted")
def test_the_steps_that_a_cycle_costs_do_not_grow_with_the_years(ten_years: str, tmp_path: object) -> None:
    """Virtual machine steps of SQLite while one cycle is loaded: beside ten years, and beside none."""

    def steps(path: str) -> int:
        cycles.write(path, NOW + 60, {"load": "load_average 2\n"})
        count = 0

        def counted() -> int:
            nonlocal count
            count += 1
            return 0

        with database.writer(path) as db:
            db.set_progress_handler(counted, 1)
            load.load(path, db, NOW + 60)
            db.set_progress_handler(None, 1)
        return count

    young = str(tmp_path) + "/data"
    site.folder(young)
    cycles.archive(young, NOW, {"load": "load_average 1\n"})

    assert steps(ten_years) <= steps(young) * 1.2


# --- long lists --------------------------------------------------------------------------------------------------------


def test_many_users_are_shown_a_hundred_at_a_time(tmp_path: object) -> None:
    path = site.folder(f"{tmp_path}/data")
    lines = "".join(f'user_processes{{user="u{n:03}"}} {n + 1}\n' for n in range(250))
    for number in range(2):
        cycles.write(path, NOW - 60 + number * 60, {"processes": f"# TYPE user_processes gauge\n{lines}"})
    cycles.load_all(path, NOW)
    client = site.site(path).test_client()
    seen: list[str] = []
    url = "/users?sort=processes"
    for _ in range(3):
        page = client.get(url).text
        table = page[page.index("<tbody>") : page.index("</tbody>")]
        seen += re.findall(r'href="/users/(u\d+)"', table)
        links = [
            link.replace("&amp;", "&") for link in re.findall(r'href="(/users\?sort=processes&amp;skip=\d+)"', page)
        ]
        url = links[-1]

    assert seen == [f"u{n:03}" for n in reversed(range(250))]
    assert client.get("/users?skip=x").status_code == 400
    assert client.get("/users?skip=5000").status_code == 200


def test_a_year_of_incidents_is_a_list_of_twenty_and_a_few_bands(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 30, cpu=0.2)
    with database.writer(path) as db, database.transaction(db):
        line = read.series(db, 1, "cpu_busy_seconds_total")[0]
        db.execute("UPDATE series SET first_at=? WHERE id=?", (NOW - 364 * DAY, line.id))
        for number in range(900):
            at = NOW - (number + 1) * 30_000
            incidents.insert(
                db,
                incidents.Incident(0, 1, "threshold", line.metric.name, line.labels, line.id, "resolved", "warning", at, None, at + 300,
                                   None, at + 4000, "cleared", at + 4000, 0.9, 0.9, at, 0, None, "", None, None, "", ""),
            )  # fmt: skip
    client = site.site(path).test_client()
    page = client.get("/graphs/cpu_busy_seconds_total?period=1y&lang=en").text

    assert len(set(re.findall(r'href="/incidents/(\d+)"', page))) == 20
    assert "900 incidents" in page  # the sentence counts every one
    assert "900 in this period" in page
    assert page.count('class="v-warning-band"') <= 3 * 2 * 300
    link = f"/incidents?line={line.id}"
    assert f'href="{link}"' in page

    # That page has them all, fifty at a time, and no other line's.
    seen: list[str] = []
    while link:
        part = client.get(link.replace("&amp;", "&")).text
        seen += re.findall(r'href="/incidents/(\d+)"', part)
        found = re.search(r'href="(/incidents\?before=\d+&amp;line=\d+)"', part)
        link = found[1] if found else ""
    assert len(seen) == len(set(seen)) == 900
    assert client.get("/incidents?line=99999").status_code == 404
    assert client.get("/incidents?line=x").status_code == 400
    assert re.findall(r'href="/incidents/\d+"', client.get(f"/incidents?line={line.id + 1}").text) == []
