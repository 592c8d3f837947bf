"""W24 in full: 200 requests a second for a minute while cycles are archived, rows purged and backups made.

    .venv-dev/bin/python tests/full/storm.py [SECONDS] [RATE]

Prints what came of it, with the commit; status 1 when an answer was 5xx or missing, p95 was 1 s or more, or a cycle was late.
"""

import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)


def main(seconds: float, rate: int) -> int:
    from tests.faults import storm
    from tests.web.test_app import free_port

    with tempfile.TemporaryDirectory(prefix="vigie-storm-") as folder:
        found = storm.run(folder, free_port(), seconds, rate)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    bad = sum(count for code, count in found.codes.items() if code >= 500 or code == 0)
    print(f"commit {commit.stdout.strip()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end")
    print(f"{len(found.spans)} requests at {rate} a second for {seconds:g} s: {found.codes}")
    print(
        "p50 {:.3f} s, p95 {:.3f} s, p99 {:.3f} s, slowest {:.3f} s".format(
            *map(found.percentile, (0.5, 0.95, 0.99)), found.spans[-1]
        )
    )
    print(f"{1000 * found.cpu / len(found.spans):.2f} ms of processor a request, the server's whole life counted")
    print(f"{len(found.cycles)} cycles beside it, slowest {max(found.cycles):.2f} s, {found.late} late")
    print(f"{found.upkeeps} upkeeps, {found.backups} backups kept, old rows purged: {'yes' if found.purged else 'no'}")
    for line in found.said:
        print(f"said: {line}")
    return int(
        bool(bad or found.percentile(0.95) >= 1 or found.late or not found.purged or not found.backups or found.said)
    )


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0, int(sys.argv[2]) if len(sys.argv) > 2 else 200))
