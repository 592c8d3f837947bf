"""What the administrator decided, from the environment and `settings.env`, checked by name.

`settings.env` is the one form that Bash, Python, cron and systemd share: `KEY=value`, one a line, `#` comments,
no quotes needed, no expansion. The environment wins over the file. It is data: nothing in it is ever run.
"""

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from archive import engine, rights

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class SettingsError(Exception):
    """A setting that cannot be used: says where it stands, its value, and what was expected."""


class Settings(NamedTuple):
    """Every setting, parsed. Paths are absolute; `listen` is (host, port); lists are tuples."""

    data: str
    database_url: str
    fleet_ca_file: str
    backup_dir: str
    web: bool
    wait: bool
    listen: tuple[str, int]
    url: str
    trusted_hosts: tuple[str, ...]
    proxy_hops: int
    read: str
    host_name: str
    timezone: str
    language: str
    probes: tuple[str, ...]
    users: str
    ping_url: str
    certfr_url: str
    debian_tracker: str
    debian_tracker_url: str
    smtp_host: str
    smtp_port: int
    smtp_security: str
    smtp_ca_file: str
    smtp_user: str
    smtp_password: str
    mail_from: str
    mail_to: tuple[str, ...]
    notify_urls: tuple[str, ...]
    evidence_arguments: bool
    root: str

    def __repr__(self) -> str:
        # A password must not reach a log through a traceback.
        return f"Settings(data={self.data!r}, ...)"


class _Setting(NamedTuple):
    default: str
    expected: str
    parse: Callable[[str], object]


def _text(value: str) -> str:
    return value


def _flag(value: str) -> bool:
    if value not in ("0", "1"):
        raise ValueError
    return value == "1"


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not (value.isascii() and value.isdigit()) or not low <= int(value) <= high:
            raise ValueError
        return int(value)

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in words:
            raise ValueError
        return value

    return parse


