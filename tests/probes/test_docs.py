"""docs/probes.md is true: its example is a probe, its lists are complete, its levels are those that are shipped."""

import re
import subprocess

from tests.probes.probing import PROBES, REPOSITORY, ROOT, SHIPPED, SYSTEM, ok, refused

DOC = (REPOSITORY / "docs/probes.md").read_text()


def test_the_example_is_a_probe_from_the_moment_it_is_executable(tmp_path):
    source = re.search(r"^```bash\n(#!.+?)^```$", DOC, re.M | re.S)[1]
    folder = tmp_path / "probes"
    folder.mkdir()
    probe = folder / "files.sh"
    probe.write_text(source)
    probe.chmod(0o755)
    alone = subprocess.run([probe], env={"PATH": SYSTEM}, capture_output=True, encoding="utf-8", check=False)
    found = ok(alone)
    assert found["files_open"] > 0
    env = {"PATH": SYSTEM, "VIGIE_PROBES": str(folder), "VIGIE_DATA": str(tmp_path / "data")}
    subprocess.run([PROBES / "run.py"], env=env, check=True)
    (spool,) = (tmp_path / "data/spool").glob("*.prom")
    assert re.match(
        r"# VIGIE probe=files status=ok seconds=[\d.]+ uptime=[\d.]+\n# HELP files_open Open files\n", spool.read_text()
    )
    nowhere = subprocess.run(
        [probe], env={"PATH": SYSTEM, "VIGIE_ROOT": str(ROOT)}, capture_output=True, encoding="utf-8", check=False
    )
    refused(nowhere)


def test_every_shipped_probe_is_in_the_list_with_its_rhythm():
    rows = dict(re.findall(r"^\| ([a-z]+\.(?:sh|py)) \| (\d+) \|", DOC, re.M))
    every = {name: (re.findall(r"^# EVERY (\d+)$", (PROBES / name).read_text(), re.M) or ["1"])[0] for name in SHIPPED}
    assert rows == every


def test_every_shipped_level_is_in_the_table():
    shipped = set()
    for name in SHIPPED:
        shipped |= set(re.findall(r"^(?:# |.*\"# )(?:WARN|CRIT) (\w+) [<>]", (PROBES / name).read_text(), re.M))
    table = DOC.partition("## Shipped levels")[2]
    assert set(re.findall(r"^\| (\w+) \|", table, re.M)) - {"metric"} == shipped
