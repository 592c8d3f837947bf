"""A real cron daemon for ten minutes, and each figure beside an independent tool. Root, cron and sysstat are needed.

    .venv-dev/bin/python tests/full/ten_minutes.py [MINUTES]

Copies the project into a scratch folder, installs its crontab line, starts cron when none runs, burns CPU and holds memory
as another user, and compares: mpstat (CPU of the machine), free (memory), df (disk), schedstat and smaps (the user's CPU and
memory), du (the user's home), who. Prints a table; exits 1 when a figure is off by more than 2 % or a minute is missing.
"""

import itertools
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests"))
sys.path.insert(0, ROOT)
TOLERANCE = 0.02
USER = "nobody"
HOLD = 200 << 20
LOAD = f"""
import time
held = bytearray({HOLD})
for page in range(0, len(held), 4096): held[page] = 1
while True:
    end = time.time() + 0.5
    while time.time() < end: pass
    time.sleep(0.5)
"""


def main(minutes: int) -> int:
    import test_whole_way as way

    folder = tempfile.mkdtemp(prefix="vigie-ten-")
    project = os.path.join(folder, "vigie")
    os.mkdir(project)
    way.copy_of_the_project(project)
    with open(f"{project}/data/settings.env", "w", encoding="ascii") as file:
        file.write(f"VIGIE_LISTEN=127.0.0.1:{way.free_port()}\nVIGIE_CERTFR_URL=http://127.0.0.1:9\n")
    os.chmod(folder, 0o755)
    load = subprocess.Popen(["/usr/bin/python3", "-c", LOAD], user=65534, group=65534, cwd="/")
    cron = None
    try:
        subprocess.run([f"{project}/run_all.sh"], check=True, stdin=subprocess.DEVNULL, timeout=600)
        time.sleep(61 - time.time() % 60)  # the next minute is cron's first
        subprocess.run([f"{project}/vigie", "cron", "install", "--yes"], check=True, stdout=subprocess.DEVNULL)
        if subprocess.run(["pgrep", "-x", "cron"], stdout=subprocess.DEVNULL, check=False).returncode:
            cron = subprocess.Popen(["cron", "-f"])
        return watch(project, load.pid, minutes)
    finally:
        subprocess.run([f"{project}/vigie", "uninstall", "--yes"], check=False, stdout=subprocess.DEVNULL)
        load.kill()
        load.wait()
        if cron:
            cron.terminate()
            cron.wait()
        shutil.rmtree(folder, ignore_errors=True)


