import io

from rich.panel import Panel
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ercsatz.reporting.console import SafeConsole, unfolded
from ercsatz.reporting.text import visible


def shown(renderable, **options):
    console = SafeConsole(file=io.StringIO(), width=400, **options)
    console.print(renderable)
    return console.file.getvalue()


def test_a_string_is_text_in_a_line_a_cell_a_title_a_panel_and_a_tree(hostile, obeyed):
    table = Table(hostile, title=hostile)
    table.add_row(hostile)
    tree = Tree(hostile)
    tree.add(hostile)
    for renderable, times in ((hostile, 1), (table, 3), (Panel(hostile), 1), (tree, 2)):
        output = shown(renderable)
        assert not obeyed(output)
        assert output.count(visible(hostile)) == times


def test_a_styled_text_keeps_its_colour_and_nothing_of_its_own(hostile):
    output = shown(Text(visible(hostile), "green"), force_terminal=True, color_system="standard")
    assert output == f"\x1b[32m{visible(hostile)}\x1b[0m\n"


def test_a_text_that_somebody_forgot_to_make_visible_is_not_obeyed(hostile, obeyed):
    table = Table()
    table.add_column(Text(hostile))
    table.add_row(Text.assemble(("a", "bold"), hostile))
    for renderable in (Text(hostile), table, Panel(Text(hostile)), Tree(Text(hostile))):
        assert not obeyed(shown(renderable))


def test_bars_go_on_moving_the_cursor(hostile):
    console = SafeConsole(file=io.StringIO(), force_terminal=True, width=80)
    with Progress(TextColumn("{task.description}", markup=False), console=console) as bars:
        bars.add_task(hostile)
        bars.refresh()
    output = console.file.getvalue()
    assert output.startswith("\x1b[?25l")
    assert [bad for bad in ("\x1b]0;title", "\x1b[31m", "\u202e", "\x9b") if bad in output] == []


def test_nothing_folds_where_there_is_no_terminal(capsys):
    table = Table("x" * 300)
    unfolded().print(table)
    assert "x" * 300 in capsys.readouterr().out
