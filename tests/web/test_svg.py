"""The one door by which markup enters a page: what passes, what is refused, and that there is no other."""

import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment
from markupsafe import escape

from archive.certfr import safe
from archive.settings import ROOT
from web import svg


def test_a_graph_enters_a_page_as_it_is_and_a_text_is_escaped() -> None:
    page = Environment(autoescape=True).from_string("{{ graph }}{{ text }}")
    drawn = '<svg viewBox="0 0 1 1"><path d="M0 0"/><text>a &lt; b</text></svg>'
    assert page.render(graph=svg.picture(drawn), text="<b>") == drawn + "&lt;b&gt;"


@pytest.mark.parametrize("foreign", [
    "<script>", "<svg><script/></svg>", "<svg><foreignObject></foreignObject></svg>", "<svg><image href='x'/></svg>", "<svg><a>x</a></svg>",
    "<svg><!-- x --></svg>", "<?xml version='1.0'?><svg/>", "<svg><text>a < b</text></svg>", "<svg><style>*{}</style></svg>", "<svgx>",
    "<svg><use href='#x'/></svg>", "<svg><animate onbegin='x'/></svg>", "<", "<svg><p>", "<\nscript>",
])  # fmt: skip
def test_w21_nothing_but_a_graph_s_own_elements_may_enter(foreign: str) -> None:
    with pytest.raises(svg.ForeignError):
        svg.picture(foreign)


@pytest.mark.parametrize("foreign", ["<script>", "<p><img src=x>", "<p onclick=x><iframe>", "<style>", "<svg>", "<!--"])
def test_a_publication_holds_only_the_plain_tags_that_were_kept(foreign: str) -> None:
    with pytest.raises(svg.ForeignError):
        svg.publication(foreign)


@given(st.text())
def test_whatever_a_publication_says_made_safe_it_may_enter(text: str) -> None:
    assert svg.publication(safe.to_html(text)).markup == safe.to_html(text)


@given(st.recursive(st.text(), st.lists))
def test_data_of_a_script_is_read_back_and_cannot_end_its_element(value: object) -> None:
    written = svg.data(value).markup
    assert json.loads(written) == value
    assert not set("<>&\u2028\u2029") & set(written)


def test_joined_with_a_text_it_is_no_markup_any_more() -> None:
    assert escape(f"{svg.rendered('<b>')}<i>") == "&lt;b&gt;&lt;i&gt;"
    assert not svg.rendered("")


def test_w16_there_is_no_other_door() -> None:
    """Nothing in the pages' code says of a text that it is markup, but web/svg.py."""
    wrong = []
    for folder, _folders, names in os.walk(os.path.join(ROOT, "web")):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), ROOT)
            if name.endswith(".py") and path != "web/svg.py":
                with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                    wrong += [f"{path}: {found}" for found in re.findall(r"Markup|__html__|\bOwn\(", file.read())]
    assert wrong == []
