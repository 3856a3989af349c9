"""The README.md of a generated data set: front matter for the hub, and what a reader has to know."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ercsatz.config import Profile
from ercsatz.data.dialogue import SPLITS
from ercsatz.generation.dataset.folder import LEAKAGE_FILE
from ercsatz.generation.dataset.store import SplitSummary
from ercsatz.generation.rejection import MEANINGS, Funnel
from ercsatz.reporting.card import fenced, front_matter, inert, table

_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}
_SEED_KEPT = {
    True: "kept: the same seed gave the same answer when the run began",
    False: "not kept: the same seed gave another answer when the run began, so a new run gives other text",
    None: "not tried out",
}


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of the comparison with the real validation and test sets.

    Attributes:
        checked: whether there was one, that is, whether their files were there.
        dialogues: how many were left out.
        by_kind: how many hits of each kind they have together.
    """

    checked: bool
    dialogues: int
    by_kind: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CardFacts:
    """All that the card says.

    Attributes:
        settings: as in ``config.json``.
        splits: by name, train first.
        funnel: how many requests became data, and what became of the others.
        profile: what the generator declares about itself.
        model: that wrote the dialogues.
        sent: the sampling parameters of every request.
        dropped: those that were asked for and not honoured.
        seed_kept: whether the server kept the seed; ``None``: it was not tried out.
        shipped_prompts: whether the templates are those that ercsatz ships, word for word.
        example_prompt: of one request, as it was.
        tokens: in prompts and in answers; ``None``: not counted.
        benchmark_labels: published counts of the benchmark's train split; empty: not published.
        leakage: what came of the comparison with the real validation and test sets.
    """

    settings: Mapping[str, Any]
    splits: Mapping[str, SplitSummary]
    funnel: Funnel
    profile: Profile
    model: str
    sent: Mapping[str, object]
    dropped: Mapping[str, object]
    seed_kept: bool | None
    shipped_prompts: bool
    example_prompt: str
    tokens: tuple[int, int] | None
    benchmark_labels: Mapping[str, int]
    leakage: Compared


def card(facts: CardFacts) -> str:
    """The text of README.md; it depends on its argument alone."""
    name, title = inert(facts.settings["data"]), inert(facts.settings["benchmark"]["title"])
    sections = {
        "Provenance": _provenance(facts),
        "A prompt": _prompt(facts.example_prompt),
        "From requests to data": _funnel(facts.funnel) + "\n" + _tokens(facts.tokens),
        "Size": _sizes(facts.splits),
        "Labels": _labels(facts),
        "Duplicates and leakage": _duplicates(facts.settings["checks"]) + "\n" + _leakage(facts, title),
        "Known limits": _limits(facts),
        "Licence": f"{facts.profile.rights} Speakers' names and the label set are those of {title}.\n",
    }
    introduction = (
        f"# {name}\n\nSynthetic conversations with an emotion for every utterance, written by ercsatz with the labels "
        f"and speakers of {title}. A row is a dialogue: its id, its utterances and where it comes from; the Parquet "
        "and the JSONL files say the same.\n"
    )
    return "\n".join([_front_matter(facts), introduction, *(f"## {head}\n\n{text}" for head, text in sections.items())])


def _front_matter(facts: CardFacts) -> str:
    n = sum(split.dialogues for split in facts.splits.values())
    fields = {
        "pretty_name": " ".join(str(facts.settings["data"]).split()),
        "language": ["en"],
        "license": facts.profile.licence,
        "tags": ["emotion-recognition-in-conversation", "emotion", "dialogue", "synthetic"],
        "size_categories": [next((size for limit, size in _SIZES.items() if n < limit), "n>10M")],
        "task_categories": ["text-classification"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}.parquet"} for split in SPLITS],
            }
        ],
    }
    return front_matter(fields)


def _provenance(facts: CardFacts) -> str:
    settings = facts.settings
    plan, split, turns = settings["plan"], settings["split"], settings["turns"]
    own = {key: value for key, value in settings["generator"].items() if key not in ("name", "sampling", "dropped")}
    rows = {
        "generator": settings["generator"]["name"],
        "model": facts.model,
        "sampling parameters sent": _listed(facts.sent),
        "asked for, but not honoured and so not sent": _listed(facts.dropped),
        **own,
        "seed of a request": _SEED_KEPT[facts.seed_kept],
        "mode": settings["mode"],
        **{f"persona: {key}": value for key, value in settings.get("persona", {}).items()},
        "seed of the run": settings["seed"],
        "goal": f"{_goal(plan)} of {turns[0]} to {turns[1]} turns, each asked for {plan['attempts']} times at most",
        "prompt templates (SHA-256)": settings["templates_sha256"],
        "split": f"by dialogue, after the fact: validation {split['validation']:g}, test {split['test']:g}, "
        "each with its share of every target emotion",
    }
    reconstructed = "reconstruct those of Kaplan, Carneiro and Wermter (2025), whose wording is not public"
    note = (
        f"The prompts {reconstructed if facts.shipped_prompts else 'are not those that ercsatz ships'}. "
        "All settings are in `config.json`; every dialogue has the index, seed, attempt, target and prompt hash it "
        "came from.\n"
    )
    return table(["", ""], [[inert(key), _shown(value)] for key, value in rows.items()]) + "\n" + note


