"""The house rules that a machine can check: who imports whom, where SQL stands, what the minute's path costs, how long a
module is, what templates may hold, and that no file knows where it was written."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests import cycles
from tests.conftest import NOW
from tests.cycles import ROOT

FLOORS = ("archive", "alerts", "web")  # a floor uses those before it
OURS = {*FLOORS, "probes", "tests", "bench"}
# What starts every minute must not import these, not even through others: each costs milliseconds, 1,440 times a day.
HEAVY = {
    "argparse", "asyncio", "babel", "bs4", "concurrent", "ctypes", "dataclasses", "decimal", "email", "flask", "gettext",
    "hashlib", "html", "http", "inspect", "jinja2", "locale", "logging", "lxml", "lzma", "multiprocessing", "pathlib",
    "pickle", "platform", "psutil", "pygal", "pytz", "random", "requests", "secrets", "shutil", "smtplib", "socket",
    "ssl", "statistics", "subprocess", "tempfile", "threading", "tomllib", "traceback", "unittest", "urllib", "urllib3",
    "uuid", "werkzeug", "wtforms", "xml", "zipfile", "zoneinfo",
}  # fmt: skip
LINES = 340
# Longer than that, each for a reason; the number is a ceiling, so that it does not grow unseen.
LONGER = {
    "alerts/minute.py": (400, "the judge's one pass over a cycle, step by step"),
    "archive/outbox.py": (400, "every row of the mails owed behind one door"),
    "archive/settings.py": (360, "a list of settings, each with what it expects"),
    "archive/database.py": (
        370,
        "one door to the rows: locks, readers, writers, making and migrating, on either engine",
    ),
    "web/doctor.py": (460, "a list of independent checks"),
}


def python_files(*folders: str) -> list[str]:
    """Paths below the project, relative."""
    found = []
    for folder in folders:
        for path, folders_below, names in os.walk(os.path.join(ROOT, folder)):
            folders_below[:] = [name for name in folders_below if name not in ("__pycache__", "node_modules")]
            found += [os.path.relpath(os.path.join(path, name), ROOT) for name in names if name.endswith(".py")]
    return sorted(found)


def tree(path: str) -> ast.Module:
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return ast.parse(file.read(), path)


def imports(path: str) -> Iterator[tuple[int, str]]:
    """(line, module) of every import, also those within functions."""
    package = path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def files_of_the_project() -> list[str]:
    """Everything that is, or may be, in the repository."""
    done = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    if done.returncode == 0:
        return [name for name in done.stdout.split("\0") if name and os.path.isfile(os.path.join(ROOT, name))]
    skipped = (".venv", ".venv-dev", ".git", "data", "node_modules", "__pycache__")
    found = []
    for path, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in skipped and not name.endswith("_cache")]
        found += [os.path.relpath(os.path.join(path, name), ROOT) for name in names]
    return found


# --- Who imports whom -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_imports_only_itself_and_those_below(floor):
    allowed = {*FLOORS[: FLOORS.index(floor) + 1]}
    wrong = [
        f"{path}:{line} imports {module}"
        for path in python_files(floor)
        for line, module in imports(path)
        if module.split(".")[0] in OURS - allowed
    ]

    assert wrong == []


def test_probes_import_nothing_of_ours():
    wrong = [
        f"{path}:{line} imports {module}"
        for path in python_files("probes")
        for line, module in imports(path)
        if module.split(".")[0] in OURS
    ]

    assert wrong == []


def test_only_the_whole_cycle_knows_how_probes_are_run():
    """Their files import one another by their names alone, and so does alerts/run_cycle.py."""
    names = {os.path.basename(path).removesuffix(".py") for path in python_files("probes")}
    found = {path for path in python_files(*FLOORS) for _, module in imports(path) if module.split(".")[0] in names}

    assert found == {"alerts/run_cycle.py"}


def test_only_web_and_chart_code_knows_the_web_framework():
    wrong = [
        f"{path}:{line} imports {module}"
        for path in python_files("archive", "alerts")
        for line, module in imports(path)
        if module.split(".")[0] in ("flask", "flask_wtf", "wtforms", "waitress", "werkzeug")
    ]

    assert wrong == []


# --- SQL --------------------------------------------------------------------------------------------------------------

_SQL = re.compile(
    r"\b(SELECT\b.+\bFROM|SELECT\s+[\w(*]+|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|REPLACE\s+INTO|PRAGMA\s+\w+"
    r"|CREATE\s+(TABLE|INDEX|UNIQUE)|DROP\s+TABLE|ALTER\s+TABLE|BEGIN\s+IMMEDIATE|VACUUM|ATTACH\s+DATABASE)\b",
    re.DOTALL,
)


def strings(path: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every string that is not a docstring."""
    module = tree(path)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(module)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value


