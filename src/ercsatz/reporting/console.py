"""The one console that commands show their tables, panels and bars on."""

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from ercsatz.reporting.text import visible

_LOG_WIDTH = 10_000  # cells; nothing folds in a log


class SafeConsole(Console):
    """rich's console for text that may come from servers, files and corpora.

    Strings are text, with neither markup nor emoji codes nor highlights; control characters in anything that is printed
    are spelt out (``text.visible``). Colours are given by ``rich.text.Text``, whose own argument should be ``visible``,
    too: rich drops some control characters when it makes one.

    Args:
        options: as of rich's console.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as a text."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is printed, piece by piece; only rich itself may move the cursor."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def unfolded() -> SafeConsole:
    """A console whose tables are as wide as a terminal, and as wide as they need to be where there is none."""
    return SafeConsole(width=None if sys.stdout.isatty() else _LOG_WIDTH)
