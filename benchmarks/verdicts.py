"""How often assess.py finds a fault where there is none.

    python benchmarks/verdicts.py --meld FOLDER_OF_MELD [--trials 10] [--out FILE.md]

In each trial MELD's training split is halved by dialogue, at random. One half plays the data set, with a tenth each for
validation and test, and the other the real training split, beside MELD's own validation and test sets. All is real, so
every figure that is not called as real is called so by mistake. Settings are the defaults of assess.py, and the
embedder is the lexical one.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ercsatz.assessment.measure_names import FAMILIES, describe
from ercsatz.assessment.measures import measure
from ercsatz.assessment.record import Line
from ercsatz.assessment.resampling import Sizes
from ercsatz.assessment.verdict import WORDS, Word, verdict
from ercsatz.config import AssessConfig, register
from ercsatz.data.benchmarks import load
from ercsatz.data.dialogue import Dialogue
from ercsatz.data.text_files import atomic_write
from ercsatz.quality.embedder import Embedder, lexical, remembering
from ercsatz.quality.measure import shuffled
from ercsatz.resources import resource

HELD_OUT = 0.1  # of the half that plays the data set, for its validation and for its test split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meld", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    config = settings(given.meld)
    lines: list[Line] = []
    for trial in range(given.trials):
        found = one(config, trial)
        lines += found
        wrong = [f"{describe(line).title} {verdict(line).word}" for line in whole(found) if word_of(line) != "as real"]
        print(f"trial {trial + 1}: {', '.join(wrong) or 'all as real'}", flush=True)
    text = page(lines, given.trials, config)
    print(text)
    if given.out:
        with atomic_write(given.out) as file:
            file.write(text)


def settings(meld: Path) -> AssessConfig:
    register([resource("conf")])
    with initialize_config_dir(str(resource("conf")), version_base="1.3"):
        config = OmegaConf.to_object(
            compose("assess", overrides=["data=meld_bal", f"benchmark.path={meld.absolute()}"])
        )
    assert isinstance(config, AssessConfig)
    return config


def one(config: AssessConfig, trial: int) -> Sequence[Line]:
    """All figures of a trial."""
    corpus, chosen = load(config.benchmark), config.assess
    mixed = shuffled(corpus.splits["train"], trial)
    half, tenth = len(mixed) // 2, round(HELD_OUT * (len(mixed) // 2))
    other = mixed[half:]
    own = {"train": other[2 * tenth :], "validation": other[:tenth], "test": other[tenth : 2 * tenth]}
    real: dict[str, Sequence[Dialogue]] = {**corpus.splits, "train": mixed[:half]}
    sizes = Sizes(chosen.dialogues, chosen.sample, chosen.halves, config.seed)
    labels, leaks = list(config.benchmark.labels), config.checks.leakage
    return measure(real, own, labels, fit, leaks, sizes, {}, lambda _: None).lines


def fit(texts: Sequence[str]) -> Embedder:
    return remembering(lexical(texts))


def whole(lines: Iterable[Line]) -> list[Line]:
    """Figures that have a verdict and are not of one emotion."""
    return [line for line in lines if line.emotion is None and word_of(line) in WORDS]


def word_of(line: Line) -> Word:
    return verdict(line).word


def page(lines: Sequence[Line], trials: int, config: AssessConfig) -> str:
    groups = {title: [line for line in whole(lines) if line.family == key] for key, title in FAMILIES.items()}
    groups = {title: members for title, members in groups.items() if members}
    groups["All"] = whole(lines)
    groups["Figures of single emotions, besides"] = [
        line for line in lines if line.emotion is not None and word_of(line) in WORDS
    ]
    table = [f"| {title} | {' | '.join(map(str, row(members)))} |" for title, members in groups.items()]
    wrong = Counter(f"{describe(line).title} ({FAMILIES[line.family].lower()})" for line in groups["All"]
                    if word_of(line) != "as real")  # fmt: skip
    return "\n".join([
        "# Figures of real dialogues that are not called as real",
        "",
        f"In {trials} trials, one random half of MELD's training split plays the data set and the other the real one, "
        f"at the default settings (assess.halves={config.assess.halves}, assess.sample={config.assess.sample}). Of "
        "the figures with a verdict, up to one of twenty may fairly be called otherwise. Figures of a trial "
        "go together, so these come in bunches.",
        "",
        "```",
        f"python benchmarks/verdicts.py --meld FOLDER_OF_MELD --trials {trials}",
        "```",
        "",
        f"| figures | {' | '.join(WORDS)} | not as real, % |",
        "|:--|--:|--:|--:|--:|--:|",
        *table,
        "",
        "Not called as real more than once: "
        + (", ".join(f"{name} {times} times" for name, times in wrong.most_common() if times > 1) or "none")
        + ".",
    ]) + "\n"  # fmt: skip


def row(lines: Sequence[Line]) -> list[str]:
    words = Counter(map(word_of, lines))
    return [*(str(words[word]) for word in WORDS), f"{100 * (1 - words['as real'] / max(1, len(lines))):.1f}"]


if __name__ == "__main__":
    main()
