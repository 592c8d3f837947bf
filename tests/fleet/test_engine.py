"""The tests of this folder are on the engine that they name."""

from archive import database, engine


def test_each_centre_is_on_its_own_engine(centre, request):
    wanted = request.node.callspec.params["centre"]

    assert bool(engine.url_of(centre.data)) == (wanted == "postgresql")
    with database.reader(centre.data) as db:
        said = (
            "postgresql"
            if db.execute("SELECT 1").fetchone() and type(db).__module__ == "archive.postgresql"
            else "sqlite"
        )
    assert said == wanted


def test_a_machine_is_on_sqlite_whatever_its_centre_is_on(centre, machine):
    assert engine.url_of(machine().data) == ""
