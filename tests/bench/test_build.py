"""The benchmark's year: days that are stored at once hold what texts of the same minutes would have brought."""

import os

from archive import database, read
from bench import build, year
from bench.build import END
from bench.year import DAY


def folder(path: str) -> str:
    os.makedirs(path, mode=0o700)
    return path


def stored(data: str, start: int, end: int) -> dict[tuple[str, str], list[tuple[int, int]]]:
    with database.reader(data) as db:
        return {
            (line.metric.name, line.labels): [
                (one.at, round(one.value * line.metric.scale)) for one in read.samples(db, 1, line, start, end - 1)
            ]
            for line in read.series(db, 1)
        }


def test_a_day_stored_at_once_is_the_day_of_its_texts(tmp_path: object) -> None:
    first = END - 2 * DAY
    at_once, by_texts = folder(f"{tmp_path}/at-once"), folder(f"{tmp_path}/by-texts")
    build.build(at_once, 2, 1, most=5)
    build.start(by_texts, first - 120)
    build.texts(by_texts, first, 0, year.Machine(), build.Teller(build.scales()), 120)
    assert build.settle(by_texts, END + DAY) == []  # packed by upkeep itself
    with database.reader(by_texts) as db:
        assert db.execute("SELECT count(*) FROM packed WHERE day=?", (first,)).fetchone()[0] >= len(year.SPECS)
    # A counter's first rate has no text before it, so the first minutes are left out.
    window = (first + DAY - 100 * 60, first + DAY)
    wanted, found = stored(at_once, *window), stored(by_texts, *window)
    names = [
        (spec.metric, build.load.labels_json(spec.labels)) for spec in year.SPECS if spec.probe != "vigie"
    ]  # what Vigie says of itself is of the machine that runs this

    assert len(names) > 50
    for name in names:
        assert [at for at, _ in found[name]] == [at for at, _ in wanted[name]], name
        # A rate comes back from a sum of floats: to the last stored digit, or one beside it.
        apart = max(abs(a - b) for (_, a), (_, b) in zip(found[name], wanted[name], strict=True))
        assert apart <= (1 if name[0].endswith("_total") else 0), (name, apart)


def test_the_same_seed_gives_the_same_days() -> None:
    one, other = year.Machine(), year.Machine()
    other.day(0)

    assert one.day(3) == other.day(3)
    assert one.day(3) != year.Machine(year.SEED + 1).day(3)