def _goal(plan: Mapping[str, Any]) -> str:
    if plan["n_dialogues"] is not None:
        return f"{plan['n_dialogues']:,} dialogues asked for,"
    if plan["n_kept"] is not None:
        return f"{plan['n_kept']:,} dialogues kept,"
    return f"{plan['n_utterances']:,} utterances kept, in dialogues"


def _shown(value: object) -> str:
    text = _listed(value) if isinstance(value, Mapping) else "none" if value is None else str(value)
    return inert(text) if len(text) <= 200 else f"{inert(text[:160])} ... (whole in `config.json`)"


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items()) or "none"


def _prompt(prompt: str) -> str:
    return f"That of one request, before any chat template:\n\n{fenced(prompt)}"


def _funnel(funnel: Funnel) -> str:
    counts = [[stage, f"{count:,}", MEANINGS[stage]] for stage, count in funnel.stages.items()]
    stages = table(["stage", "dialogues", "meaning"], counts)
    if not funnel.reasons and not funnel.rejected:
        return stages
    reasons = sorted(funnel.reasons | funnel.rejected, key=lambda reason: (-funnel.reasons[reason], reason.name))
    rows = [
        [inert(reason.name), f"{funnel.reasons[reason]:,}", f"{funnel.rejected[reason]:,}", inert(reason.value)]
        for reason in reasons
    ]
    note = "A rejected answer is asked for again with another seed, so there may be more of them than dialogues.\n"
    head = ["not kept because", "dialogues", "rejected answers", "meaning"]
    return stages + "\n" + table(head, rows) + "\n" + note


def _tokens(tokens: tuple[int, int] | None) -> str:
    if tokens is None:
        return "Tokens were not counted.\n"
    return f"Tokens, those of rejected answers included: {tokens[0]:,} in prompts, {tokens[1]:,} in answers.\n"


def _sizes(splits: Mapping[str, SplitSummary]) -> str:
    rows = [
        [name, f"{split.dialogues:,}", f"{split.utterances:,}", f"{split.utterances / split.dialogues:.1f}"]
        for name, split in splits.items()
    ]
    return table(["split", "dialogues", "utterances", "turns a dialogue"], rows)


def _labels(facts: CardFacts) -> str:
    counts = {name: split.labels for name, split in facts.splits.items()}
    everywhere = sum(counts.values(), Counter[str]())
    columns: dict[str, tuple[Mapping[str, int], bool]] = {name: (of, False) for name, of in counts.items()}
    columns["% of all"] = (everywhere, True)
    note = "No label counts of the benchmark are published.\n"
    if facts.benchmark_labels:
        columns["benchmark's train"] = (facts.benchmark_labels, False)
        columns["% of benchmark's train"] = (facts.benchmark_labels, True)
        note = "The benchmark's counts are the published ones of its train split.\n"
    wanted, asked_for = sum((split.targets for split in facts.splits.values()), Counter[str]()), ""
    if facts.settings["targets"]:
        columns["dialogues that it was wanted in"] = (wanted, False)
        asked_for = (
            "Balanced are the dialogues, by the one emotion that was wanted in each at least once (last column); the "
            "utterances are not, as a dialogue has other emotions, too. "
        )
    rows = []
    for label in facts.settings["benchmark"]["labels"]:
        cells = [
            f"{100 * of.get(label, 0) / sum(of.values()):.1f}" if is_share else f"{of.get(label, 0):,}"
            for of, is_share in columns.values()
        ]
        rows.append([inert(label), *cells])
    head = f"Utterances. {asked_for}".rstrip()
    return f"{head}\n\n{table(['label', *columns], rows)}\n{note}\n![Utterances a label](labels.png)\n"


def _duplicates(checks: Mapping[str, Any]) -> str:
    return (
        "Dialogues that came twice were left out, and of two whose sets of word 3-grams have a Jaccard similarity of "
        f"{checks['near_duplicate']:g} or more the later one.\n"
    )


def _leakage(facts: CardFacts, title: str) -> str:
    found, limits = facts.leakage, facts.settings["checks"]["leakage"]
    if not found.checked:
        return (
            f"Dialogues were **not** compared with the real validation and test sets of {title}: the files of these "
            "were not there when the data set was made.\n"
        )
    said = (
        f"All dialogues were compared with the real validation and test sets of {title}. One was left out if it has an "
        f"utterance of {limits['words']} words or more from there, if {100 * limits['containment']:g} % of its word "
        f"{limits['ngram']}-grams occur there, or if it has {100 * limits['dialogue']:g} % of the utterances of one "
        f"dialogue from there. Left out: {found.dialogues:,}; every hit is in `{LEAKAGE_FILE}`.\n"
    )
    if not found.by_kind:
        return said
    rows = [[inert(kind), f"{count:,}"] for kind, count in found.by_kind.items()]
    return said + "\n" + table(["kind of hit", "hits"], rows)


def _limits(facts: CardFacts) -> str:
    limits = [
        *facts.profile.limits,
        "Whether training on this data helps on real conversations is an open question until it is tested.",
    ]
    if not facts.leakage.checked:
        limits.append("It may hold text of the real test set, which would make scores on that too good.")
    if targets := facts.settings["targets"]:
        whole = len(targets) == len(facts.settings["benchmark"]["labels"])
        each = "Every label" if whole else f"Each of {inert(', '.join(targets))}"
        limits.append(
            f"{each} was the target of equally many requests, give or take one; dialogues kept and utterances are not "
            "equal."
        )
    return "".join(f"- {limit}\n" for limit in limits)
