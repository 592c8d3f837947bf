"""The peers and Vigie, measured in the same run on the same machine; `bench/peers.sh` installs and calls it.

Daemons run side by side, each with its own configuration in the scratch folder (nothing in /etc is read or changed), at one
sample a minute, for a warm-up and a window. What works by the minute (sysstat, Munin, Vigie) is run a number of times, and
its cost multiplied. Disk use and graphs: the same made-up machine (bench/year.py) given to those that take old samples.
"""

import argparse
import http.client
import json
import os
import pwd
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterable
from typing import NamedTuple

from alerts import chart
from alerts.chart import Graph, Line, Name
from alerts.chart_data import sound
from archive import database, read
from archive.settings import ROOT
from bench import build, keeping, tree, year
from bench.figures import machine, number, say, timed
from web import periods
from web.words import spoken

MINUTES = 1440
DAY = 86_400
PACKED_DAYS = 30
SERIES = "cpu_busy_seconds_total"


class Peer(NamedTuple):
    """One row of the table; None: not measured, or not a thing it has."""

    name: str
    cpu_day: float | None = None  # processor seconds a day at one sample a minute
    memory: float | None = None  # MiB PSS between samples
    bytes_value: float | None = None
    day_ms: float | None = None  # a graph, or its points, of 24 h
    year_ms: float | None = None
    note: str = ""


class Daemon(NamedTuple):
    name: str
    commands: list[list[str]]
    note: str


def found(*names: str) -> str:
    """The first of the programs that is installed, '' without one."""
    for name in names:
        path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/sysstat:/usr/share/munin")
        if path:
            return path
    return ""


def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def put(path: str, text: str, mode: int = 0o644) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


# --- daemons ---------------------------------------------------------------------------------------------------------


def daemons(work: str) -> list[Daemon]:
    made = [_collectd(work), _monit(work), _prometheus(work), _glances(work), _netdata(work)]
    return [one for one in made if one]


def _collectd(work: str) -> Daemon | None:
    program = found("collectd")
    if not program:
        return None
    home = f"{work}/collectd"
    plugins = "\n".join(
        f"LoadPlugin {name}" for name in ("cpu", "memory", "df", "users", "load", "rrdtool", "threshold")
    )
    levels = (
        '<Plugin threshold>\n <Plugin "load">\n  <Type "load">\n   DataSource "shortterm"\n   FailureMax 8\n  </Type>\n </Plugin>\n'
        "</Plugin>\n"
    )
    conf = put(
        f"{home}/collectd.conf",
        f'Hostname "bench"\nFQDNLookup false\nInterval 60\nBaseDir "{home}"\nPIDFile "{home}/pid"\n'
        f'TypesDB "/usr/share/collectd/types.db"\n{plugins}\n<Plugin rrdtool>\n DataDir "{home}/rrd"\n</Plugin>\n{levels}',
    )
    return Daemon(
        "collectd, rrdtool and threshold", [[program, "-f", "-C", conf]], "no graphs of its own, no users, no mail"
    )


def _monit(work: str) -> Daemon | None:
    program = found("monit")
    if not program:
        return None
    home = f"{work}/monit"
    conf = put(
        f"{home}/monitrc",
        f"set daemon 60\nset log {home}/log\nset pidfile {home}/pid\nset idfile {home}/id\nset statefile {home}/state\n"
        "check system bench\n if loadavg (5min) > 8 then alert\n if memory usage > 90% then alert\n"
        " if cpu usage > 95% for 5 cycles then alert\ncheck filesystem root with path /\n if space usage > 95% then alert\n",
        0o600,
    )
    return Daemon("monit", [[program, "-I", "-c", conf]], "keeps no history")