def test_sql_stands_in_the_archive_only():
    wrong = [
        f"{path}:{line} {text[:60]!r}"
        for path in python_files("alerts", "web")
        for line, text in strings(path)
        if _SQL.search(text)
    ]

    assert wrong == []


def test_the_check_for_sql_sees_sql(tmp_path):
    assert _SQL.search("SELECT a, b\nFROM c")
    assert _SQL.search("INSERT OR REPLACE INTO x VALUES (?)")
    assert _SQL.search("PRAGMA quick_check")
    assert not _SQL.search("Select one of the lines, then delete it")


def test_values_reach_sql_as_values():
    """f-strings in the archive put together only names of its own: no call argument of a person, no label, no text."""
    wrong = []
    for path in python_files("archive"):
        for node in ast.walk(tree(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr.startswith("execute")
            ):
                first = node.args[0] if node.args else None
                if isinstance(first, ast.BinOp) and isinstance(first.op, ast.Mod):
                    wrong.append(f"{path}:{node.lineno} puts SQL together with %")
                if isinstance(first, ast.Call) and getattr(first.func, "attr", "") == "format":
                    wrong.append(f"{path}:{node.lineno} puts SQL together with format()")

    assert wrong == []


# --- The minute's path ------------------------------------------------------------------------------------------------

MINUTE = f"""
import sys
sys.path.insert(0, {ROOT!r})
before = set(sys.modules)
import alerts.cycle
imported = set(sys.modules)
status = alerts.cycle.main()
import json
print(json.dumps([status, sorted(imported), sorted(sys.modules), sys.path[1:]]))
"""


def a_minute(data: str, now: int) -> tuple[int, set[str], set[str], str]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", MINUTE], check=False, capture_output=True, text=True, timeout=60, cwd="/",
        env={"VIGIE_DATA": data, "VIGIE_NOW": str(now), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout, done.stderr
    status, imported, after, _ = json.loads(done.stdout)
    return status, set(imported), set(after), done.stderr


def test_the_minutes_path_needs_the_standard_library_only_and_little_of_it(data):
    for number in range(3):
        cycles.write(data, NOW + number * 60, cycles.machine(NOW + number * 60, disk=0.99))
        status, imported, after, errors = a_minute(data, NOW + number * 60)

        assert (status, errors) == (0, "")
        foreign = {name for name in after if name.split(".")[0] not in {*sys.stdlib_module_names, *FLOORS, "__main__"}}
        assert foreign == set()
        assert {name for name in imported if name.split(".")[0] in HEAVY} == set()
    # In a minute in which nothing begins or ends, what is imported while running is as light.
    assert {name for name in after if name.split(".")[0] in HEAVY} == set()


def test_the_minutes_path_says_nothing_and_leaves_what_it_must(data):
    cycles.write(data, NOW, cycles.machine(NOW))
    a_minute(data, NOW)

    with open(os.path.join(data, "latest.json"), encoding="utf-8") as file:
        assert json.load(file)["at"] == NOW
    assert os.listdir(os.path.join(data, "spool")) == []


# --- Templates --------------------------------------------------------------------------------------------------------


def templates(*, mail: bool) -> list[str]:
    return [
        name
        for name in files_of_the_project()
        if name.startswith("templates/")
        and name.startswith("templates/mail/") == mail
        and name.endswith((".html", ".svg"))
    ]


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("an inline style", r"<style\b|\sstyle\s*="),
        ("an inline handler", r"\son[a-z]+\s*=\s*[\"'{]"),
        ("a script without src", r"<script\b(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")"),
        ("an address of the script's own kind", r"javascript:"),
        ("an attribute without quotes", r"\s(?:href|src|value|title|alt|class|id|action)=\{\{"),
        ("something from another site", r"(?:src|action)\s*=\s*[\"'](?:https?:)?//"),
    ],
)
def test_w16_no_page_holds(what, pattern):
    wrong = []
    for name in templates(mail=False):
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            text = re.sub(r"\{#.*?#\}", "", file.read(), flags=re.DOTALL)
        wrong += [f"{name}: {what}: {found[0]!r}" for found in re.finditer(pattern, text)]

    assert wrong == []


