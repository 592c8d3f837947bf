"""Whether a package comes from the distribution or from someone else, guessed from what the row says.

A vendor's own repository leaves a mark in the version ("pgdg", "~bookworm", "-ce.0"), has a name that no
distribution uses ("docker-ce", "google-chrome-stable"), or, for rpm, says so in the vendor field. What bears
no mark is taken for the distribution's: then an upstream bound alone never makes it affected.
"""

import re

DISTRIBUTION, BACKPORTS, THIRD_PARTY = "distribution", "backports", "third party"

DEB_MARK = re.compile(
    r"pgdg|sury\.org|nodesource|nodistro|\+maria~|percona|-(?:ce|ee)\.\d|~mt\d|ppa\d"
    r"|~(?:ubuntu[.-]?[\d.]*[~-]?)?(?:stretch|buster|bullseye|bookworm|trixie|bionic|focal|jammy|noble)\b"
    r"|-\d+(?:debian\d+|ubuntu(?:1[468]|2[0246])\.04)$|\+(?:debian|ubuntu)\d+(?:\.\d+)?$",
    re.ASCII,
)
RPM_MARK = re.compile(r"PGDG|nodesource|\.remi|\.ngx|percona|\.ius|pgdg", re.ASCII)
# The mark every package of these distributions bears in its release; SUSE has none.
RPM_OWN = re.compile(r"\.(?:el\d|fc\d|amzn|azl|cm\d|mga|module[+_]el)|module_el", re.ASCII)
RPM_OWN_SYSTEMS = frozenset({"rhel", "centos", "rocky", "almalinux", "fedora", "ol", "amzn"})
NAMES = re.compile(
    r"docker-(?:ce|buildx-plugin|compose-plugin|desktop|scan-plugin)|docker-ce-.*|containerd\.io"
    r"|gitlab-(?:ce|ee|runner)|google-(?:chrome|cloud)-.*|microsoft-edge-.*|code|powershell|mssql-.*|msodbcsql\d+"
    r"|mdatp|omi|scx|omsagent|azure-cli|packages-microsoft-prod|aspnetcore-.*|mongodb-org.*|mongodb-(?:mongosh|compass)"
    r"|mongodb-database-tools|mongocli|mongodb-atlas-cli|elasticsearch|kibana|logstash|apm-server|elastic-agent"
    r"|(?:file|metric|packet|audit|journal)beat|heartbeat-elastic|grafana|grafana-enterprise|influxdb2?|telegraf"
    r"|zimbra-.*|anydesk|teamviewer|zoom|slack-desktop|opera-stable|brave-browser|vivaldi-stable|[Nn]essus.*"
    r"|centreon.*|splunk|splunkforwarder|veeam.*|mysql-community-.*|mysql-workbench-community|mysql-apt-config"
    r"|percona-.*|pgadmin4.*|webmin|virtualbox-[67]\..*|jenkins|mattermost.*|kube(?:ctl|adm|let)|terraform|vault"
    r"|wazuh-.*|MariaDB-.*|icaclient|globalprotect|forticlient|kesl|efs|eea|matrix-synapse-py3"
    r"|datadog-agent|tailscale|cloudflared",
    re.ASCII,
)
DEB_MAINTAINER = re.compile(
    r"@(?:nginx\.com|docker\.com|gitlab\.com|elastic\.co|mongodb\.com|grafana\.com|google\.com|chromium\.org"
    r"|microsoft\.com|zabbix\.com|nodesource\.com|mariadb\.(?:org|com)|percona\.com|oracle\.com)\b",
    re.ASCII,
)
RPM_VENDOR = re.compile(r"red hat|fedora|centos|rocky|alma|suse|oracle america|amazon|mageia|openmandriva", re.I)


def origin_dpkg(name: str, version: str, maintainer: str = "") -> str:
    if DEB_MARK.search(version) or NAMES.fullmatch(name) or DEB_MAINTAINER.search(maintainer):
        return THIRD_PARTY
    return BACKPORTS if "~bpo" in version else DISTRIBUTION


def origin_rpm(name: str, version: str, system: str, vendor: str = "") -> str:
    """`vendor` is rpm's own VENDOR tag; a list that was saved without it leaves the name and the release."""
    if vendor and vendor != "(none)":
        return DISTRIBUTION if RPM_VENDOR.search(vendor) else THIRD_PARTY
    if RPM_MARK.search(version) or NAMES.fullmatch(name):
        return THIRD_PARTY
    if system in RPM_OWN_SYSTEMS and not RPM_OWN.search(version):
        return THIRD_PARTY
    return DISTRIBUTION
