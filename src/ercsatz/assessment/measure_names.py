"""What measures are called in reports, and what they are in a few words."""

from typing import NamedTuple

from ercsatz.assessment.record import Line


class Words(NamedTuple):
    """A title, and what is measured."""

    title: str
    what: str


OWN = "own"
"""The family of measures of the user's own, whose figures bring their words."""
FAMILIES = {
    "diversity": "Diversity",
    "clusters": "Groups of meaning",
    "realism": "Likeness to real dialogues",
    "labels": "Labels and usefulness",
    "leakage": "Leakage from the real validation and test sets",
    "splits": "Same distribution across its splits",
    OWN: "Measures of your own",
    "human": "Human-likeness, by a language model as judge",
}

_PROBES = {"words": "TF-IDF probe", "embedding": "embedding probe"}

_WORDS = {
    "distinct_1": ("distinct-1", "different words over all words"),
    "distinct_2": ("distinct-2", "different pairs of words over all pairs"),
    "distinct_3": ("distinct-3", "different triples of words over all triples"),
    "compression_ratio": ("compression ratio", "size over compressed size: repeats compress well"),
    "self_repetition": ("self-repetition", "four-word phrases that occur in other dialogues too"),
    "mtld": ("MTLD", "words in a row until the variety of words falls off"),
    "self_bleu": ("self-BLEU", "how like each turn is to the other turns, by n-grams"),
    "vendi": ("Vendi score", "effective number of different turns in the sample"),
    "clusters": ("clusters reached", "of those that real turns make"),
    "entropy": ("entropy of clusters", "how turns are spread over them, in bits"),
    "evenness": ("evenness of clusters", "entropy over the greatest possible, 0 to 1"),
    "largest_share": ("largest cluster", "its share of the turns"),
    "js_labels": ("emotions", "Jensen-Shannon distance, 0 to 1"),
    "js_turn_lengths": ("turn lengths", "Jensen-Shannon distance, 0 to 1"),
    "js_dialogue_lengths": ("dialogue lengths", "Jensen-Shannon distance, 0 to 1"),
    "js_speakers": ("speakers per dialogue", "Jensen-Shannon distance, 0 to 1"),
    "js_transitions": ("emotion transitions", "Jensen-Shannon distance, 0 to 1"),
    "frechet": ("Fréchet distance", "of embeddings"),
    "precision": ("precision (PRDC)", "synthetic turns within reach of real ones"),
    "recall": ("recall (PRDC)", "real turns within reach of synthetic ones"),
    "density": ("density (PRDC)", "how densely real turns lie around synthetic ones"),
    "coverage": ("coverage (PRDC)", "real turns with a synthetic one nearby"),
    "c2st_auc": ("two-sample test AUC", "a classifier tells the two apart; 0.5: it cannot"),
    "mauve": ("MAUVE", "overlap of the two distributions, 0 to 1"),
    "majority_w_f1": ("floor", "W-F1 of always the most frequent emotion, on the real test set"),
    "exact": ("turns repeated", "character for character"),
    "normalised": ("turns repeated, normalised", "case and punctuation aside"),
    "near": ("turns nearly repeated", "those repeated included"),
    "everyday": ("everyday turns", "equal to a real one that is too short to count"),
    "ngrams": ("dialogues sharing n-grams", "with a real dialogue"),
    "whole": ("whole dialogues repeated", "or nearly"),
    "leaking": ("dialogues with any leak", "share of all"),
    "real_repeated": ("real dialogues that are repeated", "share of the held-out ones"),
    "real_findable": ("real dialogues that would be found", "the others are too short"),
    "train_turns": ("turns from the real training split", "repeated, case and punctuation aside: no new data"),
    "train_dialogues": ("dialogues from the real training split", "repeated as a whole: no new data"),
    "nearest_median": ("distance to the nearest held-out turn", "median of cosine distances"),
    "nearest_percentile_1": ("distance to the nearest held-out turn, nearest 1 %", "cosine distance"),
    "closer_to_held_out": ("closer to held-out than to training turns", "about a half without a leak"),
    "labels": ("emotions", "Cramer's V, less what chance makes of it"),
    "turn_lengths": ("turn lengths", "Cramer's V, less what chance makes of it"),
    "dialogue_lengths": ("dialogue lengths", "Cramer's V, less what chance makes of it"),
    "transitions": ("emotion transitions", "Cramer's V, less what chance makes of it"),
    "embeddings": ("embeddings", "share of the variance between splits, less what chance makes of it"),
    "naturalness": ("naturalness", "1 to 5"),
    "coherence": ("coherence", "1 to 5"),
    "emotional_fit": ("emotional fit", "1 to 5, of each label with its turn"),
    "persona_fit": ("persona fit", "1 to 5"),
    "called_more_natural": ("called more natural", "than a real dialogue, share of pairs; 0.5: as often as not"),
}

_PROBED = {
    "agreement_accuracy": ("accuracy", "labels a probe of real dialogues agrees with"),
    "agreement_kappa": ("Cohen's kappa", "agreement beyond chance"),
    "agreement_w_f1": ("W-F1 of its labels", "by a probe of real dialogues"),
    "agreement_macro_f1": ("macro F1 of its labels", "by a probe of real dialogues"),
    "agreement_f1": ("F1 of its label", "by a probe of real dialogues"),
    "tstr_w_f1": ("TSTR W-F1", "trained on synthetic, on as many turns as the mark; tested on real"),
    "trts_w_f1": ("TRTS W-F1", "trained on real, tested on its test split"),
    "tstr_all_w_f1": ("TSTR W-F1 of all of it", "trained on its whole training split, tested on real"),
    "real_all_w_f1": ("W-F1 of all real dialogues", "trained on the whole real training split, tested on real"),
}


_TRUST = {
    "first_called_more_natural": "the dialogue shown first is called the more natural one (0.5: no bias)",
    "choice_follows_order": "pairs of which the two orders are judged differently",
}


def trust(name: str) -> str:
    """What a figure about the judge is called.

    >>> trust("alpha_emotional_fit")
    "Krippendorff's alpha of emotional fit"
    """
    return _TRUST.get(name) or f"Krippendorff's alpha of {name.removeprefix('alpha_').replace('_', ' ')}"


def describe(line: Line) -> Words:
    """What a line is called.

    >>> describe(Line("labels", "tstr_w_f1_words", None, "higher", (0.4,), (), 1, 1)).title
    'TSTR W-F1 (TF-IDF probe)'
    """
    if line.family == OWN:
        return Words(line.title, line.what)
    name, _, probe = line.name.rpartition("_")
    if probe in _PROBES and name in _PROBED:
        title, what = _PROBED[name]
        return Words(f"{title} ({_PROBES[probe]})", what)
    return Words(*_WORDS[line.name])