def test_w16_no_template_switches_the_escaping_off():
    wrong = []
    for name in templates(mail=False) + templates(mail=True):
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            text = re.sub(r"\{#.*?#\}", "", file.read(), flags=re.DOTALL)
        wrong += [f"{name}: {found[0]!r}" for found in re.finditer(r"\|\s*safe\b|autoescape\s+false|Markup\(", text)]

    assert wrong == []


# --- Size and places --------------------------------------------------------------------------------------------------


def test_a_module_can_be_read_in_one_go():
    wrong = []
    for path in python_files(*FLOORS, "probes"):
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            count = sum(1 for _ in file)
        if count > LONGER.get(path, (LINES, ""))[0]:
            wrong.append(f"{path}: {count} lines")

    assert wrong == []


def test_every_module_says_what_it_is():
    wrong = [
        path
        for path in python_files(*FLOORS, "probes")
        if os.path.getsize(os.path.join(ROOT, path)) and not ast.get_docstring(tree(path))
    ]

    assert wrong == []


def test_no_file_knows_where_it_was_written():
    # In pieces, so that this file does not find itself.
    places = [re.escape("/" + place) for place in ("work/", "workspace/", "Users/", "root/.", "mnt/data/")]
    pattern = re.compile(rf"(?<![\w.$}}-])(?:{'|'.join(places)})[\w.]")
    wrong = []
    for name in files_of_the_project():
        with open(os.path.join(ROOT, name), "rb") as file:
            raw = file.read(2_000_000)
        if b"\0" in raw[:8000]:
            continue
        for number, line in enumerate(raw.decode("utf-8", "replace").split("\n"), 1):
            if pattern.search(line):
                wrong.append(f"{name}:{number}: {line.strip()[:80]}")

    assert wrong == []


def test_no_secret_and_no_database_is_in_the_repository():
    wrong = [
        name
        for name in files_of_the_project()
        if re.search(r"\.(db|sqlite3?|pem|key|p12)(-wal|-shm)?$|(^|/)settings\.env$|(^|/)secret", name)
        and not name.startswith(("tests/", "alerts/", "archive/", "web/"))
    ]

    assert wrong == []


def test_nothing_in_the_product_prints_through_a_debugger_or_runs_a_shell():
    wrong = []
    for path in python_files(*FLOORS, "probes"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name in (
                    "eval",
                    "exec",
                    "os.system",
                    "os.popen",
                    "breakpoint",
                    "pickle.loads",
                    "pickle.load",
                    "yaml.load",
                ):
                    wrong.append(f"{path}:{node.lineno} {name}")
                if any(k.arg == "shell" and getattr(k.value, "value", True) for k in node.keywords):
                    wrong.append(f"{path}:{node.lineno} shell=True")

    assert wrong == []


def test_every_use_of_the_clock_goes_through_the_one_clock():
    """time.time() and datetime.now() hide from VIGIE_NOW. time.monotonic() measures, so it may."""
    wrong = []
    for path in python_files(*FLOORS):
        if path in ("archive/clock.py",):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and re.fullmatch(
                r"time\.(time|time_ns)|(datetime\.)?datetime\.(now|utcnow|today)|(datetime\.)?date\.today",
                ast.unparse(node.func),
            ):
                wrong.append(f"{path}:{node.lineno} {ast.unparse(node.func)}")

    assert wrong == []
