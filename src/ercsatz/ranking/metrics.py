"""What a metric's name says: which direction is better, and whether it is counted in points of a hundred."""

import re

import numpy as np
import pandas as pd

from ercsatz.errors import UserError

# By name, whether higher is better and whether it is a share: from 0 to 1, or from 0 to 100 in per cent.
_KNOWN = {
    name: (higher, share)
    for higher, share, names in (
        (True, True, "f1 f1_score accuracy acc precision recall sensitivity specificity exact_match em win_rate"),
        (True, True, "auc auroc roc_auc auprc pr_auc ap map mrr ndcg iou miou dice jaccard success_rate"),
        (True, True, "bleu sacrebleu chrf meteor bertscore rouge rouge1 rouge2 rougel rouge_1 rouge_2 rouge_l"),
        (False, True, "error_rate word_error_rate character_error_rate wer cer ter der eer"),
        (True, False, "score kappa mcc r2 correlation pearson spearman psnr ssim comet elo reward"),
        (False, False, "loss log_loss hamming_loss cross_entropy nll perplexity ppl bpc error err mae mse rmse mape"),
        (False, False, "brier brier_score ece fid latency runtime"),
    )
    for name in names.split()
}
_HIGHEST_RATE = 3.0  # of error rates from 0 to 1, below
_HIGHEST_SHARE = 1.5  # up to here no share of 100
# Words that leave the direction as it is: test accuracy, macro F1.
_QUALIFIERS = re.compile(
    "test|val|valid|validation|dev|eval|train|mean|average|avg|macro|micro|weighted|w|balanced|top1|top5"
)


def direction(metric: str, higher_is_better: bool | None = None) -> bool:
    """Whether a higher score is better: as given, else by the metric's name.

    Raises:
        UserError: it is not given and the name does not say.

    Example:
        >>> direction("w_f1"), direction("Test accuracy (%)"), direction("val_loss"), direction("distance", False)
        (True, True, False, False)
    """
    if higher_is_better is not None:
        return higher_is_better
    name = _plain(metric)
    if name not in _KNOWN:
        raise UserError(
            f"Is a higher {metric!r} better, or a lower one? The name does not say. "
            "Give ranking.higher_is_better=true or false."
        )
    return _KNOWN[name][0]


def one_point(metric: str, scores: pd.DataFrame) -> float:
    """One point of a hundred, in the scores' own unit; 0 where the metric is not a share.

    Args:
        metric: its name.
        scores: from 0 to 1, or from 0 to 100.

    Raises:
        UserError: the highest share is just above 1.

    Example:
        >>> one_point("w_f1", pd.DataFrame({"a": [0.5]})), one_point("w_f1", pd.DataFrame({"a": [50.0]}))
        (0.01, 1.0)
        >>> one_point("loss", pd.DataFrame({"a": [0.5]}))
        0.0
    """
    if not _is_share(metric):
        return 0.0
    return 0.01 if _from_0_to_1(metric, scores) else 1.0


def shown_scale(metric: str, scores: pd.DataFrame) -> float:
    """What scores are multiplied with in tables: 100 for shares, and plain scores, from 0 to 1.

    Example:
        >>> shown_scale("acc", pd.DataFrame({"a": [0.5]})), shown_scale("loss", pd.DataFrame({"a": [0.5]}))
        (100.0, 1.0)
    """
    return 100.0 if may_be_share(metric) and _from_0_to_1(metric, scores) else 1.0


def may_be_share(metric: str) -> bool:
    """Whether scores of this name are, or as plain scores may be, from 0 to 1 or from 0 to 100.

    Example:
        >>> may_be_share("Test accuracy"), may_be_share("score"), may_be_share("reward")
        (True, True, False)
    """
    return _is_share(metric) or _plain(metric) == "score"


def _is_share(metric: str) -> bool:
    return _KNOWN.get(_plain(metric), (True, False))[1]


def _from_0_to_1(metric: str, scores: pd.DataFrame) -> bool:
    """Whether scores are from 0 to 1; an error rate may exceed 1, as where a hypothesis is longer than its text.

    Raises:
        UserError: shares, of which higher is better, have a highest one that is too large for 1 and too small for 100.
    """
    found = scores.to_numpy(dtype=float)
    low, middle, high = (float(of(found)) for of in (np.nanmin, np.nanmedian, np.nanmax))
    if low < 0:
        return False
    higher, share = _KNOWN.get(_plain(metric), (True, False))
    if share and not higher:
        return middle <= 1 and high < _HIGHEST_RATE
    if share and 1 < high <= _HIGHEST_SHARE:
        raise UserError(
            f"The highest {metric} is {high:g}: too high for scores from 0 to 1, too low for scores from 0 to 100. "
            "Give all of them from 0 to 1, or all from 0 to 100."
        )
    return high <= 1


def _plain(metric: str) -> str:
    """The name in lower case, words joined by ``_``, without those that leave the direction as it is."""
    words = re.findall("[a-z0-9]+", metric.lower())
    return "_".join(word for word in words if not _QUALIFIERS.fullmatch(word))