def _prometheus(work: str) -> Daemon | None:
    program, exporter = found("prometheus"), found("prometheus-node-exporter")
    if not (program and exporter):
        return None
    there, here = port(), port()
    rules = put(
        f"{work}/prometheus/rules.yml",
        "groups:\n- name: levels\n  rules:\n"
        "  - alert: Busy\n    expr: 1 - avg(rate(node_cpu_seconds_total{mode='idle'}[5m])) > 0.9\n"
        "  - alert: Memory\n    expr: node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < 0.1\n"
        "  - alert: Disk\n    expr: node_filesystem_avail_bytes{mountpoint='/'} / node_filesystem_size_bytes < 0.1\n"
        "  - alert: Load\n    expr: node_load5 > 8\n",
    )
    conf = put(
        f"{work}/prometheus/prometheus.yml",
        f"global:\n  scrape_interval: 60s\n  evaluation_interval: 60s\nrule_files: [{rules}]\n"
        f"scrape_configs:\n- job_name: node\n  static_configs: [{{targets: ['127.0.0.1:{there}']}}]\n",
    )
    return Daemon(
        "Prometheus and node_exporter",
        [
            [exporter, f"--web.listen-address=127.0.0.1:{there}"],
            [
                program,
                f"--config.file={conf}",
                f"--storage.tsdb.path={work}/prometheus/data",
                f"--web.listen-address=127.0.0.1:{here}",
            ],
        ],
        "no users, mail by another daemon",
    )


def _glances(work: str) -> Daemon | None:
    program = f"{work}/venv/bin/glances"
    if not os.path.exists(program):
        return None
    quiet = ["--quiet", "--disable-autodiscover", "--disable-check-update"]
    command = [
        f"{work}/venv/bin/python",
        program,
        *quiet,
        "--export",
        "csv",
        "--export-csv-file",
        f"{work}/glances.csv",
        "-t",
        "60",
    ]
    return Daemon("Glances, to a CSV file", [command], "no graphs, no mail")


def _netdata(work: str) -> Daemon | None:
    program = found("netdata")
    if not program:
        return None
    home = f"{work}/netdata"
    for name in ("cache", "lib/registry", "log", "home"):
        os.makedirs(f"{home}/{name}", exist_ok=True)
    places = "".join(f" {name} = {home}/{name}\n" for name in ("cache", "lib", "log", "home"))
    conf = put(
        f"{home}/netdata.conf",
        f"[global]\n hostname = bench\n run as user = netdata\n[directories]\n{places}[db]\n mode = dbengine\n update every = 60\n"
        f"[web]\n bind to = 127.0.0.1:{port()}\n[cloud]\n enabled = no\n",
    )
    try:
        owner = pwd.getpwnam("netdata")
    except KeyError:
        return None
    for folder, _folders, names in os.walk(home):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    return Daemon("netdata", [[program, "-D", "-c", conf]], "")


def watched(work: str, warm: float, seconds: float) -> list[Peer]:
    """All daemons at once: they are idle nearly all of the time."""
    tree.adopt()
    running: list[tuple[Daemon, list[subprocess.Popen[bytes]]]] = []
    peers = []
    try:
        for daemon in daemons(work):
            processes = []
            for place, command in enumerate(daemon.commands):
                with open(f"{work}/log-{len(running)}-{place}", "wb") as log:
                    processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
            running.append((daemon, processes))
        time.sleep(warm)
        before = {daemon.name: _cost(processes) for daemon, processes in running}
        began = time.monotonic()
        time.sleep(seconds)
        for daemon, processes in running:
            after, length = _cost(processes), time.monotonic() - began
            ended = [process.returncode for process in processes if process.poll() is not None]
            if ended:
                say(f"  {daemon.name} ended by itself ({ended}): left out")
                continue
            peers.append(
                Peer(daemon.name, (after.cpu - before[daemon.name].cpu) / length * DAY, after.pss, note=daemon.note)
            )
    finally:
        for _daemon, processes in running:
            for process in processes:
                tree.finish(process)
    return peers


def _cost(processes: list["subprocess.Popen[bytes]"]) -> tree.Cost:
    return tree.cost([pid for process in processes for pid in tree.below(process.pid)])


# --- what works by the minute ----------------------------------------------------------------------------------------


def sysstat(work: str) -> Peer | None:
    program = found("sadc")
    if not program:
        return None
    os.makedirs(f"{work}/sa", exist_ok=True)
    runs = [tree.spent([program, "-F", "-L", "-S", "DISK", "1", "1", f"{work}/sa/file"]) for _ in range(20)]
    return Peer("sysstat (sadc)", statistics.median(runs) * MINUTES, 0.0, note="no thresholds, no graphs, no users")


