"""Settings: one form for Bash, Python, cron and systemd; what cannot be used is refused by name."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import settings
from archive.settings import SettingsError, load


@pytest.fixture
def env(tmp_path):
    """An environment whose settings.env is the given text."""

    def make(text="", **more):
        (tmp_path / "settings.env").write_text(text, encoding="utf-8")
        return {"VIGIE_DATA": str(tmp_path), **more}

    return make


def test_without_a_file_the_defaults_hold(tmp_path):
    found = load({"VIGIE_DATA": str(tmp_path)})

    assert found.data == str(tmp_path)
    assert found.backup_dir == str(tmp_path / "backups")
    assert (found.listen, found.web, found.language, found.read) == (("127.0.0.1", 5000), True, "fr", "open")
    assert found.url == "http://localhost:5000"
    assert found.probes == (os.path.join(settings.ROOT, "probes"),)
    assert (found.smtp_port, found.mail_to) == (587, ())


def test_the_environment_wins_over_the_file(env):
    assert load(env("VIGIE_LANGUAGE=en\n", VIGIE_LANGUAGE="fr")).language == "fr"


def test_an_empty_folder_is_the_default_never_the_project_itself(env):
    assert load({"VIGIE_DATA": ""}).data == os.path.join(settings.ROOT, "data")
    assert load(env("VIGIE_PROBES=\n")).probes == (os.path.join(settings.ROOT, "probes"),)


def test_comments_empty_lines_windows_ends_and_quotes_are_understood(env):
    found = load(env("# words\r\n\r\nVIGIE_HOST_NAME=\"le serveur d'à côté\"\r\n  # more\nVIGIE_WEB='0'"))

    assert (found.host_name, found.web) == ("le serveur d'à côté", False)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("VIGIE_LANGAGE=fr", "VIGIE_LANGAGE is not a setting of Vigie (did you mean VIGIE_LANGUAGE?)"),
        ("PATH=/tmp", "PATH is not a setting"),
        ("VIGIE_WEB=yes", "VIGIE_WEB='yes': expected 0 or 1"),
        ("VIGIE_WEB = 1", "not of the form KEY=value"),
        ("VIGIE_WEB= 1", "not of the form KEY=value"),
        ("export VIGIE_WEB=1", "is not a setting"),
        ("VIGIE_WEB", "not of the form KEY=value"),
        ("VIGIE_LISTEN=5000", "expected address:port"),
        ("VIGIE_LISTEN=127.0.0.1:0", "expected address:port"),
        ("VIGIE_LISTEN=127.0.0.1:65536", "expected address:port"),
        ("VIGIE_LISTEN=127.0.0.1:٥", "expected address:port"),
        ("VIGIE_PROXY_HOPS=10", "0 to 9"),
        ("VIGIE_LANGUAGE=de", "fr or en"),
        ("VIGIE_TIMEZONE=Europe/Atlantis", "a time zone such as"),
        ("VIGIE_TIMEZONE=../../etc/passwd", "a time zone such as"),
        ("VIGIE_TIMEZONE=/etc/passwd", "a time zone such as"),
        ("VIGIE_URL=vigie.example.org", "http:// or https://"),
        ("VIGIE_URL=javascript://x", "http:// or https://"),
        ("VIGIE_CERTFR_URL=http://www.cert.ssi.gouv.fr", "http:// on this machine only"),
        ("VIGIE_CERTFR_URL=http://localhost.evil.example", "http:// on this machine only"),
        ("VIGIE_CERTFR_URL=http://127.0.0.1@evil.example/", "http:// on this machine only"),
        ("VIGIE_CERTFR_URL=https://user@www.cert.ssi.gouv.fr", "http:// on this machine only"),
        ("VIGIE_CERTFR_URL=file:///etc/passwd", "http:// on this machine only"),
        ("VIGIE_MAIL_TO=a@b.example, c", "addresses, separated by commas"),
        ("VIGIE_MAIL_TO=a@b@c.example", "addresses"),
        ('VIGIE_MAIL_TO="x" <a@b.example>', "addresses"),
        ("VIGIE_MAIL_FROM=a@b.example,c@d.example", "one address"),
        ("VIGIE_MAIL_FROM=@b.example", "one address"),
        ("VIGIE_MAIL_FROM=a@.example", "one address"),
        ("VIGIE_SMTP_SECURITY=ssl", "tls, starttls, relay or none"),
        ("VIGIE_SMTP_PORT=99999", "a port"),
        ("VIGIE_HOST_NAME=a\x1b[2J", "control character"),
        ("VIGIE_NOW=1", "taken from the environment alone"),
        ("VIGIE_ROOT=/x", "taken from the environment alone"),
    ],
)
def test_a_bad_line_is_refused_by_file_line_and_name(env, tmp_path, line, why):
    with pytest.raises(SettingsError) as caught:
        load(env(f"# first\n{line}\n"))

    assert f"{tmp_path / 'settings.env'}, line 2: " in str(caught.value)
    assert why in str(caught.value)


def test_a_key_that_stands_twice_is_refused_because_bash_and_python_would_differ(env):
    with pytest.raises(SettingsError, match="line 3: VIGIE_WEB stands already in line 1"):
        load(env("VIGIE_WEB=1\n\nVIGIE_WEB=0\n"))


def test_a_bad_value_of_the_environment_says_so(env):
    with pytest.raises(SettingsError, match="the environment: VIGIE_WEB='2'"):
        load(env(VIGIE_WEB="2"))


def test_an_unreadable_file_is_named(tmp_path):
    (tmp_path / "settings.env").write_bytes(b"VIGIE_WEB=1\n\xff\n")

    with pytest.raises(SettingsError, match=r"settings\.env: cannot be read"):
        load({"VIGIE_DATA": str(tmp_path)})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("VIGIE_SMTP_SECURITY=relay\nVIGIE_SMTP_USER=a", "takes no user or password"),
        ("VIGIE_SMTP_SECURITY=none\nVIGIE_SMTP_PASSWORD=a", "takes no user or password"),
        ("VIGIE_SMTP_SECURITY=none\nVIGIE_SMTP_HOST=mail.example", "on this machine"),
        ("VIGIE_SMTP_PASSWORD=a\nVIGIE_SMTP_PASSWORD_FILE=/b", "keep one"),
        ("VIGIE_SMTP_PASSWORD_FILE=/nowhere/at/all", "cannot be read"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(env, text, why):
    with pytest.raises(SettingsError, match=why):
        load(env(text))


@pytest.mark.parametrize(("security", "port"), [("tls", 465), ("starttls", 587), ("relay", 25), ("none", 25)])
def test_the_mail_port_follows_the_security(env, security, port):
    assert load(env(f"VIGIE_SMTP_SECURITY={security}\n")).smtp_port == port


def test_the_password_file_gives_its_first_line(env, tmp_path):
    (tmp_path / "password").write_text("canary-é\nsecond\n", encoding="utf-8")

    assert load(env(f"VIGIE_SMTP_PASSWORD_FILE={tmp_path / 'password'}\n")).smtp_password == "canary-é"


@pytest.mark.parametrize(
    "line",
    ["VIGIE_SMTP_PASSWORD=canary\x01", "VIGIE_SMTP_PASSWORD canary", "VIGIE_SMTP_PASSWORD =canary", "vigie_smtp_password canary"],
)  # fmt: skip
def test_w31_a_password_is_in_no_error_and_no_repr(env, line):
    with pytest.raises(SettingsError) as caught:
        load(env(f"{line}\n"))

    assert "canary" not in str(caught.value)
    assert "canary" not in repr(load(env("VIGIE_SMTP_PASSWORD=canary\n")))


@pytest.mark.parametrize(
    ("listen", "pair", "url"),
    [
        ("0.0.0.0:80", ("0.0.0.0", 80), "http://0.0.0.0:80"),
        ("[::1]:5000", ("::1", 5000), "http://localhost:5000"),
        ("[2001:db8::1]:443", ("2001:db8::1", 443), "http://[2001:db8::1]:443"),
    ],
)
def test_an_address_of_either_kind_is_listened_on(env, listen, pair, url):
    found = load(env(f"VIGIE_LISTEN={listen}\n"))

    assert (found.listen, found.url) == (pair, url)


def test_the_runners_own_names_in_the_environment_are_no_mistake(env):
    load(env(VIGIE_STATE="/x", VIGIE_NOW="1", VIGIE_ROOT="/y"))


def said(step):
    """The error's words, or some that pass."""
    try:
        step()
    except SettingsError as error:
        return str(error)
    return "FILE, line 0: VIGIE_ taken"


@given(st.text(max_size=200))
def test_any_file_is_settings_or_an_error_that_names_it(text):
    assert said(lambda: settings._parse_file(text, "FILE")).startswith("FILE, line ")


@given(st.sampled_from(sorted(settings.KNOWN)), st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_value_is_taken_or_refused_with_its_name(name, value):
    assert "VIGIE_" in said(lambda: settings._settings({name: (value, "HERE")}, ""))
