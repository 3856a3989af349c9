"""The README.md of a generated data set: front matter for the hub, and what a reader has to know."""

from collections.abc import Mapping, Sequence
from typing import Any

from ercsatz.dialogue import SPLITS, Dialogue, label_counts
from ercsatz.generation.funnel import Funnel
from ercsatz.generators.interface import Profile

_FRONT_MATTER = """\
---
pretty_name: {name}
language:
- en
license: {licence}
task_categories:
- text-classification
tags:
- emotion-recognition-in-conversation
- synthetic
configs:
- config_name: default
  data_files:
{files}
---
"""


def card(
    settings: Mapping[str, Any], splits: Mapping[str, Sequence[Dialogue]], funnel: Funnel, profile: Profile
) -> str:
    """The text of README.md; it depends on its arguments alone.

    Args:
        settings: as in ``config.json``.
        splits: every split with its dialogues.
        funnel: how many requests became data, and what became of the others.
        profile: what the generator declares about itself.
    """
    files = "\n".join(f"  - split: {split}\n    path: {split}.jsonl" for split in SPLITS)
    parts = [
        _FRONT_MATTER.format(name=settings["data"], licence=profile.licence, files=files),
        f"# {settings['data']}\n\nSynthetic conversations with an emotion for every utterance, written by ercsatz with "
        f"the labels and speakers of {settings['benchmark']['title']}. A line of a file is a dialogue.\n",
        "## Provenance\n\n" + _provenance(settings, profile),
        "## Size\n\n" + _sizes(splits),
        "## Labels\n\nUtterances.\n\n" + _labels(settings["benchmark"]["labels"], splits),
        "## From requests to data\n\n" + _funnel(funnel),
        "## Licence\n\n" + f"{profile.rights} Speakers' names and the label set are those of "
        f"{settings['benchmark']['title']}; none of its text is in here.\n",
        "## Known limits\n\n" + _limits(settings, profile),
    ]
    return "\n".join(parts)


def _provenance(settings: Mapping[str, Any], profile: Profile) -> str:
    plan, split = settings["plan"], settings["split"]
    rows = {
        "generator": settings["generator"]["name"],
        "sampling parameters": ", ".join(sorted(profile.honours)) or "none: it has none",
        "mode": settings["mode"],
        "seed": settings["seed"],
        "asked for": f"{plan['n_dialogues']} dialogues of {plan['min_turns']} to {plan['max_turns']} turns",
        "prompt templates (SHA-256)": settings["templates_sha256"],
        "split": f"by dialogue, after the fact: validation {split['validation']:g}, test {split['test']:g}",
    }
    note = (
        "The prompts reconstruct those of Kaplan, Carneiro and Wermter (2025), whose wording is not public. "
        "All settings are in `config.json`; every dialogue has the index, seed, target and prompt hash it came from.\n"
    )
    return _table(["", ""], [[key, str(value)] for key, value in rows.items()]) + "\n" + note


def _sizes(splits: Mapping[str, Sequence[Dialogue]]) -> str:
    rows = []
    for split, dialogues in splits.items():
        turns = sum(len(dialogue.utterances) for dialogue in dialogues)
        rows.append([split, str(len(dialogues)), str(turns), f"{turns / len(dialogues):.1f}"])
    return _table(["split", "dialogues", "utterances", "turns a dialogue"], rows)


def _labels(labels: Sequence[str], splits: Mapping[str, Sequence[Dialogue]]) -> str:
    counts = {split: label_counts(dialogues) for split, dialogues in splits.items()}
    total = sum(counter.total() for counter in counts.values())
    rows = []
    for label in labels:
        row = [counter[label] for counter in counts.values()]
        rows.append([label, *map(str, row), f"{100 * sum(row) / total:.1f}"])
    return _table(["label", *counts, "% of all"], rows)


def _funnel(funnel: Funnel) -> str:
    stages = _table(["stage", "dialogues"], [[stage, str(count)] for stage, count in funnel.stages.items()])
    if not funnel.reasons:
        return stages
    reasons = [[reason.name, str(count), reason.value] for reason, count in funnel.by_frequency()]
    return stages + "\n" + _table(["not kept because", "dialogues", "meaning"], reasons)


def _limits(settings: Mapping[str, Any], profile: Profile) -> str:
    limits = [
        *profile.limits,
        "Dialogues were not compared with the benchmark's own, and near-duplicates were not looked for; "
        "only exact duplicates were left out.",
        "Whether training on this data helps on real conversations is an open question until it is tested.",
    ]
    if settings["mode"] == "balanced":
        limits.append(
            "Balanced means that every label was the target of equally many requests, give or take one; utterances "
            "are not equal."
        )
    return "".join(f"- {limit}\n" for limit in limits)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
