"""What has to be trained before a classifier: EmoOne's teachers, TODKAT's topic layer.

Imports nothing heavy: whether a job's stages are in the cache is found out with it.
"""

from dataclasses import dataclass, replace

from ercsatz.config import TODKAT, Classifier, CoMPM, EmoOne, Gray, KnowledgeSources

FUTURE = {Gray.future, Gray.future_adjust}
ADJUSTED = {Gray.self_adjust, Gray.future_adjust}
TAUGHT = FUTURE | ADJUSTED | {Gray.self_teacher}
FUTURE_TEACHER = "emoone_future_teacher"
TOPIC = "todkat_topic"


@dataclass(frozen=True)
class Prior:
    """What is trained first, on the same dialogues.

    Attributes:
        config: of what is trained.
        title: for progress lines.
        always: whether a stage that starts from another's weights needs it, too.
    """

    config: Classifier
    title: str
    always: bool


def prior(config: Classifier) -> Prior | None:
    """What a classifier needs to be trained before it, if anything.

    A teacher is the classifier with hard labels only, so ``gray=none`` finds it in the cache.
    """
    if isinstance(config, EmoOne) and config.gray in TAUGHT:
        name = FUTURE_TEACHER if config.gray in FUTURE else config.name
        return Prior(essential(replace(config, name=name, gray=Gray.none)), "teacher", always=True)
    if isinstance(config, TODKAT) and config.topic:
        return Prior(essential(replace(config, name=TOPIC)), "topic", always=False)
    return None


def essential(config: Classifier) -> Classifier:
    """The same with every option that determines nothing at one value, so that what is equal is found to be.

    Paths are among them: what lies there is part of a stage's key by its content.
    """
    if isinstance(config, CoMPM) and config.memory_backbone:
        return replace(config, memory_backbone=replace(config.memory_backbone, name="", lr=0.0, checkpoint=None))
    if isinstance(config, EmoOne):
        config = replace(config, word_vectors=None)
        if config.gray == Gray.none:
            config = replace(config, w1=1.0, w2=1.0)
        needs_future = config.name == FUTURE_TEACHER or config.gray in FUTURE
        return config if needs_future else replace(config, future_turns=0)
    if isinstance(config, TODKAT) and config.name == TOPIC:
        config = replace(config, knowledge=KnowledgeSources.none, knowledge_width=None)
        return replace(config, layers=1, heads=1, feedforward=1, dropout=0.0, causal=True)
    return config
