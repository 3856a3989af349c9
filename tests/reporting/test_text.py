import csv
import io
import re
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from ercsatz.reporting.text import csv_text, latex, markdown, plain, visible

ANY_TEXT = st.text(st.characters(), max_size=30)  # with control characters, surrogates and marks of direction


def test_plain_text_is_one_line_of_what_can_be_seen():
    assert plain("a\r\n\tb\u2028c") == "a b c"
    assert plain("user\u202etxt.exe\x00\ud800") == r"user\u202etxt.exe\x00\ud800"
    assert plain("सत्‍य 👩\u200d🔬 é") == "सत्‍य 👩\u200d🔬 é"


@given(ANY_TEXT)
def test_plain_text_can_be_written_and_cannot_turn_its_surroundings(text):
    shown = plain(text)
    shown.encode("utf-8")
    assert "\n" not in shown
    assert not {unicodedata.bidirectional(c) for c in shown} & {
        "LRE",
        "RLE",
        "LRO",
        "RLO",
        "PDF",
        "LRI",
        "RLI",
        "FSI",
        "PDI",
    }


@given(ANY_TEXT)
def test_visible_text_keeps_its_lines_and_has_nothing_that_a_terminal_obeys(text):
    shown = visible(text)
    shown.encode("utf-8")
    assert shown.count("\n") == text.count("\n")
    assert not {c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"}} - set("\n\u200c\u200d")
    assert visible(shown) == shown


@given(ANY_TEXT)
def test_markdown_has_no_markup_of_the_text(text):
    bare = re.sub(r"\\[\\`*\[\]|~$]", "", markdown(text))
    assert not set(bare) & set("`*[]|~$<>")


def test_markdown_keeps_underlines_inside_words_and_escapes_the_others():
    assert markdown("compm_org_nat") == "compm_org_nat"
    assert markdown("_a_ __b__ c__d") == r"\_a\_ \_\_b\_\_ c\_\_d"


@given(ANY_TEXT)
def test_latex_is_ascii_and_balanced(text):
    shown = latex(text)
    assert shown.isascii()
    bare = re.sub(r"\\[#$%&_{}]", "", shown)
    assert bare.count("{") == bare.count("}")
    assert not set(re.sub(r"\$\\[a-z]+\$|\$-\$|\\[~^]\{", "", bare)) & set("#%&_^~")


def test_latex_keeps_letters_and_names_what_it_lacks():
    assert latex("Čapek, Müller & Œuvre") == r"\v{C}apek, M\"{u}ller \& \OE{}uvre"
    assert latex("漢🙂") == "{[}U+6F22]{[}U+1F642]"
    assert latex(r"\input{/etc/passwd}") == r"\textbackslash{}input\{/etc/passwd\}"


@given(ANY_TEXT)
def test_no_cell_begins_a_formula_and_nothing_else_is_changed(text):
    cell = csv_text(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    file = io.StringIO()
    csv.writer(file).writerow([cell])
    assert file.getvalue().encode("utf-8")
    if not re.search("[\ud800-\udfff]", text):
        assert cell.removeprefix("'") == text.removeprefix("'")
