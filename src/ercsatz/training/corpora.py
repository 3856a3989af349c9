"""A job's dialogues, and what is known about them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ercsatz import knowledge
from ercsatz.config import TODKAT, KnowledgeSources, Phase, TrainConfig
from ercsatz.data.dialogue import Corpus, Dialogue, Utterance

Sources = frozenset[str]
_Splits = Mapping[str, tuple[Dialogue, ...]]
_WANTED: dict[KnowledgeSources, Sources] = {
    KnowledgeSources.none: frozenset(),
    KnowledgeSources.retrieved: frozenset({"retrieved"}),
    KnowledgeSources.generated: frozenset({"generated"}),
    KnowledgeSources.both: frozenset({"retrieved", "generated"}),
}


@dataclass(frozen=True)
class Data:
    """What a job reads.

    Attributes:
        real: the benchmark.
        synthetic: the generated corpus, if the job's variant is one.
        test_sets: by variant.
        hashes: fingerprints of the test sets, as published or generated, without knowledge.
    """

    real: Corpus
    synthetic: Corpus | None
    test_sets: Mapping[str, tuple[Dialogue, ...]]
    hashes: Mapping[str, str]


def with_knowledge(cfg: TrainConfig, classifier: TODKAT, data: Data) -> tuple[TrainConfig, Data]:
    """Join what the sidecars know, as far as all that is trained on has it; says so where that is not all.

    Knowledge of a kind that a classifier was never trained with would go through weights that are still random. So a
    source counts only where the training dialogues of every data set of the job have it; the configuration that comes
    back asks for these sources alone.
    """
    names = {f"{cfg.benchmark.name}_{variant}" for variant in data.test_sets}
    corpora = [corpus for corpus in (data.real, data.synthetic) if corpus]
    names |= {corpus.name for corpus in corpora}
    wanted = _WANTED[classifier.knowledge]
    sidecars = {name: knowledge.find(Path(cfg.paths.data), name) for name in sorted(names)} if wanted else {}

    def join(name: str, splits: _Splits) -> _Splits:
        sidecar = sidecars.get(name)
        return splits if sidecar is None else knowledge.attach(splits, sidecar)

    joined = [replace(corpus, splits=join(corpus.name, corpus.splits)) for corpus in corpora]
    trained = {Phase.original: joined[:1], Phase.pretrain: joined[-1:]}.get(cfg.phase, joined)
    found = [_sources(corpus.split("train")) for corpus in trained]
    kept = wanted.intersection(*found)
    for corpus, own in zip(trained, found, strict=True):
        if missing := sorted(wanted - own):
            print(
                f"  todkat runs without {' and '.join(missing)} knowledge, which {corpus.name} has none of "
                f"(in {Path(cfg.paths.data) / 'knowledge'}). It is made with: python knowledge.py data={corpus.name}",
                flush=True,
            )
    joined = [_reduced_to(corpus, kept) for corpus in joined]
    ready = {corpus.name: corpus.split("test") for corpus in joined}

    def test_set(name: str, dialogues: tuple[Dialogue, ...]) -> tuple[Dialogue, ...]:
        return ready[name] if name in ready else _only(join(name, {"test": dialogues})["test"], kept)

    tests = {variant: test_set(f"{cfg.benchmark.name}_{variant}", d) for variant, d in data.test_sets.items()}
    (effective,) = (name for name, sources in _WANTED.items() if sources == kept)
    changed = replace(cfg, classifier=replace(classifier, knowledge=effective))
    return changed, Data(joined[0], joined[1] if data.synthetic else None, tests, data.hashes)


def without_knowledge(corpus: Corpus) -> Corpus:
    """The same dialogues, about which nothing is known."""
    return _reduced_to(corpus, frozenset())


def _reduced_to(corpus: Corpus, sources: Sources) -> Corpus:
    return replace(corpus, splits={split: _only(dialogues, sources) for split, dialogues in corpus.splits.items()})


def _sources(dialogues: Iterable[Dialogue]) -> Sources:
    known = [turn.knowledge for dialogue in dialogues for turn in dialogue.utterances if turn.knowledge]
    retrieved = any(about.retrieved for about in known)
    generated = any(about.generated or about.vectors for about in known)
    return frozenset(name for name, there in (("retrieved", retrieved), ("generated", generated)) if there)


def _only(dialogues: tuple[Dialogue, ...], sources: Sources) -> tuple[Dialogue, ...]:
    return tuple(replace(d, utterances=tuple(_reduced(turn, sources) for turn in d.utterances)) for d in dialogues)


def _reduced(turn: Utterance, sources: Sources) -> Utterance:
    about = turn.knowledge
    if about is None:
        return turn
    if "retrieved" not in sources:
        about = replace(about, retrieved=())
    if "generated" not in sources:
        about = replace(about, generated=(), vectors=b"")
    return replace(turn, knowledge=about if about.retrieved or about.generated or about.vectors else None)
