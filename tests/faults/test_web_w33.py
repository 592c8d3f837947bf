"""W33: what the dashboard may do as the user it runs as: its data, and not its own code, nor anybody's crontab.

Also the second form (docs/deployment.md): two users of one group, cron's and the dashboard's.
"""

import os

import pytest

from archive import clock, database
from archive.settings import ROOT
from tests import cycles
from tests.web import site

CODE = ["web/access.py", "web/__init__.py", "templates/base.html", "static/vigie.js", "probes/cpu.py", "run_all.sh", "vigie",
        "archive/database.py", "alerts/cycle.py"]  # fmt: skip


def may_write(path: str) -> bool:
    try:
        with open(path, "ab"):
            return True
    except OSError:
        return False


@pytest.mark.needs_root
def test_w33_a_dashboard_of_its_own_user_writes_its_data_and_nothing_of_its_code(tmp_path: object) -> None:
    data = site.filled(f"{tmp_path}/data", 3)
    site.add_person(data)
    missing = [name for name in CODE if not os.path.exists(os.path.join(ROOT, name))]
    assert missing == []
    # Once before: where Python itself is in root's home, nobody could read no module of it.
    warm = site.site(data).test_client()
    site.log_in(warm)
    warm.get("/thresholds")

    def serves() -> str:
        client = site.site(data).test_client()
        assert site.log_in(client).status_code == 303
        assert site.post(client, "/thresholds", {"cpu": "55"}).status_code == 303
        wrong = [name for name in CODE if may_write(os.path.join(ROOT, name))]
        wrong += [path for path in ("/etc/passwd", "/etc/crontab", "/var/spool/cron/crontabs/root") if may_write(path)]
        for folder in ("web", "templates", "static", "probes"):
            try:
                os.close(os.open(os.path.join(ROOT, folder, "planted.py"), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
                wrong.append(folder)
                os.unlink(os.path.join(ROOT, folder, "planted.py"))
            except OSError:
                pass
        return repr(wrong)

    assert cycles.as_nobody(serves, data) == "[]"
    with database.reader(data) as db:
        assert db.execute("SELECT count(*) FROM threshold").fetchone()[0] == 1
    assert clock.now() > 0
