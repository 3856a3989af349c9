"""A job's dialogues: the benchmark's, the generated ones, shares of them, test sets, and what is known about them."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from ercsatz import knowledge
from ercsatz.config import ORG, StageConfig, TrainConfig, TrainOn, variants
from ercsatz.config.advice import advised
from ercsatz.data import benchmarks, shards
from ercsatz.data.dialogue import SPLITS, Corpus, Dialogue, Utterance, fingerprint
from ercsatz.data.files import read_jsonl, refuse_other_mode
from ercsatz.errors import MissingFiles, UserError, read_all
from ercsatz.tracking.lineage import data_hash

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
        corpora: the same of all splits of the benchmark and of the generated corpus, by name.
    """

    real: Corpus
    synthetic: Corpus | None
    test_sets: Mapping[str, tuple[Dialogue, ...]]
    hashes: Mapping[str, str]
    corpora: Mapping[str, str] = field(default_factory=dict)


def load_data(cfg: TrainConfig) -> JobData:
    """Read all that a job needs, before anything is trained.

    Raises:
        UserError: something is missing or wrong.
    """
    variant, tested, wanted = cfg.data.variant, _tested(cfg), _wanted(cfg)
    read: dict[str, Callable[[], Corpus]] = {ORG: partial(benchmarks.load, cfg.benchmark)}
    read |= {name: partial(read_synthetic, cfg, name, splits) for name, splits in wanted.items()}
    found = dict(zip(read, read_all(*read.values()), strict=True))
    real, synthetic = found[ORG], None if variant == ORG else found[variant]
    _refuse_shared(real)
    test_sets = {name: found[name].split("test") for name in tested}
    hashes = {name: fingerprint(dialogues) for name, dialogues in test_sets.items()}
    corpora = {corpus.name: data_hash(corpus.splits) for corpus in (real, synthetic) if corpus}
    return JobData(real, synthetic, test_sets, hashes, corpora)


def missing_data_sets(cfg: TrainConfig) -> dict[str, str]:
    """A sentence, with the command that mends it, for every generated data set that is not there at all, by name."""
    absent = [variant for variant in _wanted(cfg) if _is_absent(_folder(cfg, variant))]
    return {f"{cfg.benchmark.name}_{variant}": _no_data_set(cfg, variant) for variant in absent}


def missing_files(cfg: TrainConfig) -> list[str]:
    """A sentence for every other file of dialogues that a job would miss; reads none."""
    there = {name: splits for name, splits in _wanted(cfg).items() if not _is_absent(_folder(cfg, name))}
    wanted = [partial(_files, cfg, name, splits) for name, splits in there.items()]
    try:
        read_all(partial(benchmarks.find_all, cfg.benchmark), *wanted)
    except MissingFiles as error:
        return str(error).splitlines()
    except UserError:
        pass  # the job will say what else is wrong
    return []


def _wanted(cfg: TrainConfig) -> dict[str, Sequence[str]]:
    """The splits that a job reads of each generated variant."""
    splits: dict[str, Sequence[str]] = dict.fromkeys(_tested(cfg), ("test",)) | {cfg.data.variant: SPLITS}
    return {name: those for name, those in splits.items() if name != ORG}


def read_synthetic(cfg: TrainConfig, variant: str, splits: Sequence[str]) -> Corpus:
    """Read splits of a benchmark's generated variant, from beside the job's own data.

    Raises:
        MissingFiles: it was not generated yet.
        UserError: a file is wrong.
    """
    files = _files(cfg, variant, splits)
    dialogues = {split: read_jsonl(file) for split, file in files.items()}
    for split, file in files.items():
        refuse_other_mode(dialogues[split], variant, file)
    return Corpus(f"{cfg.benchmark.name}_{variant}", tuple(cfg.benchmark.labels), dialogues)


def _files(cfg: TrainConfig, variant: str, splits: Sequence[str]) -> dict[str, Path]:
    """The files of a generated variant; raises where they are missing."""
    folder = _folder(cfg, variant)
    if not folder.is_dir():
        raise MissingFiles(_no_data_set(cfg, variant))
    if told := shards.instead_of(folder):
        raise MissingFiles(told)
    files = {split: folder / f"{split}.jsonl" for split in splits}
    if absent := [str(file) for file in files.values() if not file.is_file()]:
        raise MissingFiles(
            f"There is no file {', nor '.join(absent)}. Make it again with: {_written(cfg, variant)} overwrite=true"
        )
    return files


