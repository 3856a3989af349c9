import re

import pytest
from markupsafe import Markup

from ercsatz.reporting.html import render


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose one template prints ``text`` as text and in an attribute."""
    folder = tmp_path / "example_pages"
    (folder / "templates").mkdir(parents=True)
    (folder / "__init__.py").touch()
    template = '{% extends "page.html" %}{% block body %}<p title="{{ text }}">{{ text }}</p>{% endblock %}'
    (folder / "templates" / "example.html").write_text(template)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "example_pages"


def test_every_value_is_made_plain_and_escaped(package):
    page = render(package, "example.html", title="t", text='"><img src=x onerror=alert(1)>\n\u202eb')
    escaped = r"&#34;&gt;&lt;img src=x onerror=alert(1)&gt; \u202eb"
    assert f'<p title="{escaped}">{escaped}</p>' in page


def test_markup_stays(package):
    assert "<p title=" in (page := render(package, "example.html", title="t", text=Markup("<b>bold</b>")))
    assert "<b>bold</b></p>" in page


def test_page_allows_styles_and_nothing_else(package):
    page = render(package, "example.html", title="t", text="")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.split("; ")[:2] == ["default-src 'none'", "style-src 'unsafe-inline'"]
    assert not re.search(r"<(script|link|img|iframe|object|base|form)\b|@import|url\(", page)


def test_template_with_an_unknown_name_is_an_error(package):
    with pytest.raises(Exception, match="'text' is undefined"):
        render(package, "example.html", title="t")
