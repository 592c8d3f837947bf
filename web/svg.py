"""The one door by which markup made elsewhere enters a page."""

from markupsafe import Markup


def picture(svg: str) -> Markup:
    """A graph of ours: built by alerts/chart.py, passed through its filter, every text in it escaped there."""
    return Markup(svg)  # noqa: S704 see above


def publication(html: str) -> Markup:
    """A text of CERT-FR as archive/certfr/safe.py gave it: a few plain tags, links to the site alone."""
    return Markup(html)  # noqa: S704 see above


def rendered(html: str) -> Markup:
    """What a template of ours gave a moment ago, kept for the next reader: escaped when it was rendered."""
    return Markup(html)  # noqa: S704 see above
