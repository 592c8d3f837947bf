"""A machine whose every name is hostile, for the tests of what leaves the dashboard."""

from alerts import cycle
from tests import cycles
from tests.faults.evil import PAYLOADS
from tests.web import site
from tests.web.site import NOW

__all__ = ["PAYLOADS", "hostile"]


def hostile(path: str) -> str:
    """Every payload as a user, a mount, a device, a probe's text and the reason of a failed probe."""
    site.folder(path)

    def quoted(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    for step in range(20):
        at = NOW - (19 - step) * 60
        sections = dict(cycles.machine(at, cpu=0.97))
        names = [quoted(payload) for payload in PAYLOADS]
        sections["processes"] = "# TYPE user_cpu_seconds_total counter\n" + "".join(
            f'user_cpu_seconds_total{{user="{name}"}} {step * 40 + number}\nuser_memory_bytes{{user="{name}"}} {number + 1}000000\n'
            for number, name in enumerate(names)
        )
        sections["disk"] = "# WARN disk_used_ratio > 0.90\n" + "".join(
            f'disk_used_ratio{{mount="{name}"}} 0.95\n' for name in names[:12]
        )
        sections["users"] = "".join(
            f'login_info{{user="{name}",tty="{name}",from="{name}",since="{name}"}} 1\n' for name in names
        )
        sections["evil"] = (
            '# HELP evil_ratio <script>alert(1)</script>\n# HELP.fr evil_ratio "><img src=x onerror=alert(1)>\n# WARN evil_ratio > 0.5\n'
            "evil_ratio 0.9\n"
        )
        sections["broken"] = cycles.Failed("<script>alert(2)</script>")
        cycles.write(path, at, sections)
    cycle.run(site.config(path), NOW)
    return path