def _is_absent(folder: Path) -> bool:
    """Whether nothing of a data set is there, parts neither."""
    return not folder.is_dir() and not shards.beside(folder)


def _no_data_set(cfg: TrainConfig, variant: str) -> str:
    name = f"{cfg.benchmark.name}_{variant}"
    if told := shards.instead_of(_folder(cfg, variant)):
        return told
    return f"There is no data set {name} in {_folder(cfg, variant)}. Make it with: {_written(cfg, variant)}"


def _written(cfg: TrainConfig, variant: str) -> str:
    """The command that writes a generated variant."""
    own = ("data.path",) if variant == cfg.data.variant else ()
    return advised("generate", f"data={cfg.benchmark.name}_{variant}", keep=own)


def _folder(cfg: TrainConfig, variant: str) -> Path:
    if variant == cfg.data.variant:
        return Path(cfg.data.path)
    return Path(cfg.paths.data) / f"{cfg.benchmark.name}_{variant}"


def _tested(cfg: TrainConfig) -> list[str]:
    """The variants whose test split is scored."""
    if cfg.test_sets is not None:
        return list(cfg.test_sets)
    return [v for v in variants() if v == ORG or _folder(cfg, v).is_dir()]


def _refuse_shared(real: Corpus) -> None:
    """Raise where all dialogues of a split are in another one, too, as where a file was copied for it."""
    said = {split: {dialogue.utterances for dialogue in dialogues} for split, dialogues in real.splits.items()}
    for seen, unseen in (("train", "test"), ("train", "validation"), ("validation", "test")):
        if said[unseen] <= said[seen]:
            raise UserError(
                f"{real.name}: every dialogue of {unseen} is in {seen}, too. A classifier would be tested on what it "
                "has seen. Give each split dialogues of its own (benchmark.files, benchmark.path)."
            )


def corpus_of(cfg: TrainConfig, data: JobData, stage: StageConfig) -> Corpus:
    """What a stage trains on and is validated on: shares by dialogues, drawn by the seed.

    Of one seed a smaller share is part of a larger one. Where real dialogues are among them, the best epoch is found on
    the real validation split: that is what the classifier is for.
    """
    shares = shares_of(cfg, stage)
    if stage.train == TrainOn.real:
        return share_of(data.real, shares["real_share"], cfg.seed)
    assert data.synthetic is not None
    synthetic = share_of(data.synthetic, shares["synthetic_share"], cfg.seed)
    if stage.train == TrainOn.synthetic:
        return synthetic
    real = share_of(data.real, shares["real_share"], cfg.seed)
    joined = {**real.splits, "train": real.split("train") + synthetic.split("train")}
    return Corpus(f"{real.name}+{synthetic.name}", real.labels, joined)


def shares_of(cfg: TrainConfig, stage: StageConfig) -> dict[str, float]:
    """The share of the dialogues of each kind that a stage trains on: its own, or else its phase's."""
    kinds = {"real_share": (TrainOn.real, TrainOn.both), "synthetic_share": (TrainOn.synthetic, TrainOn.both)}
    own = {name: getattr(stage, name) for name, trained_on in kinds.items() if stage.train in trained_on}
    return {name: getattr(cfg.phase, name) if share is None else share for name, share in own.items()}


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
        f"(in {Path(cfg.paths.data) / 'knowledge'}). It is made with: {advised('knowledge', f'data={corpus.name}')}"
        for corpus, missing in lacking
        if missing
    ]
    joined = [_reduced_to(corpus, kept) for corpus in joined]
    ready = {corpus.name: corpus.split("test") for corpus in joined}

    def test_set(name: str, dialogues: tuple[Dialogue, ...]) -> tuple[Dialogue, ...]:
        return ready[name] if name in ready else _only(join(name, {"test": dialogues})["test"], kept)

    tests = {variant: test_set(f"{cfg.benchmark.name}_{variant}", d) for variant, d in data.test_sets.items()}
    changed = replace(cfg, classifier=cfg.classifier.with_sources(kept))
    return changed, JobData(joined[0], joined[1] if data.synthetic else None, tests, data.hashes, data.corpora), told


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