def munin(work: str) -> Peer | None:
    """One whole cycle of the master and the node's share, five plugins; a graph of every kind is due in the first only."""
    node_program, update = found("munin-node"), found("munin-update")
    try:
        owner = pwd.getpwnam("munin")
    except KeyError:
        return None
    if not (node_program and update) or os.geteuid() != 0:
        return None
    home, place = f"{work}/munin", port()
    for name in ("db", "html", "log", "run", "conf.d"):
        os.makedirs(f"{home}/{name}")
        os.chown(f"{home}/{name}", owner.pw_uid, owner.pw_gid)
    node_conf = put(
        f"{home}/node.conf",
        f"log_level 2\nlog_file {home}/log/node.log\npid_file {home}/run/node.pid\nbackground 0\nsetsid 0\nuser root\ngroup root\n"
        f"allow ^127\\.0\\.0\\.1$\nhost 127.0.0.1\nport {place}\nignore_file ^(?!(cpu|memory|df|users|load)$)\n",
    )
    conf = put(
        f"{home}/munin.conf",
        f"dbdir {home}/db\nhtmldir {home}/html\nlogdir {home}/log\nrundir {home}/run\ntmpldir /etc/munin/templates\n"
        f"staticdir /etc/munin/static\nincludedir {home}/conf.d\n[bench.localdomain]\n address 127.0.0.1\n port {place}\n"
        " use_node_name yes\n load.load.warning 8\n",
    )
    with open(f"{home}/log/node.out", "wb") as log:
        node = subprocess.Popen([node_program, "--foreground", "--config", node_conf], stdout=log, stderr=log)
    cycles, memory = [], 0.0
    try:
        time.sleep(2)
        for turn in range(6):
            before = tree.cost(tree.below(node.pid))
            spent = sum(
                tree.spent(
                    ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", program, "--config", conf, *more],
                    cwd=home, env={"PATH": "/usr/bin:/bin", "HOME": home, "LC_ALL": "C"},
                )
                for program, more in (
                    (update, []), (found("munin-limits"), []), (found("munin-html"), []), (found("munin-graph"), ["--cron"]),
                )
                if program
            )  # fmt: skip
            time.sleep(0.5)
            after = tree.cost(tree.below(node.pid))
            memory = after.pss
            if turn:
                cycles.append(spent + after.cpu - before.cpu)
            time.sleep(1)
    finally:
        tree.finish(node)
    return Peer(
        "Munin, five plugins",
        statistics.median(cycles) * MINUTES,
        memory,
        note="as if run each minute; its own rhythm is five",
    )


def vigie(data: str) -> Peer:
    """`./run_all.sh` from its start to its end, every shipped probe, minute by minute (bench/cycle.py)."""
    told = subprocess.run(
        [sys.executable, "-m", "bench.cycle", "--json", "--short", "--minutes", "30"], cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True
    ).stdout  # fmt: skip
    cpu = next(float(row["value"]) for row in json.loads(told) if row["name"] == "the minute's path, a calm day")
    day, whole_year = graphs(data)
    values = {one.name: one.value for one in keeping.sizes(data, 365, whole=False)}
    size = (
        values.get("the same in the file: pages, keys, slack") or values["bytes a value, packed, one-minute resolution"]
    )
    return Peer(
        "Vigie", cpu, 0.0, size, day, whole_year,
        "the minute's path; graph: from the file to the finished SVG, mean with least and greatest",
    )  # fmt: skip


def graphs(data: str) -> tuple[float, float]:
    """Milliseconds: opening the file, reading, drawing; (24 h, a year)."""
    told, times = spoken("en", "UTC"), []
    now = build.END - 30
    for key in ("24h", "1y"):

        def draw(key: str = key) -> None:
            with database.reader(data) as db:
                line = read.series(db, 1, SERIES)[0]
                period = periods.parse({"period": key}, now, line.first_at, told)
                points = sound(read.points(db, 1, line, period.start, period.end, period.step))
            graph = Graph("ratio", period.start, period.end, period.step, (Line("", points),), now)
            chart.draw(graph, told, chart.CARD, Name("a"))

        times.append(timed(draw, 11, chart.frame_of.cache_clear)[0])
    return times[0], times[1]


