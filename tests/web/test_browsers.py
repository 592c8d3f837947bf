"""A browser by the words that a person knows it by."""

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from tests.web import site
from web import browsers

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return site.site(site.folder(str(tmp_path_factory.mktemp("browsers") / "data")))


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        (CHROME, "Chrome 156 sur Linux"),
        (f"{CHROME} Edg/156.0.1.2", "Edge 156 sur Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:153.0) Gecko/20100101 Firefox/153.0", "Firefox 153 sur Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0"
         " Mobile/15E148 Safari/604.1", "Safari 19 sur iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1"
         " Safari/605.1.15", "Safari 26 sur macOS"),
        ("Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36",
         "Chrome 156 sur Android"),
        ("curl/8.14.1", "curl/8.14.1"),
        ("", "navigateur sans nom"),
        ("x" * 300, "x" * 59 + "…"),
    ],
)  # fmt: skip
def test_a_browser_is_called_by_its_name(app: Flask, agent: str, told: str) -> None:
    with app.test_request_context(headers={"Accept-Language": "fr"}):
        assert browsers.name(agent) == told


@given(st.text(max_size=300))
def test_any_line_of_a_stranger_is_short(app: Flask, agent: str) -> None:
    with app.test_request_context():
        assert 0 < len(browsers.name(agent)) <= 60


def test_the_sessions_page_says_it_and_escapes_it(app: Flask) -> None:
    site.add_person(app.config["VIGIE"].data)
    client = app.test_client()
    site.log_in(client, **{"User-Agent": CHROME})
    site.log_in(app.test_client(), **{"User-Agent": "<b>me</b>"})
    page = client.get("/sessions").text
    assert "Chrome 156 sur Linux" in page
    assert f'title="{CHROME}"' in page
    assert "&lt;b&gt;me&lt;/b&gt;" in page
    assert "<b>me" not in page
