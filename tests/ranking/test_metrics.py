import pandas as pd
import pytest

from ercsatz.errors import UserError
from ercsatz.ranking.metrics import direction, one_point, shown_scale


def frame(*scores):
    return pd.DataFrame({"a": scores})


@pytest.mark.parametrize(
    "metric", ["w_f1", "W-F1", "macro_f1", "accuracy", "Acc (%)", "AUC", "score", "f1_macro", "R2"]
)
def test_higher_is_better(metric):
    assert direction(metric)


@pytest.mark.parametrize(
    "metric", ["loss", "val_loss", "Error", "error_rate", "perplexity", "WER", "CER", "mae", "test MSE", "RMSE"]
)
def test_lower_is_better(metric):
    assert not direction(metric)


@pytest.mark.parametrize("metric", ["neg_mean_squared_error", "accuracy_drop", "distance", "f1_loss", "mean", "", "↑"])
def test_a_name_that_does_not_say_is_not_guessed(metric):
    with pytest.raises(UserError, match=r"ranking\.higher_is_better=true or false"):
        direction(metric)
    assert direction(metric, True)
    assert not direction(metric, False)


def test_what_is_given_counts_more_than_the_name():
    assert not direction("w_f1", False)


@pytest.mark.parametrize(
    ("metric", "scores", "point", "scale"),
    [
        ("w_f1", (0.0, 1.0), 0.01, 100.0),
        ("w_f1", (0.5, 65.0), 1.0, 1.0),
        ("wer", (0.1, float("nan")), 0.01, 100.0),
        ("score", (0.1, 0.5), 0.0, 100.0),
        ("score", (-0.1, 0.5), 0.0, 1.0),
        ("loss", (0.1, 0.5), 0.0, 1.0),
        ("wer", (0.1, 0.2, 1.05), 0.01, 100.0),
        ("wer", (1.8, 2.2, 0.9), 1.0, 1.0),
        ("wer", (0.4, 0.5, 12.0), 1.0, 1.0),
        ("reward", (0.8, 1.2), 0.0, 1.0),
        ("distance", (0.1, 0.5), 0.0, 1.0),
    ],
)
def test_a_point_is_a_hundredth_of_a_share(metric, scores, point, scale):
    assert one_point(metric, frame(*scores)) == point
    assert shown_scale(metric, frame(*scores)) == scale


@pytest.mark.parametrize("of", [one_point, shown_scale])
def test_share_just_above_one_is_refused(of):
    with pytest.raises(UserError, match=r"highest accuracy is 1\.2: too high for scores from 0 to 1, too low"):
        of("accuracy", frame(0.5, 0.6, 1.2))
    of("accuracy", frame(1.2, 1.6))
