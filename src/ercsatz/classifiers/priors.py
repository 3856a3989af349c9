"""What has to be trained before a classifier: EmoOne's teachers, TODKAT's topic layer.

Imports nothing heavy: whether a job's stages are in the cache is found out with it.
"""

from dataclasses import dataclass, replace

from ercsatz.config import TODKAT, Classifier, EmoOne, Gray, KnowledgeSources

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
        return Prior(replace(config, name=name, gray=Gray.none), "teacher", always=True)
    if isinstance(config, TODKAT) and config.topic:
        return Prior(replace(config, name=TOPIC, knowledge=KnowledgeSources.none), "topic", always=False)
    return None