def _listen(value: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host:
        raise ValueError
    return host, _number(1, 65535)(port)


def _list(separator: str) -> Callable[[str], tuple[str, ...]]:
    return lambda value: tuple(part.strip() for part in value.split(separator) if part.strip())


def address(value: str) -> str:
    """One addr-spec, nothing more: EmailMessage would make two addresses of `a@b, c@d`. Raises ValueError."""
    name, at, domain = value.rpartition("@")
    bad = set(' \t\r\n,;<>"()[]\\') | {"\x00"}
    if not at or not name or "." in (domain[:1], domain[-1:]) or not domain or bad & set(value) or "@" in name:
        raise ValueError
    if not all(part and not part.startswith("-") for part in domain.split(".")) or not value.isprintable():
        raise ValueError
    return value


def _addresses(value: str) -> tuple[str, ...]:
    return tuple(address(part.strip()) for part in value.split(",") if part.strip())


def _apprise_urls(value: str) -> tuple[str, ...]:
    """Addresses that Apprise knows, separated by spaces: a comma may stand in one. Its way to trust anybody is refused."""
    found = tuple(value.split())
    for url in found:
        kind, mark, rest = url.partition("://")
        known = kind[:1].isalpha() and all(c.isascii() and (c.isalnum() or c in "+.-") for c in kind)
        query = rest.partition("?")[2].lower()
        trusting = any(
            part.partition("=")[0] == "verify" and part.partition("=")[2] not in ("yes", "true", "1")
            for part in query.replace(";", "&").split("&")
        )
        if not mark or not known or not rest or trusting or not url.isprintable():
            raise ValueError
    return found


def _url(*, http_on_loopback_only: bool = False) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not value:
            return value
        scheme, mark, rest = value.partition("://")
        authority = rest.partition("/")[0]
        host = authority.rpartition("@")[2]
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        if not mark or not name or scheme not in ("http", "https") or any(c.isspace() for c in value):
            raise ValueError
        if http_on_loopback_only and ("@" in authority or (scheme == "http" and name not in LOOPBACK)):
            raise ValueError
        return value.rstrip("/")

    return parse


def _timezone(value: str) -> str:
    if value:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(value)
        except Exception as error:  # zoneinfo raises several kinds for a hostile name
            raise ValueError from error
    return value


_SMTP_PORTS = {"tls": 465, "starttls": 587, "relay": 25, "none": 25}
_SITE = ("an address that begins with https:// (http:// on this machine only)", _url(http_on_loopback_only=True))
KNOWN: dict[str, _Setting] = {
    "VIGIE_DATA": _Setting("data", "a folder", _text),
    "VIGIE_DATABASE_URL": _Setting(
        "",
        "postgresql://user@host/name, for the centre of a fleet (docs/fleet.md); to another machine with"
        " sslmode=verify-full, which holds when none is given",
        engine.checked,
    ),
    "VIGIE_FLEET_CA_FILE": _Setting("", "a file of certificates that the centre is verified by", _text),
    "VIGIE_BACKUP_DIR": _Setting("", "a folder", _text),
    "VIGIE_WEB": _Setting("1", "0 or 1", _flag),
    "VIGIE_WAIT": _Setting("1", "0 or 1", _flag),
    "VIGIE_LISTEN": _Setting("127.0.0.1:5000", "address:port, for example 127.0.0.1:5000", _listen),
    "VIGIE_URL": _Setting("", "an address that begins with http:// or https://", _url()),
    "VIGIE_TRUSTED_HOSTS": _Setting("", "host names, separated by commas", _list(",")),
    "VIGIE_PROXY_HOPS": _Setting("0", "how many proxies stand in front, 0 to 9", _number(0, 9)),
    "VIGIE_READ": _Setting("open", "open or login", _one_of("open", "login")),
    "VIGIE_HOST_NAME": _Setting("", "a name for this machine", _text),
    "VIGIE_TIMEZONE": _Setting("", "a time zone such as Europe/Paris", _timezone),
    "VIGIE_LANGUAGE": _Setting("fr", "fr or en", _one_of("fr", "en")),
    "VIGIE_PROBES": _Setting("probes", "folders, separated by colons", _list(":")),
    "VIGIE_USERS": _Setting("names", "names, pseudonyms or off", _one_of("names", "pseudonyms", "off")),
    "VIGIE_PING_URL": _Setting("", "an address that begins with http:// or https://", _url()),
    "VIGIE_CERTFR_URL": _Setting("https://www.cert.ssi.gouv.fr", *_SITE),
    "VIGIE_DEBIAN_TRACKER": _Setting("off", "off, json or debsecan", _one_of("off", "json", "debsecan")),
    "VIGIE_DEBIAN_TRACKER_URL": _Setting("https://security-tracker.debian.org", *_SITE),
    "VIGIE_SMTP_HOST": _Setting("", "the name of the mail server", _text),
    "VIGIE_SMTP_PORT": _Setting("0", "a port, or 0 for the usual one", _number(0, 65535)),
    "VIGIE_SMTP_SECURITY": _Setting("starttls", "tls, starttls, relay or none", _one_of(*_SMTP_PORTS)),
    "VIGIE_SMTP_CA_FILE": _Setting("", "a file of certificates", _text),
    "VIGIE_SMTP_USER": _Setting("", "a name", _text),
    "VIGIE_SMTP_PASSWORD": _Setting("", "a password", _text),
    "VIGIE_SMTP_PASSWORD_FILE": _Setting("", "a file that holds the password", _text),
    "VIGIE_MAIL_FROM": _Setting("", "one address such as vigie@example.org", lambda v: address(v) if v else v),
    "VIGIE_MAIL_TO": _Setting("", "addresses, separated by commas", _addresses),
    "VIGIE_NOTIFY_URLS": _Setting(
        "", "Apprise addresses such as ntfy://host/topic, separated by spaces, without verify=no", _apprise_urls
    ),
    "VIGIE_EVIDENCE_ARGUMENTS": _Setting("0", "0 or 1", _flag),
}
# What holds a password or a key: never shown, not even in the error that names it.
_SECRET = ("PASSWORD", "DATABASE_URL", "NOTIFY_URLS", "PING_URL")
# From the environment alone: the tests' clock and their stand-in for `/`. INTERNAL names are the runner's own.
ENVIRONMENT_ONLY = ("VIGIE_NOW", "VIGIE_ROOT")
INTERNAL = ("VIGIE_STATE", "VIGIE_FIRST", "VIGIE_HOMES_TEXT", "VIGIE_SETTINGS", "VIGIE_CYCLE")


def settings_file(environ: Mapping[str, str]) -> str:
    """Where settings.env is looked for: in the environment's VIGIE_DATA, else in the project's own data/."""
    return os.path.join(_absolute(environ.get("VIGIE_DATA") or "data"), "settings.env")


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in force. Raises SettingsError that names the file, the line, the value and what was expected."""
    environ = os.environ if environ is None else environ
    given: dict[str, tuple[str, str]] = {}
    path = settings_file(environ)
    try:
        with open(path, encoding="utf-8") as file:
            if not rights.trusted(file.fileno(), os.path.dirname(path)):
                raise SettingsError(
                    f"{path}: can be changed by another than its folder's owner, and it says what is run; type:"
                    f" sudo chown --reference={os.path.dirname(path)!r} {path!r}; sudo chmod 640 {path!r}"
                )
            given.update(_parse_file(file.read(), path))
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from error
    for name, value in environ.items():
        if name.startswith("VIGIE_") and name not in ENVIRONMENT_ONLY and name not in INTERNAL:
            given[name] = (value, "the environment")
    return _settings(given, environ.get("VIGIE_ROOT", ""))


def _parse_file(text: str, path: str) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.removesuffix("\r")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        where = f"{path}, line {number}"
        # Bash, cron and systemd read the file too: a space that one takes and another does not would be two settings.
        if not equals or name != name.strip() or value != value.strip():
            shown = "(hidden)" if _is_secret(line) else repr(line)
            raise SettingsError(f"{where}: {shown} is not of the form KEY=value, without spaces around the =")
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        if name in ENVIRONMENT_ONLY:
            raise SettingsError(f"{where}: {name} is taken from the environment alone; take the line out")
        if name in found:
            raise SettingsError(f"{where}: {name} stands already in {found[name][1].rpartition(', ')[2]}: keep one")
        found[name] = (value, where)
    return found


def _settings(given: Mapping[str, tuple[str, str]], root: str) -> Settings:
    values: dict[str, object] = {}
    for name in given:
        if name not in KNOWN:
            raise SettingsError(f"{given[name][1]}: {name} is not a setting of Vigie{_nearest(name)}")
    for name, setting in KNOWN.items():
        value, where = given.get(name, (setting.default, "the default"))
        if not value and name in ("VIGIE_DATA", "VIGIE_PROBES"):
            value = setting.default  # as ${VIGIE_DATA:-data} in run_all.sh; never the project's own folder
        if any(c < " " or "\x7f" <= c < "\xa0" for c in value):
            raise SettingsError(f"{where}: {name} holds a control character")
        try:
            values[name] = setting.parse(value)
        except ValueError:
            shown = "(hidden)" if _is_secret(name) else repr(value)
            raise SettingsError(f"{where}: {name}={shown}: expected {setting.expected}") from None
    return _joined(values, given, root)


def _is_secret(text: str) -> bool:
    return any(word in text.upper() for word in _SECRET)


def _joined(values: dict[str, object], given: Mapping[str, tuple[str, str]], root: str) -> Settings:
    """What depends on two settings at once."""
    data = _absolute(str(values["VIGIE_DATA"]))
    security, host = str(values["VIGIE_SMTP_SECURITY"]), str(values["VIGIE_SMTP_HOST"])
    user = str(values["VIGIE_SMTP_USER"])
    password = _password(given, str(values["VIGIE_SMTP_PASSWORD"]), str(values["VIGIE_SMTP_PASSWORD_FILE"]))
    if security in ("relay", "none") and (user or password):
        raise SettingsError(
            f"VIGIE_SMTP_SECURITY={security} sends in clear, so it takes no user or password: use tls or starttls"
        )
    if security == "none" and host and host not in LOOPBACK:
        raise SettingsError(
            f"VIGIE_SMTP_SECURITY=none is for a server on this machine, not {host!r}: use starttls, tls or relay"
        )
    listen = values["VIGIE_LISTEN"]
    url = str(values["VIGIE_URL"]) or _own_url(listen)  # type: ignore[arg-type]
    fields = {name.removeprefix("VIGIE_").lower(): value for name, value in values.items()}
    del fields["smtp_password_file"]
    fields |= {
        "data": data,
        "backup_dir": _absolute(str(values["VIGIE_BACKUP_DIR"]) or os.path.join(data, "backups")),
        "url": url,
        "host_name": str(values["VIGIE_HOST_NAME"]) or os.uname().nodename,
        "timezone": str(values["VIGIE_TIMEZONE"]) or _machine_timezone(root),
        "probes": tuple(_absolute(folder) for folder in values["VIGIE_PROBES"]),  # type: ignore[attr-defined]
        "smtp_port": values["VIGIE_SMTP_PORT"] or _SMTP_PORTS[security],
        "smtp_password": password,
        "root": root,
    }
    engine.use(data, str(values["VIGIE_DATABASE_URL"]))
    return Settings(**fields)  # type: ignore[arg-type]


def _own_url(listen: tuple[str, int]) -> str:
    host, port = listen
    if host in LOOPBACK:
        return f"http://localhost:{port}"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _password(given: Mapping[str, tuple[str, str]], password: str, path: str) -> str:
    if password and path:
        raise SettingsError("VIGIE_SMTP_PASSWORD and VIGIE_SMTP_PASSWORD_FILE are both set: keep one")
    if not path:
        return password
    try:
        with open(_absolute(path), encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        where = given["VIGIE_SMTP_PASSWORD_FILE"][1]
        raise SettingsError(f"{where}: VIGIE_SMTP_PASSWORD_FILE={path}: cannot be read: {error}") from error


def _machine_timezone(root: str) -> str:
    """The zone that /etc/localtime points at; UTC where it says nothing."""
    try:
        target = os.readlink(f"{root}/etc/localtime")
    except OSError:
        return "UTC"
    return target.partition("zoneinfo/")[2] or "UTC"


def _nearest(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, KNOWN, 1)
    return f" (did you mean {near[0]}?)" if near else ""


def _absolute(path: str) -> str:
    return os.path.normpath(os.path.join(ROOT, path))
