"""Why CERT-FR could not be read: the reading's own sentences, in the reader's words."""

import pytest

from alerts.words import Words
from archive.certfr import http, round
from tests.web import site
from web import readings

FR, EN = Words("fr", "Europe/Paris"), Words("en", "Europe/Paris")


def test_giving_up_is_said_in_french() -> None:
    said = f"{round.GIVE_UP} failures in a row: given up until the next round"
    assert site.plain(readings.problem(said, FR)) == "5 échecs de suite : abandonné jusqu’à la prochaine lecture"
    assert readings.problem(said, EN) == said


@pytest.mark.parametrize(
    ("facts", "french"),
    [
        ({"status": 503}, "http://x.example/a : le site a répondu par l’état 503 ; nouvel essai plus tard"),
        ({"problem": "network", "detail": "Connection refused"}, "http://x.example/a : pas de connexion"),
    ],
)
def test_what_the_fetcher_says_is_known(facts: dict[str, object], french: str) -> None:
    """The sentences come from the fetcher itself: one that changes there is missed here."""
    with pytest.raises(http.FetchError) as error:
        http._answer("http://x.example/a", facts, b"", conditional=False, setting="VIGIE_CERTFR_URL")
    assert site.plain(readings.problem(str(error.value), FR)).startswith(french)


def test_what_is_not_known_is_shown_as_it_is() -> None:
    assert readings.problem("", FR) == ""
    assert readings.problem("nobody has seen this <b>", FR) == "nobody has seen this <b>"
