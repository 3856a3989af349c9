"""The whole of ``knowledge.py``."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from ercsatz.config import ORG, KnowledgeConfig, KnowledgeOrigin, variants
from ercsatz.config.advice import advised
from ercsatz.config.rules import Rule, at_least_1, enforce, one_of
from ercsatz.data import benchmarks, shards
from ercsatz.data.dialogue import SPLITS, Corpus, Dialogue
from ercsatz.data.files import read_jsonl
from ercsatz.disk import let_go, told
from ercsatz.errors import UserError
from ercsatz.knowledge.merge import adding
from ercsatz.knowledge.sidecar import SidecarEntry, paths, read_entries
from ercsatz.knowledge.texts import Splits
from ercsatz.reporting.text import plain

_LOG = logging.getLogger(__name__)


def run(config: KnowledgeConfig) -> None:
    """Write the sidecar of the data set that the configuration names, or a part of it.

    Raises:
        UserError: the configuration cannot be run, data are missing or wrong, or the place cannot be written.
        KeyboardInterrupt: the user stopped it; what was answered is in the journal.
    """
    enforce(_rules(config))
    sources = {
        KnowledgeOrigin.retrieve: _retrieve,
        KnowledgeOrigin.generate: _generate,
        KnowledgeOrigin.text: _import_text,
        KnowledgeOrigin.cosmic: _import_cosmic,
    }
    statements, _ = paths(Path(config.paths.data), config.data.name)
    with _alone(statements):
        sources[config.source](config)


def load_splits(config: KnowledgeConfig) -> Splits:
    """The dialogues of the data set, by split.

    Raises:
        UserError: they are missing or wrong.
    """
    if config.data.variant == ORG:
        return benchmarks.load(config.benchmark).splits
    folder, name = Path(config.data.path), config.data.name
    if told := shards.instead_of(folder):
        raise UserError(told)
    if not folder.is_dir():
        command = advised("generate", f"data={name}", keep=("data.path",))
        raise UserError(f"There is no data set {name} in {folder}. Make it with: {command}")
    splits = {split: read_jsonl(folder / f"{split}.jsonl") for split in SPLITS}
    return Corpus(name, tuple(config.benchmark.labels), splits).splits


def _retrieve(config: KnowledgeConfig) -> None:
    from ercsatz.knowledge import encoders
    from ercsatz.knowledge.atomic import read_atomic
    from ercsatz.knowledge.retrieve import Retriever

    chosen = config.retrieve
    if chosen.atomic is None:
        raise UserError("retrieve.atomic has no value. Give a CSV file of ATOMIC's format: retrieve.atomic=FILE")
    splits, events = load_splits(config), read_atomic(Path(chosen.atomic))
    texts = [event.text for event in events]
    lexical = chosen.encoder == encoders.LEXICAL
    encoder = encoders.lexical(texts) if lexical else encoders.pretrained(chosen.encoder)
    by = f"{encoder.name}, top {chosen.top} of {Path(chosen.atomic).name}"
    _LOG.info("%s events with phrases in %s; compared by %s.", f"{len(events):,}", chosen.atomic, encoder.name)
    path, _ = paths(Path(config.paths.data), config.data.name)
    with adding(path, splits, "retrieved", by, config.overwrite) as put:
        cache = Path(config.paths.cache)
        vectors = None if lexical else encoders.event_vectors(texts, encoder, chosen.encoder, cache)
        retriever = Retriever(events, encoder, chosen.top, vectors)
        for split, dialogues in splits.items():
            found = retriever.search([turn.text for dialogue in dialogues for turn in dialogue.utterances])
            for dialogue in dialogues:
                for turn, _ in enumerate(dialogue.utterances):
                    put(SidecarEntry.about(split, dialogue, turn, retrieved=next(found)))
    _summarise(path, splits)


def _generate(config: KnowledgeConfig) -> None:
    if not config.generator.profile.language_model:
        raise UserError(
            f"source=generate asks a language model, which generator={config.generator.name} is not. "
            "Choose generator=tgi, generator=openai or generator=transformers."
        )
    if config.generator.held_to_grammar:
        raise UserError("generator.guided=true: the grammar is for dialogues only. Choose generator.guided=false.")
    from ercsatz.knowledge.ask import KnowledgeAsker, ask_about_all, settings, units
    from ercsatz.llm.journal import Journal

    splits, path = load_splits(config), _free_of_vectors(config)
    asker, generator = KnowledgeAsker(config), config.generator.build()
    asker.request(next(units(splits)), 0)  # tries the templates before anything is asked
    begin = partial(adding, path, splits, "generated", overwrite=config.overwrite)
    with closing(Journal(Path(config.journal))) as journal:
        journal.begin(settings(config, generator, asker), config.overwrite)
        ask_about_all(config, generator, asker, journal, splits, begin)
    _summarise(path, splits)


def _import_text(config: KnowledgeConfig) -> None:
    from ercsatz.knowledge.text_form import read_text_form

    files = {split: getattr(config.text, split) for split in SPLITS}
    given = {split: Path(file) for split, file in files.items() if file is not None}
    if not given:
        raise UserError("source=text: no file is given. Give one at least: text.train=FILE")
    splits, path = load_splits(config), _free_of_vectors(config)
    with adding(path, splits, "generated", "text form", config.overwrite) as put:
        for split, file in given.items():
            for entry in read_text_form(file, split, splits[split]):
                put(entry)
    _summarise(path, splits)


def _import_cosmic(config: KnowledgeConfig) -> None:
    from ercsatz.knowledge.cosmic import by_id, by_order, read_cosmic
    from ercsatz.knowledge.vectors import write_vectors

    chosen = config.cosmic
    if chosen.file is None:
        raise UserError("source=cosmic: cosmic.file has no value. Give the pickle: cosmic.file=FILE")
    splits, file = load_splits(config), Path(chosen.file)
    statements, vectors = paths(Path(config.paths.data), config.data.name)
    if statements.is_file() and any(entry.generated for _, entry in read_entries(statements)):
        raise UserError(f"{statements} has generated statements, which vectors cannot stand beside. Move it away.")
    features = read_cosmic(file)
    if chosen.match.value == "id":
        tensors = by_id(features, splits, file)
    else:
        tensors = by_order(features, {split: splits[split] for split in chosen.splits}, file)
    write_vectors(vectors, tensors, splits, f"COSMIC's {file.name}")
    n, width = sum(map(len, tensors.values())), next(iter(tensors.values())).shape[2]
    _LOG.info("Wrote %s: vectors of width %d for %s utterances.", vectors, width, f"{n:,}")


def _free_of_vectors(config: KnowledgeConfig) -> Path:
    """Where statements go, if no vectors stand in the place of generated ones."""
    statements, vectors = paths(Path(config.paths.data), config.data.name)
    if vectors.is_file():
        raise UserError(f"{vectors} stands in the place of generated statements. Move it away first.")
    return statements


def _summarise(path: Path, splits: Mapping[str, Sequence[Dialogue]]) -> None:
    n = sum(len(dialogue.utterances) for dialogues in splits.values() for dialogue in dialogues)
    counts = Counter[str]()
    for _, entry in read_entries(path):
        for part, known in (("retrieved", entry.retrieved), ("generated", entry.generated)):
            if known:
                counts[f"{part} ({plain(entry.by.get(part, 'an unnamed source'))})"] += 1
    listed = "; ".join(f"{count:,} with {part}" for part, count in sorted(counts.items()))
    _LOG.info("Wrote %s: of %s utterances %s.", path, f"{n:,}", listed or "none with anything")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    lock = FileLock(f"{path}.lock")
    try:
        with told(path, "Make room or mend paths.data."):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
    except Timeout:
        raise UserError(f"{path}: another knowledge.py is writing it. Wait for that one or stop it.") from None
    try:
        yield
    finally:
        let_go(lock)


def _rules(config: KnowledgeConfig) -> Iterator[Rule]:
    yield one_of("data.variant", config.data.variant, variants())
    yield at_least_1("retrieve.top", config.retrieve.top)
    yield "generate.turns", config.generate.turns, config.generate.turns >= 0, "0 or more"
    yield at_least_1("generate.attempts", config.generate.attempts)
    named = list(config.cosmic.splits)
    fits = bool(named) and len(set(named)) == len(named) and set(named) <= set(SPLITS)
    yield "cosmic.splits", named, fits, f"different ones of {', '.join(SPLITS)}"
    if config.source is KnowledgeOrigin.generate:
        yield from config.generator.problems()
