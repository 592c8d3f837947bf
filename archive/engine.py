"""Which engine holds a data folder's rows: SQLite, in the folder itself (the default), or PostgreSQL, at a URL.

One machine alone is on SQLite and never comes further than this file. `VIGIE_DATABASE_URL` puts the same tables on
PostgreSQL (docs/fleet.md); archive/settings.py says so here when it is read. What differs between the two stands in
archive/postgresql.py, archive/dialect.py and nowhere else: the rest of Vigie writes one SQL and knows one connection.
"""

_urls: dict[str, str] = {}
LOCAL = ("", "localhost", "127.0.0.1", "::1")


def use(data: str, url: str) -> None:
    """From now on, this process finds the rows of `data` at `url`; '' for SQLite."""
    if url:
        _urls[data] = url
    else:
        _urls.pop(data, None)


def url_of(data: str) -> str:
    """'' while the folder's rows are in SQLite."""
    return _urls.get(data, "")


def folder_of(url: str) -> str:
    """The data folder whose rows are at this URL. Raises KeyError where none is."""
    return {kept: data for data, kept in _urls.items()}[url]


def checked(url: str) -> str:
    """A URL for VIGIE_DATABASE_URL; beyond this machine it is TLS with a verified certificate. Raises ValueError."""
    if not url:
        return url
    from urllib.parse import parse_qs, urlsplit  # only where there is a URL: the minute's path has none

    parts = urlsplit(url)
    given = parse_qs(parts.query)
    if parts.scheme not in ("postgresql", "postgres") or not parts.path.strip("/"):
        raise ValueError
    hosts = given.get("host", [parts.hostname or ""])
    local = all(host in LOCAL or host.startswith("/") for value in hosts for host in value.split(","))
    mode = given.get("sslmode", [""])[-1]
    if not local and mode not in ("", "verify-full"):
        raise ValueError
    if not local and not mode:
        url += ("&" if parts.query else "?") + "sslmode=verify-full"
    return url


def shown(url: str) -> str:
    """The URL as it may be told: without the password."""
    from urllib.parse import parse_qs, urlsplit  # only where there is a URL: the minute's path has none

    parts = urlsplit(url)
    where = parts.hostname or parse_qs(parts.query).get("host", [""])[-1]
    return f"postgresql://{where}{f':{parts.port}' if parts.port else ''}{parts.path}"
