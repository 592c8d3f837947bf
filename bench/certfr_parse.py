"""What the parsers make of every sample: exceptions, and how many affected lines carry a bound they understood.

    python -m bench.certfr_parse PATH... [--vendors] [--unknown]

PATH: folders or files of publications (.json, .jsonl, .jsonl.gz), pages (.html), feeds (.xml). Exit status 1 when a
parser failed, or when the share of bounded lines of the server vendors is below 88 %.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from archive.certfr import index, judge, lines
from archive.certfr.page import PageError, parse_page
from archive.certfr.publication import Publication, PublicationError, canonical, parse

FLOOR = 0.88  # the share a strict one-line grammar was measured to reach
SITE = "https://www.cert.ssi.gouv.fr"
# Software that runs on Linux machines, as CERT-FR spells the vendors.
SERVERS = frozenset(
    [
        "Apache",
        "Asterisk",
        "Centreon",
        "ClamAV",
        "Curl",
        "Docker",
        "Dovecot",
        "Drupal",
        "Elastic",
        "Exim",
        "FreeRadius",
        "GLPI",
        "GhostScript",
        "GitLab",
        "GnuTLS",
        "Grafana Labs",
        "HAProxy",
        "ISC",
        "Joomla!",
        "Keycloak",
        "LibreNMS",
        "Libreoffice",
        "MISP",
        "MariaDB",
        "Mattermost",
        "MongoDB",
        "Moodle",
        "Mozilla",
        "Nagios",
        "Nextcloud",
        "Nginx",
        "Node.js",
        "OpenPrinting",
        "OpenSSH",
        "OpenSSL",
        "Owncloud",
        "PHP",
        "Postfix",
        "PostgreSQL",
        "Python",
        "Redis",
        "Redmine",
        "Roundcube",
        "Ruby on Rails",
        "SPIP",
        "Samba",
        "Squid",
        "StrongSwan",
        "Sudo",
        "Suricata",
        "Symfony",
        "Synacor",
        "Traefik",
        "Typo3",
        "Wireshark",
        "WordPress",
        "XEN",
        "Zabbix",
        "phpMyAdmin",
    ]
)


class Count:
    """What was read, by kind of file; what failed; the affected lines by kind, all and of the server vendors."""

    def __init__(self) -> None:
        self.read: Counter[str] = Counter()
        self.failed: list[str] = []
        self.kinds: Counter[str] = Counter()
        self.servers: Counter[str] = Counter()
        self.vendors: Counter[str] = Counter()
        self.bounded: Counter[str] = Counter()
        self.unknown: list[str] = []

    def publication(self, publication: Publication) -> None:
        canonical(publication)
        for system in publication.systems:
            for line in lines.parse(system.description):
                self.kinds[line.kind] += 1
                if system.vendor in SERVERS:
                    self.servers[line.kind] += 1
                    self.vendors[system.vendor] += 1
                    self.bounded[system.vendor] += line.kind == lines.BOUNDS
                    if line.kind == lines.UNKNOWN:
                        self.unknown.append(f"{system.vendor}: {line.text}")

    @property
    def share(self) -> float:
        return self.servers[lines.BOUNDS] / max(1, self.servers.total())


def files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(child for child in path.rglob("*") if child.is_file()) if path.is_dir() else [path]


def read(path: Path, count: Count) -> None:
    name = path.name
    if name.endswith((".json", ".jsonl", ".jsonl.gz")):
        for where, obj in judge.objects(path):
            count.read["publications (JSON)"] += 1
            try:
                count.publication(parse(obj if isinstance(obj, dict) else {}))
            except PublicationError as error:
                count.failed.append(f"{where}: {error}")
    elif name.endswith(".xml"):
        found = index.parse_rss(path.read_bytes(), "alerte" if "alert" in name else "avis", SITE)
        count.read["feed items"] += len(found.entries)
    elif name.endswith(".html"):
        read_html(path, count)


def read_html(path: Path, count: Count) -> None:
    """A list when it holds one, else the page of one publication."""
    body = path.read_bytes()
    kind = "avis" if "avis" in path.name else "alerte"
    try:
        found = index.parse_html(body, kind, SITE)
        count.read["items of HTML lists"] += len(found.entries)
    except index.ListingError:
        try:
            count.publication(parse_page(body))
            count.read["publications (HTML)"] += 1
        except PageError as error:
            count.failed.append(f"{path}: {error}")


def main(argv: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description="What the parsers make of every sample.")
    options.add_argument("paths", nargs="+", type=Path)
    options.add_argument("--vendors", action="store_true", help="the share of each vendor")
    options.add_argument("--unknown", action="store_true", help="the lines that were not understood")
    chosen = options.parse_args(argv)
    start = time.perf_counter()
    count = Count()
    for path in files(chosen.paths):
        try:
            read(path, count)
        except Exception as error:
            count.failed.append(f"{path}: {type(error).__name__}: {error}")
    for what, number in sorted(count.read.items()):
        print(f"{what}: {number}")
    print(f"exceptions: {len(count.failed)}", *count.failed, sep="\n  ")
    print("affected lines:", ", ".join(f"{kind} {number}" for kind, number in count.kinds.most_common()))
    print("of the server vendors:", ", ".join(f"{kind} {number}" for kind, number in count.servers.most_common()))
    print(f"with a bound: {count.servers[lines.BOUNDS]} of {count.servers.total()}, {100 * count.share:.1f} %")
    if chosen.vendors:
        for vendor, number in count.vendors.most_common():
            print(f"  {vendor}: {count.bounded[vendor]} of {number}")
    if chosen.unknown:
        print("not understood:", *count.unknown, sep="\n  ")
    print(f"{time.perf_counter() - start:.2f} s")
    return 1 if count.failed or count.share < FLOOR else 0


if __name__ == "__main__":
    sys.exit(main())
