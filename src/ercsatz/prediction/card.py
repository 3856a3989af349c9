"""The README.md of an exported classifier: front matter for the hub, and what whoever is given it has to know."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any

from ercsatz.artifacts.keys import flat
from ercsatz.config import ORG
from ercsatz.data.metrics import learnt_nothing
from ercsatz.reporting.card import fenced, front_matter, inert, table

_SCORES = {"w_f1": "W-F1", "macro_f1": "macro F1", "accuracy": "accuracy"}
_HUB_NAME, _SHA256 = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?"), re.compile("[0-9a-f]{64}")
_ELSEWHERE = ("labels", "train", "validation", "start", "before")  # of a description: told in other places


@dataclass(frozen=True)
class CorpusFacts:
    """A corpus that the classifier was trained on.

    Attributes:
        name: ``mini_org``.
        title: what it is.
        licence: as its YAML or its own card says.
        counts: labelled utterances by split and label; empty: not known.
    """

    name: str
    title: str
    licence: str
    counts: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class ModelFacts:
    """All that the card says.

    Attributes:
        name: of the exported folder.
        classifier: which it is: ``compm``.
        labels: in the order of the classes.
        numbers: of weights.
        code: the dotted path of its options' class where that is not ercsatz's own.
        knowledge: which commonsense it reads, if any.
        reads_later_turns: whether a prediction may depend on turns after it.
        description: all that determines its weights, as in ``stage.json``; empty: not known.
        chosen: which stage of what job it is, and how it was chosen; empty: a stage of the cache.
        trained: what was trained, one stage after the other.
        validation: W-F1 of its best epoch, 0 to 1; ``None``: not known.
        benchmark: name and title of the benchmark; empty: not known.
        corpora: that it was trained on.
        shares: of their training dialogues that were seen, by setting, where that is less than all.
        tests: scores by test set; empty: not known.
        seeds: the same of every seed of its recipe in the sweep, its own among them.
        command: that trained it.
        versions: of Python and packages.
    """

    name: str
    classifier: str
    labels: Sequence[str]
    numbers: int
    code: str | None
    knowledge: Sequence[str]
    reads_later_turns: bool
    description: Mapping[str, Any]
    chosen: str = ""
    trained: Sequence[str] = ()
    validation: float | None = None
    benchmark: tuple[str, str] = ("", "")
    corpora: Sequence[CorpusFacts] = ()
    shares: Mapping[str, float] = field(default_factory=dict)
    tests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: Mapping[int, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


def card(facts: ModelFacts) -> str:
    """The text of README.md; it depends on its argument alone."""
    sections = {
        "Use": _use(facts),
        "Training": _training(facts),
        "Scores": _scores(facts),
        "Limits": _limits(facts),
        "Licences": _licences(facts),
        "How it was made": _made(facts),
    }
    labels = ", ".join(map(inert, facts.labels))
    introduction = (
        f"# {inert(facts.name)}\n\nEmotion recognition in conversation: every utterance of a dialogue gets one of the "
        f"labels {labels} (in the order of the classes) and the probability of each. The classifier is "
        f"`{inert(facts.classifier)}` of ercsatz, {facts.numbers:,} weights.\n"
    )
    return "\n".join([_front_matter(facts), introduction, *(f"## {head}\n\n{text}" for head, text in sections.items())])


def _front_matter(facts: ModelFacts) -> str:
    fields: dict[str, Any] = {
        "license": "other",
        "library_name": "ercsatz",
        "pipeline_tag": "text-classification",
        "tags": ["emotion-recognition-in-conversation", "emotion", "dialogue", _line(facts.classifier)],
    }
    if (base := _encoder(facts)) and _HUB_NAME.fullmatch(base) and not _SHA256.fullmatch(base):
        fields["base_model"] = base
    if facts.tests:
        fields["model-index"] = [
            {"name": _line(facts.name), "results": [_indexed(facts, *test) for test in facts.tests.items()]}
        ]
    return front_matter(fields)


def _encoder(facts: ModelFacts) -> str | None:
    """The hub name of the encoder that it began with, or a folder's SHA-256; None: random weights, or not known."""
    found = (facts.description.get("backbone") or {}).get("checkpoint")
    return None if found is None else str(found)


def _line(text: str) -> str:
    return " ".join(text.split())