def watch(project: str, pid: int, minutes: int) -> int:
    first = (int(time.time()) // 60 + 1) * 60
    time.sleep(first - time.time() + 0.3)
    mpstat = subprocess.Popen(
        ["mpstat", "-o", "JSON", str(60 * minutes), "1"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    before = cputime(pid)
    seen: dict[str, list[float]] = {"free": [], "df": [], "anon": []}
    for minute in range(minutes):
        time.sleep(max(0.0, first + 60 * minute + 0.4 - time.time()))
        seen["free"].append(float(run("free", "-b").splitlines()[1].split()[6]))
        seen["df"].append(float(run("df", "-B1", "--output=used", "/").splitlines()[1]))
        seen["anon"].append(anonymous(pid))
    time.sleep(max(0.0, first + 60 * minutes + 0.3 - time.time()))
    used = (cputime(pid) - before) / (60 * minutes)
    host = json.loads(mpstat.communicate()[0])["sysstat"]["hosts"][0]["statistics"][0]["cpu-load"][0]
    busy = 1 - (host["idle"] + host["iowait"] + host["steal"]) / 100
    time.sleep(20)
    # The last ones still wait: while all is well a quarter of an hour of them is archived at once.
    subprocess.run([f"{project}/run_all.sh", "--flush"], check=True, stdin=subprocess.DEVNULL, timeout=60)
    db = sqlite3.connect(f"file:{project}/data/vigie.db?mode=ro", uri=True)
    return report(db, first, minutes, busy, used, seen)


def report(db, first, minutes, busy, used, seen) -> int:
    def ours(metric, labels="{}", start=first, end=first + 60 * minutes):
        return [
            row[0]
            for row in db.execute(
                "SELECT s.value * 1.0 / m.scale FROM sample s JOIN series r ON r.id=s.series JOIN metric m ON m.id=r.metric"
                " WHERE m.name=? AND r.labels=? AND s.at >= ? AND s.at < ? ORDER BY s.at",
                (metric, labels, start, end),
            )
        ]

    def mean(values):
        return sum(values) / len(values) if values else float("nan")

    after = (first + 50, first + 60 * minutes + 50)  # a rate stands at the end of its minute
    rows = [
        ("CPU busy, share", mean(ours("cpu_busy_seconds_total", "{}", *after)), busy, "mpstat"),
        (
            "CPU of nobody, cores",
            mean(ours("user_cpu_seconds_total", f'{{"user":"{USER}"}}', *after)),
            used,
            "schedstat",
        ),
        ("memory available, bytes", mean(ours("memory_available_bytes")), mean(seen["free"]), "free"),
        (
            "memory of nobody, bytes",
            mean(ours("user_memory_bytes", f'{{"user":"{USER}"}}')),
            mean(seen["anon"]),
            "smaps",
        ),
        ("disk used, bytes", mean(ours("disk_used_bytes", '{"mount":"/"}')), mean(seen["df"]), "df"),
    ]
    users = ours("users_logged_in")
    if users:
        rows.append(("users logged in", mean(users), len({line.split()[0] for line in run("who").splitlines()}), "who"))
    for labels, value in db.execute(
        "SELECT r.labels, max(s.value) FROM sample s JOIN series r ON r.id=s.series JOIN metric m ON m.id=r.metric"
        " WHERE m.name='user_home_bytes' GROUP BY r.labels"
    ):
        home = run("getent", "passwd", json.loads(labels)["user"]).split(":")[5]
        rows.append(
            (f"home of {json.loads(labels)['user']}, bytes", value, float(run("du", "-xsB1", home).split()[0]), "du")
        )
    bad = 0
    print(f"{'figure':<28}{'Vigie':>18}{'independent':>18}  {'tool':<12}difference")
    for name, mine, theirs, tool in rows:
        off = abs(mine - theirs) / theirs if theirs else abs(mine)
        bad += not off <= TOLERANCE
        print(f"{name:<28}{mine:>18.4f}{theirs:>18.4f}  {tool:<12}{off:.2%}{'' if off <= TOLERANCE else '  <-- off'}")
    cycles = [
        row[0]
        for row in db.execute(
            "SELECT at FROM cycle WHERE at >= ? AND at < ? ORDER BY at", (first, first + 60 * minutes)
        )
    ]
    gaps = sorted(b - a for a, b in itertools.pairwise(cycles))
    every = dict(
        db.execute(
            "SELECT m.name || r.labels, count(*) FROM sample s JOIN series r ON r.id=s.series JOIN metric m ON m.id=r.metric"
            " JOIN probe p ON p.name=m.probe WHERE p.every=1 AND s.at >= ? AND s.at < ? AND r.first_at < ? GROUP BY 1",
            (first, first + 60 * minutes, first),
        ).fetchall()
    )
    short = {name: count for name, count in every.items() if count != minutes}
    print(f"{len(cycles)} cycles in {minutes} minutes, {gaps[0] if gaps else 0} to {gaps[-1] if gaps else 0} s apart;"
          f" {len(every)} series of every minute, {len(every) - len(short)} of them with {minutes} samples")  # fmt: skip
    for name, count in short.items():
        print(f"  {count}: {name}")
    return 1 if bad or short or len(cycles) != minutes else 0


def run(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}).stdout


def cputime(pid: int) -> float:
    """CPU seconds of a process (/proc/PID/schedstat, the scheduler’s own count)."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def anonymous(pid: int) -> float:
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return float(re.search(r"^Anonymous:\s+(\d+) kB", file.read(), re.M)[1]) * 1024


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
