"""A job's dialogues: the benchmark's, the generated ones, shares of them, test sets, and what is known about them."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ercsatz import knowledge
from ercsatz.config import ORG, StageConfig, TrainConfig, TrainOn, variants
from ercsatz.data import benchmarks
from ercsatz.data.dialogue import Corpus, Dialogue, Utterance, fingerprint
from ercsatz.data.files import read_jsonl
from ercsatz.errors import UserError

Sources = frozenset[str]
_Splits = Mapping[str, tuple[Dialogue, ...]]


@dataclass(frozen=True)
class JobData:
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


def load_data(cfg: TrainConfig) -> JobData:
    """Read all that a job needs, before anything is trained.

    Raises:
        UserError: something is missing or wrong.
    """
    variant = cfg.data.variant
    real = benchmarks.load(cfg.benchmark)
    synthetic = None if variant == ORG else read_synthetic(cfg, variant, ("train", "validation", "test"))
    test_sets = _test_sets(cfg, real)
    hashes = {name: fingerprint(dialogues) for name, dialogues in test_sets.items()}
    return JobData(real, synthetic, test_sets, hashes)


def read_synthetic(cfg: TrainConfig, variant: str, splits: Sequence[str]) -> Corpus:
    """Read splits of a benchmark's generated variant, from beside the job's own data.

    Raises:
        UserError: it was not generated yet, or a file is wrong.
    """
    name = f"{cfg.benchmark.name}_{variant}"
    folder = _folder(cfg, variant)
    if not folder.is_dir():
        raise UserError(f"There is no data set {name} in {folder}. Make it with: python generate.py data={name}")
    return Corpus(name, tuple(cfg.benchmark.labels), {split: read_jsonl(folder / f"{split}.jsonl") for split in splits})


def _folder(cfg: TrainConfig, variant: str) -> Path:
    if variant == cfg.data.variant:
        return Path(cfg.data.path)
    return Path(cfg.paths.data) / f"{cfg.benchmark.name}_{variant}"


def _test_sets(cfg: TrainConfig, real: Corpus) -> dict[str, tuple[Dialogue, ...]]:
    chosen = cfg.test_sets
    if chosen is None:
        chosen = [v for v in variants() if v == ORG or _folder(cfg, v).is_dir()]
    return {
        variant: (real if variant == ORG else read_synthetic(cfg, variant, ("test",))).split("test")
        for variant in chosen
    }


def corpus_of(cfg: TrainConfig, data: JobData, stage: StageConfig) -> Corpus:
    """What a stage trains on and is validated on: shares by dialogues, drawn by the seed.

    Of one seed a smaller share is part of a larger one. Where real dialogues are among them, the best epoch is found on
    the real validation split: that is what the classifier is for.
    """
    real_share = cfg.phase.real_share if stage.real_share is None else stage.real_share
    synthetic_share = cfg.phase.synthetic_share if stage.synthetic_share is None else stage.synthetic_share
    real = share_of(data.real, real_share, cfg.seed)
    if stage.train == TrainOn.real:
        return real
    assert data.synthetic is not None
    synthetic = share_of(data.synthetic, synthetic_share, cfg.seed)
    if stage.train == TrainOn.synthetic:
        return synthetic
    joined = {**real.splits, "train": real.split("train") + synthetic.split("train")}
    return Corpus(f"{real.name}+{synthetic.name}", real.labels, joined)


def share_of(corpus: Corpus, share: float, seed: int) -> Corpus:
    """A corpus with a share of its training dialogues, one at least, in their order."""
    if share == 1.0:
        return corpus
    train = corpus.split("train")
    drawn = random.Random(seed).sample(range(len(train)), len(train))[: max(1, round(share * len(train)))]
    return replace(corpus, splits={**corpus.splits, "train": tuple(train[place] for place in sorted(drawn))})


def with_knowledge(
    cfg: TrainConfig, data: JobData, trained_on: Iterable[TrainOn]
) -> tuple[TrainConfig, JobData, list[str]]:
    """Join what the sidecars know, as far as all that is trained on has it.

    Knowledge of a kind that a classifier was never trained with would go through weights that are still random. So a
    source counts only where the training dialogues of every data set of the job have it.

    Args:
        cfg: the job's configuration, whose classifier says which sources it reads.
        data: without knowledge.
        trained_on: whose dialogues the stages see.

    Returns:
        The configuration that asks for the sources that count, the data with what is known, and a sentence for every
        data set that lacks a source.
    """
    wanted: Sources = cfg.classifier.knowledge_sources
    if not wanted:
        return cfg, data, []
    corpora = [corpus for corpus in (data.real, data.synthetic) if corpus]
    names = {f"{cfg.benchmark.name}_{variant}" for variant in data.test_sets} | {corpus.name for corpus in corpora}
    sidecars = {name: knowledge.find(Path(cfg.paths.data), name) for name in sorted(names)}

    def join(name: str, splits: _Splits) -> _Splits:
        sidecar = sidecars.get(name)
        return splits if sidecar is None else knowledge.attach(splits, sidecar)

    joined = [replace(corpus, splits=join(corpus.name, corpus.splits)) for corpus in corpora]
    seen = set(trained_on)
    own = [{TrainOn.real, TrainOn.both}, {TrainOn.synthetic, TrainOn.both}][: len(joined)]
    trained = [corpus for corpus, kinds in zip(joined, own, strict=True) if kinds & seen]
    found = [_sources(corpus.split("train")) for corpus in trained]
    kept = wanted.intersection(*found)
    lacking = [(corpus, sorted(wanted - there)) for corpus, there in zip(trained, found, strict=True)]
    told = [
        f"{cfg.classifier.name} runs without {' and '.join(missing)} knowledge, which {corpus.name} has none of "
        f"(in {Path(cfg.paths.data) / 'knowledge'}). It is made with: python knowledge.py data={corpus.name}"
        for corpus, missing in lacking
        if missing
    ]
    joined = [_reduced_to(corpus, kept) for corpus in joined]
    ready = {corpus.name: corpus.split("test") for corpus in joined}

    def test_set(name: str, dialogues: tuple[Dialogue, ...]) -> tuple[Dialogue, ...]:
        return ready[name] if name in ready else _only(join(name, {"test": dialogues})["test"], kept)

    tests = {variant: test_set(f"{cfg.benchmark.name}_{variant}", d) for variant, d in data.test_sets.items()}
    changed = replace(cfg, classifier=cfg.classifier.with_sources(kept))
    return changed, JobData(joined[0], joined[1] if data.synthetic else None, tests, data.hashes), told


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
