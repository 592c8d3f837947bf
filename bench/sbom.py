"""A bill of materials (CycloneDX 1.5, JSON) of what Vigie is built on: `.venv-dev/bin/python -m bench.sbom > sbom.json`.

Made from the pins and hashes of a requirements file, so that it lists what is installed and nothing else; licences are
what the installed packages say of themselves. The same file gives the same bytes: no time, no random number in it.
"""

import json
import re
import sys
import uuid
from importlib import metadata
from typing import NamedTuple

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
# Packages whose metadata say nothing; their repositories do.
UNSAID = {"resvg-py": "MPL-2.0"}


class Pinned(NamedTuple):
    name: str
    version: str
    hashes: tuple[str, ...]  # of each wheel and source there is


def pinned(text: str) -> list[Pinned]:
    """What a requirements file with hashes pins. ValueError for one without a hash: it would not be checked when installed."""
    found = []
    for block in text.replace("\\\n", " ").split("\n"):
        pin = _PIN.match(block)
        if pin:
            hashes = tuple(_HASH.findall(block))
            if not hashes:
                raise ValueError(f"{pin[1]}=={pin[2]}: has no hash; make the file by pip-compile --generate-hashes")
            found.append(Pinned(pin[1], pin[2], hashes))
    return found


def licence(name: str) -> str:
    """What the installed package says: its expression, else its classifiers; '' when it is not installed or says nothing."""
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    expression = said.get("License-Expression", "")
    classifiers = [one.rpartition(" :: ")[2] for one in said.get_all("Classifier", []) if one.startswith("License ::")]
    return (
        expression or ", ".join(classifiers) or said.get("License", "").partition("\n")[0][:80] or UNSAID.get(name, "")
    )


def bill(text: str, version: str) -> dict[str, object]:
    """The whole document."""
    parts = []
    for one in pinned(text):
        purl = f"pkg:pypi/{re.sub('[-_.]+', '-', one.name).lower()}@{one.version}"
        part: dict[str, object] = {
            "type": "library",
            "bom-ref": purl,
            "name": one.name,
            "version": one.version,
            "purl": purl,
            "externalReferences": [
                {
                    "type": "distribution",
                    "url": purl,
                    "hashes": [{"alg": "SHA-256", "content": digest} for digest in one.hashes],
                }
            ],
        }
        said = licence(one.name)
        if said:
            part["licenses"] = [{"license": {"name": said}}]
        parts.append(part)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, version + text)}",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "vigie", "name": "vigie", "version": version}},
        "components": parts,
        "dependencies": [{"ref": "vigie", "dependsOn": [part["bom-ref"] for part in parts]}],
    }


def main(argv: list[str]) -> int:
    from web.__main__ import version

    path = argv[0] if argv else "requirements.txt"
    with open(path, encoding="utf-8") as file:
        json.dump(bill(file.read(), version()), sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
