import io

import matplotlib.image

from ercsatz.reporting.figures import png
from ercsatz.tracking.confusion import confusion_figure


def test_every_count_and_label_is_in_the_picture():
    figure = confusion_figure([[3, 1], [0, 1234]], ["neutral", "$joy$"], "mini_bal, test/org")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["3", "1", "0", "1,234"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["neutral", "$joy$"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "gold")
    assert matplotlib.image.imread(io.BytesIO(png(figure))).std() > 0


def test_a_label_without_utterances_is_drawn():
    assert confusion_figure([[0, 0], [0, 0]], ["neutral", "joy"], "empty").axes
