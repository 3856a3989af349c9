"""The page in a browser, where there is one."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from ercsatz.ranking.report import to_html


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    """A function from a page, and a width in pixels, to the document that Chromium made of it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    folder = tmp_path_factory.mktemp("browser")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={folder / 'profile'}"]

    def browse(page: str, width: int = 1400) -> str:
        (folder / "page.html").write_text(page, encoding="utf-8")
        line = [chromium, *flags, f"--window-size={width},900", "--virtual-time-budget=2000", "--dump-dom"]
        done = subprocess.run([*line, (folder / "page.html").as_uri()], capture_output=True, timeout=120, check=True)
        return done.stdout.decode()

    return browse


class Document(HTMLParser):
    """The names of elements and attributes, and the title."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    handle_startendtag = handle_starttag


def test_hostile_names_do_nothing(browse, hostile):
    result, background = hostile
    page = to_html(result, 100, background)
    document, written = Document(browse(page)), Document(page)
    assert {"script", "img"}.isdisjoint(document.tags)
    assert not [name for name in document.attributes if name.startswith("on")]
    assert document.tags.count("table") == written.tags.count("table")
    assert document.tags.count("svg") == written.tags.count("svg") > 1


def test_a_script_that_got_in_would_not_run(browse, table4):
    script = "<script>document.title = 'it ran'</script>"
    page = to_html(table4).replace("</body>", f"{script}</body>")
    assert "<title>it ran" not in browse(page)
    assert "<title>it ran" in browse(re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", page))


def test_page_is_never_wider_than_a_phone(browse, hostile):
    result, background = hostile
    measure = "<script>document.title = `${document.documentElement.scrollWidth} in ${innerWidth}`</script>"
    page = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", to_html(result, 100, background))
    measured = re.search(r"<title>(\d+) in (\d+)", browse(page.replace("</body>", f"{measure}</body>"), width=390))
    assert measured is not None
    wide, window = map(int, measured.groups())
    assert wide <= window <= 500
