"""Render a page: one HTML file that loads nothing and runs nothing."""

from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ercsatz.reporting.text import plain


def render(package: str, template: str, /, **values: Any) -> str:
    """Render a template that extends ``page.html``.

    Every value that a template prints is made ``plain`` and escaped, whether the template asks for it or not; only
    ``Markup``, such as an inline figure, is taken as it is.

    Args:
        package: with a folder ``templates``, e.g. ``ercsatz.ranking.report``; beside it are those of this package.
        template: a file there.
        values: what the template shows.

    Example:
        >>> page = render("ercsatz.reporting", "page.html", title="<b>")
        >>> "<title>&lt;b&gt;</title>" in page
        True
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("ercsatz.reporting")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


def _finalize(value: object) -> object:
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value
