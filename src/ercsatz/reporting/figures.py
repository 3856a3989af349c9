"""Figures as PNG, as SVG files, and as SVG inside a page, where they take on its colours.

matplotlib is imported only where something is drawn.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from markupsafe import Markup

from ercsatz.reporting.text import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

INK, MUTED, RULE = "#1b1e23", "#5c6470", "#d3d8de"
"""Colours of text, of what matters less, and of grid lines."""

SERIES = ("#6b7280", "#0072b2", "#d55e00", "#009e73", "#b5559b", "#56b4e9", "#b8860b", "#8c510a")
"""Colours that the colour-blind can tell apart (after Okabe and Ito); the first, grey, is for the reference."""

# In a page a colour is a variable of its style sheet, which has a value for light and one for dark.
_VARIABLES = {INK: "currentColor", MUTED: "var(--muted)", RULE: "var(--rule)"} | {
    colour: f"var(--series-{number})" for number, colour in enumerate(SERIES)
}
_POINTS_PER_INCH = 72
_XLINK = "{http://www.w3.org/1999/xlink}"


@contextmanager
def drawing() -> Iterator[None]:
    """Draw under matplotlib's own defaults, whatever the user's are; make and save a figure inside it.

    Text stays text in SVG, dollar signs are dollar signs, and equal figures give equal bytes.
    """
    from matplotlib import style

    ours = {
        "svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "ercsatz", "text.parse_math": False, "font.size": 9,
        "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": MUTED,
        "axes.titlesize": 9.5, "axes.grid": True, "grid.color": RULE, "grid.linewidth": 0.6, "axes.axisbelow": True,
        "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.7, "legend.frameon": False,
        "xtick.major.width": 0.7, "ytick.major.width": 0.7,
    }  # fmt: skip
    with style.context(["default", ours]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from")  # an emoji in a name is a box in a PNG
        yield


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure; width and height in points."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), facecolor="white")


def text_size(text: "Text") -> tuple[float, float]:
    """Width and height in points of a text in a figure."""
    figure = text.get_figure(root=True)
    assert figure is not None
    box = text.get_window_extent()
    points = _POINTS_PER_INCH / figure.dpi
    return box.width * points, box.height * points


def png(figure: "Figure", dpi: int = 200) -> bytes:
    """A figure as a PNG file on white."""
    with drawing():
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})
        return file.getvalue()


def pdf(figure: "Figure") -> bytes:
    """A figure as a PDF file; its fonts are embedded as TrueType, as publishers want them."""
    with drawing():
        file = io.BytesIO()
        figure.savefig(file, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
        return file.getvalue()


def svg(figure: "Figure") -> str:
    """A figure as an SVG file on white."""
    with drawing():
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        return file.getvalue().decode()


def inline_svg(figure: "Figure", name: str, title: str, description: str = "") -> Markup:
    """A figure as an ``svg`` element of a page, without a background, in the colours and the font of the page.

    Args:
        figure: made inside ``drawing``.
        name: unique in the page; letters, digits and hyphens. All ids begin with it.
        title: what the figure is, for those who cannot see it.
        description: what it shows.
    """
    with drawing():
        file = io.BytesIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(file.getvalue())
    for parent in root.iter():
        for child in [each for each in parent if each.tag.endswith(("}metadata", "}style"))]:
            parent.remove(child)
    used = set(re.findall(r"#([\w-]+)", file.getvalue().decode()))
    for element in root.iter():
        _tidy(element, name, used)
    width = float(root.attrib["viewBox"].split()[2])
    for attribute in ("version", "width", "height"):
        root.attrib.pop(attribute, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-text"}
    root.attrib |= {"class": "figure", "style": f"--w: {width:g}pt"}
    for place, (tag, words) in enumerate({"title": title, "desc": description}.items()):
        element = ElementTree.Element(tag, id=f"{name}-{'text' if tag == 'desc' else tag}")
        element.text = plain(words)
        root.insert(place, element)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _tidy(element: ElementTree.Element, name: str, used: set[str]) -> None:
    """Drop what a page does not need of an element, and make the rest the page's own."""
    element.tag = element.tag.rpartition("}")[2]
    attributes = {key.replace(_XLINK, ""): value for key, value in element.attrib.items()}
    if attributes.get("id") not in used:
        attributes.pop("id", None)
    for key, value in attributes.items():
        if key == "id":
            attributes[key] = f"{name}-{value}"
        elif key in {"href", "clip-path"}:
            attributes[key] = value.replace("#", f"#{name}-")
        elif key == "style":
            attributes[key] = _restyle(value)
    element.attrib.clear()
    element.attrib.update(attributes)


def _restyle(style: str) -> str:
    style = re.sub(r"font-family: [^;]*;? ?", "", style)
    style = re.sub(r"font: (?:(bold|\d+) )?([\d.]+px) [^;]*", _without_family, style)  # matplotlib before 3.10
    return re.sub(r"#[0-9a-f]{6}", lambda colour: _VARIABLES.get(colour[0], colour[0]), style)


def _without_family(font: "re.Match[str]") -> str:
    return f"font-weight: {font[1] or 'normal'}; font-size: {font[2]}"
