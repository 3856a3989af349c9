"""What was found, in words for someone who reads nothing else."""

from collections.abc import Iterator, Mapping

from ercsatz.assessment.measure_names import OWN
from ercsatz.assessment.record import Assessment, Line
from ercsatz.assessment.verdict import SIGNIFICANT, Word, beside, can_be_better, count, number, verdict

Lines = Mapping[str, Line]

_LEXICAL = (
    "Embeddings are lexical: variety, groups and likeness are of wording here, not of meaning. "
    "assess.embedder can name a model that knows meaning."
)


def headline(found: Assessment) -> str:
    """One sentence: how many of the figures are as real."""
    words = count(found.lines)
    if not words.total():
        return f"{found.data}: too little to compare it with real dialogues."
    told = f"{found.data}: {words.total()} figures, {words['as real']} as in real dialogues, {words['worse']} worse"
    told += f", {words['no worse']} past them on the side that is no worse" if words["no worse"] else ""
    possible = count(line for line in found.lines if can_be_better(line))
    if not possible.total():
        return f"{told}."
    better = possible["better"]
    are = "are" if better > 1 else "is"
    return f"{told}. Better than real is possible on {possible.total()} of them: {better or 'none'} {are}."


def sentences(found: Assessment) -> list[str]:
    """What was found: variety, likeness, labels, usefulness, leaks, splits, the judge."""
    lines = {line.name: line for line in found.lines if line.emotion is None and line.family != OWN}
    leaks = list(_leaks(found, lines))
    leaky = any(line.name == "leaking" and verdict(line).word == "worse" for line in found.lines)
    said = [
        *_variety(lines),
        *_likeness(lines),
        *_emotions(found, lines),
        *_balance(found),
        *_labels(found, lines),
        *_utility(lines),
    ]
    said = [*leaks, *said] if leaky else [*said, *leaks]  # which make all else worthless
    said = [headline(found), *said, *_splits(found), _judged(found)]
    return [*said, _LEXICAL] if found.lexical else said


def _variety(lines: Lines) -> Iterator[str]:
    wording = {
        "as real": "Its wording is not shown to be less varied than that of real dialogues",
        "no worse": "Its wording is more varied than that of real dialogues, which is no sign of quality",
        "worse": "Its wording is less varied than that of real dialogues",
    }
    if (pairs := lines.get("distinct_2")) and (told := wording.get(verdict(pairs).word)):
        yield (
            f"{told}: in as much text, {_percent(pairs.value)} of the pairs of neighbouring words are different ones "
            f"(real: {_percent(pairs.mark)})."
        )
    if (phrases := lines.get("self_repetition")) and verdict(phrases).word == "worse":
        yield f"Its dialogues repeat each other's phrases more than real ones do (self-repetition {beside(phrases)})."
    subjects = {
        "as real": "What is said is not shown to be less varied than in real dialogues",
        "no worse": "What is said is more varied than in real dialogues, which is no sign of quality",
        "worse": "What is said is less varied than in real dialogues",
    }
    if (vendi := lines.get("vendi")) and (told := subjects.get(verdict(vendi).word)):
        yield f"{told} (Vendi score {beside(vendi)})."


def _likeness(lines: Lines) -> Iterator[str]:
    if (auc := lines.get("c2st_auc")) and auc.value is not None:
        told: dict[Word, str] = {
            "as real": "A classifier is not shown to tell its turns from real ones better than those from each other",
            "worse": "A classifier can tell its turns from real ones",
        }
        yield (
            f"{told.get(verdict(auc).word, 'A classifier was asked to tell its turns from real ones')}: shown one of "
            f"each, it picks the real one in {_percent(auc.value)} of cases{_against(auc)}."
        )
    if (coverage := lines.get("coverage")) and coverage.value is not None and coverage.marks:
        yield (f"{_percent(coverage.value)} of real turns have something like them in it{_against(coverage)}.")
    shapes = {"turn_lengths": "turn lengths", "dialogue_lengths": "dialogue lengths", "speakers": "numbers of speakers"}
    by_word: dict[Word, list[str]] = {"as real": [], "worse": [], "no worse": []}
    for name, what in shapes.items():
        if (line := lines.get(f"js_{name}")) and (word := verdict(line).word) in by_word:
            by_word[word].append(what)
    alike, unlike = by_word["as real"] + by_word["no worse"], by_word["worse"]
    if unlike:
        yield f"Its {_list(unlike)} are unlike those of real dialogues."
    if alike:
        yield f"Its {_list(alike)} are not shown to be unlike those of real dialogues."


def _emotions(found: Assessment, lines: Lines) -> Iterator[str]:
    if (labels := lines.get("js_labels")) and labels.value is not None and labels.marks:
        if verdict(labels).word == "worse":
            yield f"Its emotions are distributed otherwise than the real ones: {_list(_out_of_proportion(found))}."
        else:
            yield "Its emotions are not shown to be distributed otherwise than the real ones."
    if (order := lines.get("js_transitions")) and order.value is not None and order.marks:
        shown = "follow" if verdict(order).word == "worse" else "are not shown to follow"
        yield f"Its emotions {shown} one another otherwise than in real dialogues."