def _indexed(facts: ModelFacts, name: str, scores: Mapping[str, Any]) -> dict[str, Any]:
    """One test set as the hub lists results; from 0 to 1."""
    kinds = {"w_f1": "f1", "macro_f1": "f1", "accuracy": "accuracy"}
    metrics = [{"type": kinds[key], "name": title, "value": round(scores[key], 4)} for key, title in _SCORES.items()]
    dataset = {"name": _line(_test_set(facts, name)), "type": _line(f"{facts.benchmark[0]}_{name}"), "split": "test"}
    task = {"type": "text-classification", "name": "Emotion recognition in conversation"}
    return {"task": task, "dataset": dataset, "metrics": metrics}


def _use(facts: ModelFacts) -> str:
    example = (
        "```python\nfrom ercsatz import load_classifier\n\n"
        'classifier = load_classifier("FOLDER")  # this folder\n'
        'classifier.predict([[("Ann", "You\'re early!"), ("Bo", "I know.")]])\n```\n'
    )
    told = (
        "Each turn gets a `label`, its `probability` and the `probabilities` of all labels. In a terminal: "
        "`ercsatz predict checkpoint=FOLDER dialogues=FILE`. The folder is all that is needed beside the package "
        "ercsatz: no corpus, no network.\n"
    )
    files = (
        "`classifier.json` has the options and the order of the labels, `model.safetensors` the weights; `config.json` "
        "and the tokenizer's files are the encoder's. `stage.json` says how it was trained, `manifest.json` has the "
        "checksum of every file: of a damaged folder nothing is predicted. Nothing in the folder runs.\n"
    )
    return "\n".join([example, told, files, *_needs(facts)])


def _needs(facts: ModelFacts) -> Iterator[str]:
    """What is needed beside the folder, and what to mind."""
    if facts.code:
        yield (
            f"Its code is not part of this folder: it is `{inert(facts.code)}`, which has to be there, with the YAML "
            "that names it. Commands find both with `--config-dir FOLDER`, Python with "
            "`ercsatz.config.registry.open_folders([FOLDER])` before `load_classifier`.\n"
        )
    if facts.knowledge:
        yield (
            f"It reads commonsense about the turns ({' and '.join(facts.knowledge)}), which is not part of this "
            "folder. Make it for your dialogues with `knowledge.py`, and give it as `knowledge=FILE.jsonl` to the "
            "command, or as `Utterance.knowledge` in Python. Without it the classifier runs, but not as it was "
            "trained and tested.\n"
        )
    if facts.reads_later_turns:
        yield "It reads later turns, too: a prediction may change when the dialogue goes on.\n"


def _training(facts: ModelFacts) -> str:
    told = f"It is {inert(facts.chosen)}.\n" if facts.chosen else ""
    if "by validation" in facts.chosen:
        told += "Scores on test sets had no part in that choice.\n"
    if facts.validation is not None:
        told += f"Its best epoch has W-F1 {100 * facts.validation:.2f} on the validation split.\n"
    if facts.trained:
        steps = "".join(f"{number}. {inert(each)}\n" for number, each in enumerate(facts.trained, 1))
        told += f"\nTrained one after the other (corpus, classifier, stage, seed):\n\n{steps}"
    rows = [
        [
            inert(corpus.name),
            inert(split),
            f"{sum(counts.values()):,}",
            *(f"{counts.get(each, 0):,}" for each in facts.labels),
        ]
        for corpus in facts.corpora
        for split, counts in corpus.counts.items()
        if split != "test"
    ]
    if rows:
        told += "\nLabelled utterances of these corpora:\n\n"
        told += table(["corpus", "split", "all", *map(inert, facts.labels)], rows)
    for key, share in facts.shares.items():
        told += f"\nOf the training dialogues a share was seen: {inert(key)} {share:g}.\n"
    return told or "Nothing is known of it but what `classifier.json` says.\n"


