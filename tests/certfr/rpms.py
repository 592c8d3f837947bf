"""A small rpm repository, and a machine behind it: real rpmbuild, createrepo_c, dnf and zypper, all in one folder."""

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

NEEDED = ("rpm", "rpmbuild", "createrepo_c", "modifyrepo_c", "dnf", "zypper")
OLD, NEW, CVE, FIXED = "1.0-1", "1.0-2", "CVE-2026-1111", "CVE-2026-2222"
SPEC = """\
Name: {name}
Version: {version}
Release: {release}
Summary: x
License: x
BuildArch: noarch
%description
x
%files
"""
NOTICE = """\
<update from="x" status="final" type="security" version="1">
<id>{ident}</id><title>t</title><severity>Important</severity><issued date="2026-11-01 00:00:00"/>
<references><reference href="https://example.org/{cve}" id="{cve}" type="cve" title="{cve}"/></references>
<pkglist><collection short="x"><name>x</name>
<package name="tool" version="{version}" release="{release}" epoch="0" arch="noarch" src="tool.src.rpm">
<filename>tool-{version}-{release}.noarch.rpm</filename></package></collection></pkglist>
</update>
"""


class RpmWorld(NamedTuple):
    """The commands, each with where its machine stands. Installed: tool 1.0-1. Offered: 1.0-2, which corrects `CVE`."""

    dnf: list[str]
    zypper: list[str]


def build(folder: Path) -> RpmWorld:
    """Make it. Skips by name what is missing."""
    for name in NEEDED:
        if not shutil.which(name):
            pytest.skip(f"needs {name}")
    repository, root = folder / "repo", folder / "root"
    repository.mkdir()
    root.mkdir()
    for evr in (OLD, NEW):
        version, release = evr.split("-")
        spec = folder / "tool.spec"
        spec.write_text(SPEC.format(name="tool", version=version, release=release))
        run("rpmbuild", "-bb", "--define", f"_topdir {folder}/build", "--define", f"_rpmdir {repository}", str(spec))
    notices = "".join(
        NOTICE.format(ident=f"X-2026:{number}", cve=cve, version=evr.split("-")[0], release=evr.split("-")[1])
        for number, (cve, evr) in enumerate(((FIXED, OLD), (CVE, NEW)))
    )
    (folder / "updateinfo.xml").write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n<updates>\n{notices}</updates>\n')
    run("createrepo_c", "-q", str(repository))
    run("modifyrepo_c", str(folder / "updateinfo.xml"), str(repository / "repodata"))
    run("rpm", "--root", str(root), "--initdb")
    # Debian's rpm wants to be told that this is meant; --root keeps it off this machine.
    run("rpm", "--root", str(root), "--force-debian", "-i", "--nodeps", "--nosignature",
        str(repository / f"noarch/tool-{OLD}.noarch.rpm"))  # fmt: skip
    (folder / "dnf.conf").write_text(
        f"[main]\nreposdir={folder}/none\nvarsdir={folder}/none\ncachedir={folder}/cache\nlogdir={folder}\n"
        f"persistdir={folder}/persist\n[here]\nname=here\nbaseurl=file://{repository}\ngpgcheck=0\n"
    )
    dnf = ["dnf", "-c", str(folder / "dnf.conf"), f"--installroot={root}", "--releasever=9"]
    zypper = ["zypper", "--root", str(root)]
    run(*dnf, "-q", "makecache")
    run(*zypper, "--non-interactive", "--no-refresh", "addrepo", "--no-gpgcheck", f"file://{repository}", "here")
    run(*zypper, "--non-interactive", "--quiet", "refresh")
    return RpmWorld(dnf, zypper)


def run(*argv: str) -> None:
    # The environment of archive/certfr/inventory.py's own questions: Debian's rpm looks for its database under HOME.
    environ = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120, env=environ)
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