# --- the same samples, kept by others --------------------------------------------------------------------------------


def prometheus_store(work: str) -> tuple[float | None, float | None, float | None]:
    """(bytes a value of 30 days of all series; milliseconds of a query of 24 h, of a year, 300 points of one series)."""
    promtool, program = found("promtool"), found("prometheus")
    if not (promtool and program):
        return None, None, None
    scales, machine_ = build.scales(), year.Machine()
    first = build.END - PACKED_DAYS * DAY
    text, values = f"{work}/samples.om", 0
    days = [(first + n * DAY, machine_.day(n), machine_.times(n, first + n * DAY)) for n in range(PACKED_DAYS)]
    with open(text, "w", encoding="utf-8") as file:
        for metric in dict.fromkeys(spec.metric for spec in year.SPECS):
            file.write(f"# TYPE {metric} gauge\n")
            for spec in [one for one in year.SPECS if one.metric == metric]:
                name = f"{metric}{build.labels(spec)}"
                for midnight, column, times in days:
                    for at in times:
                        file.write(f"{name} {column[spec][(at - midnight) // 60] / scales[metric]!r} {at}\n")
                        values += 1
        file.write("# EOF\n")
    size = _backfilled(promtool, text, f"{work}/prom-30")
    spec = next(one for one in year.SPECS if one.metric == SERIES)
    start = build.END - 365 * DAY
    with open(text, "w", encoding="utf-8") as file:
        file.write(f"# TYPE {SERIES} gauge\n")
        for n in range(365):
            column = machine_.day(n)[spec]
            file.writelines(
                f"{SERIES} {column[minute] / 10_000!r} {start + n * DAY + minute * 60}\n" for minute in range(1440)
            )
        file.write("# EOF\n")
    _backfilled(promtool, text, f"{work}/prom-365")
    os.unlink(text)
    here = port()
    conf = put(f"{work}/prom-365.yml", "global:\n  scrape_interval: 1h\n")
    with open(f"{work}/prom-365.log", "wb") as log:
        server = subprocess.Popen(
            [program, f"--config.file={conf}", f"--storage.tsdb.path={work}/prom-365", "--storage.tsdb.retention.time=20y",
             f"--web.listen-address=127.0.0.1:{here}"], stdout=log, stderr=log,
        )  # fmt: skip
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", here), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        time.sleep(2)
        connection = http.client.HTTPConnection("127.0.0.1", here, timeout=60)
        asked = [timed(lambda span=span: _ask(connection, span), 9)[0] for span in (DAY, 365 * DAY)]  # type: ignore[misc]
    finally:
        tree.finish(server)
    return size / values, asked[0], asked[1]


def _backfilled(promtool: str, text: str, folder: str) -> int:
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics", "-q", text, folder],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(folder) for name in names)


def _ask(connection: http.client.HTTPConnection, span: int) -> None:
    step = span // 300
    query = urllib.parse.urlencode(
        {"query": f"avg_over_time({SERIES}[{step}s])", "start": build.END - span, "end": build.END, "step": step}
    )
    connection.request("GET", f"/api/v1/query_range?{query}")
    told = json.loads(connection.getresponse().read())
    if told["status"] != "success" or not told["data"]["result"]:
        raise SystemExit(f"Prometheus has no points: {told}")


