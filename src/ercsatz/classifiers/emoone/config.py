"""The options of EmoOne-RoBERTa (Lee, Interspeech 2022)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Self

from omegaconf import MISSING

from ercsatz.classifiers.speaker_tags import REGISTERED_TAGS, SpeakerTags
from ercsatz.config.classifier import ClassifierConfig, Gives, Prerequisite
from ercsatz.config.loss import LossConfig
from ercsatz.config.rules import Rule


class Gray(StrEnum):
    """Which gray labels; ``none`` trains on hard labels alone."""

    none = "none"
    category = "category"
    word = "word"
    word_softmax = "word_softmax"
    self_teacher = "self_teacher"
    self_adjust = "self_adjust"
    future = "future"
    future_adjust = "future_adjust"


FUTURE = {Gray.future, Gray.future_adjust}
ADJUSTED = {Gray.self_adjust, Gray.future_adjust}
TAUGHT = FUTURE | ADJUSTED | {Gray.self_teacher}
WORDED = {Gray.word, Gray.word_softmax}
_SHIFTED = (
    "one that trains the plain logits, as their cross-entropy with the gray labels does too; or take "
    "classifier.gray=none, which has no gray labels"
)


@dataclass
class EmoOneConfig(ClassifierConfig):
    """Options of EmoOne.

    Attributes:
        max_tokens: most tokens of the dialogue up to the target turn; the oldest are dropped.
        speaker_tags: a speaker's tag is ordinary text, or one registered token.
        gray: which gray labels: docs/classifiers.md; none: hard labels alone.
        w1: weight of the cross-entropy with the hard label.
        w2: weight of that with the gray label.
        word_vectors: gray=word, word_softmax: a text file, a word and its numbers a line.
        future_turns: gray=future, future_adjust: turns after the target that the teacher reads.
    """

    speaker_tags: SpeakerTags = SpeakerTags.text
    gray: Gray = MISSING
    w1: float = MISSING
    w2: float = MISSING
    word_vectors: str | None = None
    future_turns: int = MISSING

    module: ClassVar[str] = "ercsatz.classifiers.emoone.classifier.EmoOne"
    VERSION: ClassVar[int] = 1  # raise it when a change moves this classifier's golden scores
    later_turns: ClassVar[bool] = False

    def problems(self, cfg: Any) -> Iterable[Rule]:
        """Weights that can be, and what the gray labels are made of."""
        both, alike = self.w1 + self.w2, dict(cfg.benchmark.sentiments)
        grouped = self.gray != Gray.category or set(cfg.benchmark.labels) <= alike.keys()
        given = self.gray not in WORDED or self.word_vectors is not None
        return [
            ("classifier.w1", self.w1, self.w1 >= 0, "0 or more"),
            ("classifier.w2", self.w2, self.w2 >= 0, "0 or more"),
            ("classifier.w1 + w2", both, both > 0, "above 0"),
            ("classifier.future_turns", self.future_turns, self.future_turns >= 0, "0 or more"),
            ("classifier.word_vectors", self.word_vectors, given, "a file, for this classifier.gray"),
            ("benchmark.sentiments", alike, grouped, "given of every label"),
            ("loss", cfg.loss.name, self._agrees(cfg.loss), _SHIFTED),
        ]

    def _agrees(self, loss: LossConfig) -> bool:
        """Whether hard and gray labels can be learnt by the same logits."""
        return not loss.shifts_logits or self.gray == Gray.none or self.w2 == 0

    def prerequisite(self) -> Prerequisite | None:
        """A teacher: the same with hard labels only, so that ``gray=none`` finds it in the cache."""
        if self.gray not in TAUGHT:
            return None
        options = {field.name: getattr(self, field.name) for field in fields(self)} | {"gray": Gray.none}
        teacher = FutureTeacherConfig(**options) if self.gray in FUTURE else EmoOneConfig(**options)
        return Prerequisite("teacher", teacher.essential(), Gives.predictions, always=True)

    def essential(self) -> Self:
        """Weights of what there is none of, and turns that nobody reads, determine nothing."""
        config = replace(self, word_vectors=None)
        if self.gray == Gray.none:
            config = replace(config, w1=1.0, w2=1.0)
        return config if self.later_turns or self.gray in FUTURE else replace(config, future_turns=0)

    def inputs(self, benchmark: Any) -> Mapping[str, Any]:
        """What gray labels are made from, beside the dialogues."""
        if self.gray == Gray.category:
            return {"sentiments": dict(benchmark.sentiments)}
        if self.gray in WORDED:
            from ercsatz.classifiers.emoone.soft_labels import read_word_vectors

            vectors = read_word_vectors(Path(str(self.word_vectors)), list(benchmark.labels))
            return {"word_vectors": {word: vector.tolist() for word, vector in vectors.items()}}
        return {}

    def extra_tokens(self) -> Sequence[str]:
        """The speaker tags, where each is a token."""
        return REGISTERED_TAGS if self.speaker_tags == SpeakerTags.tokens else ()

    @property
    def reads_later_turns(self) -> bool:
        """A student never does."""
        return self.later_turns and self.future_turns > 0


@dataclass
class FutureTeacherConfig(EmoOneConfig):
    """The teacher of ``gray=future``, which also reads turns after its target."""

    role: ClassVar[str] = "future_teacher"
    later_turns: ClassVar[bool] = True