def _out_of_proportion(found: Assessment, most: int = 3) -> list[str]:
    """The labels whose share of the training split differs most."""
    shares = []
    for name in (found.data, found.real):
        counts = found.label_counts[name]["train"]
        total = max(1, sum(counts.values()))
        shares.append({label: n / total for label, n in counts.items()})
    own, real = shares
    worst = sorted(own, key=lambda label: -abs(own[label] - real[label]))[:most]
    return [f"{label} {_percent(own[label])} of turns (real: {_percent(real[label])})" for label in worst]


def _balance(found: Assessment) -> Iterator[str]:
    """What is balanced, of a data set whose dialogues were each asked for with an emotion."""
    if found.targets:
        low, high = min(found.targets.values()), max(found.targets.values())
        each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        yield (
            f"What was balanced are its dialogues, by the emotion wanted in each at least once ({each} of each wanted "
            "emotion), not its utterances."
        )


def _labels(found: Assessment, lines: Lines) -> Iterator[str]:
    line = lines.get("agreement_accuracy_words")
    if line is None or line.value is None:
        return
    told = (
        f"A simple classifier that learnt from real dialogues gives {_percent(line.value)} of its turns the label that "
        f"they have{f'; of turns of other real dialogues, {_percent(line.mark)}' if line.marks else ''}."
    )
    f1 = [each for each in found.lines if each.name == "agreement_f1_words" and verdict(each).word == "worse"]
    short = [each for each in f1 if each.value is not None and each.mark is not None and each.value < each.mark]
    if short:
        worst = min(short, key=lambda each: verdict(each).difference or 0.0)
        told += f" Furthest below what real labels reach: {worst.emotion} (F1 {beside(worst)})."
    yield told


def _utility(lines: Lines) -> Iterator[str]:
    line, floor = lines.get("tstr_w_f1_words"), lines.get("majority_w_f1")
    if line is None or line.value is None or line.mark is None or floor is None or floor.value is None:
        return
    told = (
        f"Trained on it, the same classifier reaches W-F1 {100 * line.value:.1f} on the real test set; trained on "
        f"as many turns of real dialogues {100 * line.mark:.1f}, and {100 * floor.value:.1f} without learning anything."
    )
    if line.mark > floor.value:
        learnt = (line.value - floor.value) / (line.mark - floor.value)
        told += f" So it teaches {_percent(max(0.0, learnt))} of what real dialogues teach."
    yield told


def _leaks(found: Assessment, lines: Lines) -> Iterator[str]:
    leaking = lines.get("leaking")
    if leaking is None or leaking.value is None:
        return
    if leaking.value:
        count = round(leaking.value * leaking.n)
        beside_real = "" if leaking.mark is None else f"; of the real training split {100 * leaking.mark:.1f} %"
        subject = "Its one dialogue" if leaking.n == 1 else f"{count:,} of its {leaking.n:,} dialogues"
        yield (
            f"{subject} repeat{'s' if count == 1 else ''} something of the real "
            f"validation and test sets ({100 * leaking.value:.1f} %{beside_real}). "
            "assess.fix=true writes a copy without them."
        )
    elif leaking.n == 1:
        yield "Its one dialogue does not repeat the real validation and test sets."
    else:
        yield f"None of its {leaking.n:,} dialogues repeats the real validation and test sets."
    if (copies := lines.get("train_dialogues")) and copies.value:
        yield f"{_percent(copies.value)} of its dialogues are of the real training split: a copy is no new data."
    if (closer := lines.get("closer_to_held_out")) and verdict(closer).word == "worse":
        yield (
            f"{_percent(closer.value)} of its turns are nearer to a held-out turn than to any of as many real training "
            f"turns (real turns: {_percent(closer.mark)})."
        )


def _splits(found: Assessment) -> Iterator[str]:
    by = "tested by permutations of whole dialogues, Holm-corrected"
    tested = [line for line in found.lines if line.family == "splits" and line.p is not None]
    names = {"labels": "emotions"}
    apart: dict[Word, list[str]] = {"worse": [], "as real": [], "no mark": []}
    for line in tested:
        if line.p is not None and line.p < SIGNIFICANT:
            apart[verdict(line).word].append(names.get(line.name, line.name.replace("_", " ")))
    if differ := apart["worse"] + apart["no mark"]:
        yield f"Its training, validation and test splits differ in {_list(differ)} ({by})."
    if apart["as real"]:
        yield f"Its splits differ in {_list(apart['as real'])}, but no more than the real ones ({by})."
    if tested and not any(apart.values()):
        yield f"Its training, validation and test splits are not shown to differ ({by})."


def _judged(found: Assessment) -> str:
    if found.judge["not_judged"]:
        return str(found.judge["not_judged"])
    line = next(line for line in found.lines if line.name == "called_more_natural")
    if line.value is None:
        return f"No figure from the judge: {line.undefined}."
    preference = found.judge["preference"]
    low, high = (_percent(preference[end]) for end in ("low", "high"))
    return (
        f"The judge, {found.judge['by']}, calls it more natural than a real dialogue of its length in "
        f"{_percent(line.value)} of {line.n:,} decided pairs (95 % interval {low} to {high}, p = {number(line.p)})."
    )


def _against(line: Line) -> str:
    return f" (real against real: {_percent(line.mark)})" if line.marks else ""


def _percent(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if value < 0.1 or 0.99 < value < 1 else f"{100 * value:.0f} %"


def _list(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