def _scores(facts: ModelFacts) -> str:
    if not facts.tests:
        return (
            "Not known: the classifier was exported from the cache, which has no scores. Export the job or the sweep "
            "to have them here.\n"
        )
    several = len(facts.seeds) > 1
    head = ["test set", "utterances", *_SCORES.values()]
    head += [f"{title}, {len(facts.seeds)} seeds" for title in _SCORES.values()] if several else []
    rows = []
    for name, scores in facts.tests.items():
        row = [inert(_test_set(facts, name)), f"{scores['utterances']:,}" if "utterances" in scores else ""]
        row += [f"{100 * scores[key]:.2f}" for key in _SCORES]
        rows.append(row + ([_spread(facts, name, key) for key in _SCORES] if several else []))
    told = (
        "From 0 to 100, of this classifier" + (", then mean ± sample standard deviation" if several else "") + ".\n\n"
    )
    told += table(head, rows) + "\n"
    for name, scores in facts.tests.items():
        if reason := learnt_nothing(scores):
            told += f"On {inert(_test_set(facts, name))} it has **learnt nothing**: {reason}.\n"
    if several:
        listed = ", ".join(map(str, facts.seeds))
        told += (
            f"The seeds {listed} of its sweep have the same data and settings; this classifier is one of them. What to "
            "expect of these settings is the mean.\n"
        )
    else:
        told += "One seed: how much scores differ from seed to seed is not known; less than one point is no finding.\n"
    return f"{told}\n{_by_label(facts)}"


def _test_set(facts: ModelFacts, name: str) -> str:
    kind = "real" if name == ORG else f"generated, {name}"
    return f"{facts.benchmark[1]} ({kind})"


def _spread(facts: ModelFacts, name: str, key: str) -> str:
    values = [100 * float(tests[name][key]) for tests in facts.seeds.values() if name in tests]
    return f"{mean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else ""


def _by_label(facts: ModelFacts) -> str:
    tested = {name: scores["per_class"] for name, scores in facts.tests.items() if "per_class" in scores}
    if not tested:
        return ""
    rows = [
        [inert(label), *(cell for each in tested.values() for cell in _label_cells(each.get(label)))]
        for label in facts.labels
    ]
    head = ["label", *(cell for name in tested for cell in (f"F1, {inert(name)}", "utterances"))]
    return f"F1 by label:\n\n{table(head, rows)}"


def _label_cells(found: Mapping[str, Any] | None) -> tuple[str, str]:
    return ("", "") if found is None else (f"{100 * found['f1']:.2f}", f"{found['support']:,}")


def _limits(facts: ModelFacts) -> str:
    where = (
        f"the labels, speakers and situations of {inert(facts.benchmark[1])}" if facts.benchmark[1] else "its corpus"
    )
    limits = [
        f"It knows {where}. What holds there need not hold for other talk or another language: put labels on "
        "some of your own dialogues, and look at the scores.",
        "It reads words only, no voice and no face, and says what an annotator would have called an utterance, not "
        "what somebody feels. It is for research, and no ground for decisions about people.",
        "Probabilities are the model's own and not calibrated.",
        "The weights come from the dialogues above, and may hold traces of their text.",
    ]
    if facts.description.get("backbone") and _encoder(facts) is None:
        limits.append(
            "The encoder began with random weights, and its tokenizer's words are those of the training text."
        )
    if any(scores.get("macro_f1") and name != ORG for name, scores in facts.tests.items()):
        limits.append("A score on generated dialogues says how well it knows the generator, not people.")
    return "".join(f"- {limit}\n" for limit in limits)


def _licences(facts: ModelFacts) -> str:
    rows = [[inert(corpus.name), inert(corpus.title), inert(corpus.licence)] for corpus in facts.corpora]
    listed = table(["corpus", "what it is", "licence"], rows) + "\n" if rows else ""
    base = _encoder(facts)
    which = "from a local folder" if base and _SHA256.fullmatch(base) else inert(base)
    encoder = f" That of the encoder ({which}) counts, too." if base else ""
    return (
        f"{listed}Whether weights may be passed on depends on what they were trained on: look at these licences before "
        f"you do.{encoder} The code of ercsatz is under Apache-2.0.\n"
    )


def _made(facts: ModelFacts) -> str:
    told = fenced(facts.command) + "\n" if facts.command else ""
    if facts.versions:
        told += f"Versions: {', '.join(f'{inert(name)} {inert(each)}' for name, each in facts.versions.items())}.\n\n"
    known = {key: value for key, value in facts.description.items() if key not in _ELSEWHERE}
    rows = [[inert(key), inert("none" if value is None else value)] for key, value in flat(known)]
    settings = table(["setting", "value"], rows) if rows else ""
    return f"{told}{settings}" or "Not known.\n"