def rrd_graphs(work: str) -> tuple[float | None, float | None]:
    """Milliseconds of a whole `rrdtool graph` to SVG, of 24 h and of a year, from a file laid out as Munin does."""
    program = found("rrdtool")
    if not program:
        return None, None
    path, start = f"{work}/year.rrd", build.END - 365 * DAY
    rows = [
        f"RRA:{kind}:0.5:{step}:{count}"
        for kind in ("AVERAGE", "MIN", "MAX")
        for step, count in ((1, 576), (6, 432), (24, 540), (288, 450))
    ]
    subprocess.run(
        [program, "create", path, "--start", str(start - 300), "--step", "300", "DS:v:GAUGE:600:U:U", *rows], check=True
    )
    spec = next(one for one in year.SPECS if one.metric == SERIES)
    machine_ = year.Machine()
    feed = subprocess.Popen([program, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    if feed.stdin is None:
        return None, None
    for n in range(365):
        column = machine_.day(n)[spec]
        told = " ".join(f"{start + n * DAY + minute * 60}:{column[minute] / 10_000}" for minute in range(0, 1440, 5))
        feed.stdin.write(f"update {path} {told}\n")
    feed.stdin.close()
    feed.wait()
    found_ = []
    for span in (DAY, 365 * DAY):
        command = [
            program, "graph", f"{work}/graph.svg", "-a", "SVG", "-w", "600", "-h", "200", "-s", str(build.END - span), "-e", str(build.END),
            *(f"DEF:{kind}={path}:v:{kind}" for kind in ("AVERAGE", "MIN", "MAX")), "AREA:MAX#cccccc", "LINE1:MIN#888888", "LINE2:AVERAGE#0000ff",
        ]  # fmt: skip
        found_.append(
            timed(lambda command=command: subprocess.run(command, check=True, stdout=subprocess.DEVNULL), 9)[0]
        )  # type: ignore[misc]
    return found_[0], found_[1]


# --- the table -------------------------------------------------------------------------------------------------------


def cell(value: float | None, ours: float | None) -> str:
    """A value, and ours as a part of it."""
    if value is None:
        return "–"
    ratio = f" ({ours / value:.2f})" if ours is not None and value else ""
    return f"{number(value)}{ratio}"


def written(ours: Peer, peers: list[Peer], where: list[tuple[str, str]], seconds: int) -> str:
    head = ["CPU s a day at 1/min", "MiB between samples", "bytes a value", "graph 24 h, ms", "graph a year, ms"]
    lines = [
        "# Beside the peers", "",
        f"Written by `bench/peers.sh`: all in one run on one machine, daemons watched for {seconds} s. In brackets: Vigie's figure",
        "divided by the peer's; below 1, Vigie is lighter. What each does beside is not equal: see the last column.", "",
        "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in where), "",
        "| | " + " | ".join(head) + " | |", "|---|" + "---:|" * len(head) + "---|",
    ]  # fmt: skip
    for peer in (ours, *peers):
        mine = peer is ours
        cells = [cell(theirs, None if mine else own) for theirs, own in zip(peer[1:6], ours[1:6], strict=True)]
        lines.append(f"| {'**Vigie**' if mine else peer.name} | " + " | ".join(cells) + f" | {peer.note} |")
    lines += [
        "",
        "Prometheus's graph is the answer of its API (300 points as JSON, no picture); rrdtool's a whole process that draws an SVG, as",
        "Munin and collectd use it; Vigie's from the closed file to the SVG. An RRD file has a fixed size and forgets: no bytes a value.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def main(arguments: Iterable[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench/peers.sh", description=__doc__.partition("\n")[0])
    parser.add_argument("--work", required=True)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--data", default="")
    parser.add_argument("--out", default=os.path.join(ROOT, "bench", "PEERS.md"))
    asked = parser.parse_args(list(arguments))
    where = machine(asked.work)
    data = asked.data or os.path.join(asked.work, "data")
    if not os.path.exists(os.path.join(data, database.NAME)):
        os.makedirs(data, mode=0o700, exist_ok=True)
        say("  building a year")
        build.build(data, 365, say=True)
    say("  daemons")
    peers = watched(asked.work, 20, asked.seconds)
    say("  by the minute")
    peers += [one for one in (sysstat(asked.work), munin(asked.work)) if one]
    ours = vigie(data)
    say("  the same samples, kept by others")
    size, day, whole_year = prometheus_store(asked.work)
    drawn_day, drawn_year = rrd_graphs(asked.work)
    for place, peer in enumerate(peers):
        if peer.name.startswith("Prometheus"):
            peers[place] = peer._replace(bytes_value=size, day_ms=day, year_ms=whole_year)
        if peer.name.startswith(("Munin", "collectd")):
            peers[place] = peer._replace(day_ms=drawn_day, year_ms=drawn_year)
    with open(asked.out, "w", encoding="utf-8") as file:
        file.write(written(ours, peers, where, asked.seconds))
    print(asked.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
