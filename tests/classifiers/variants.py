"""The classifiers that are held to the contract, and what each says of itself."""

from dataclasses import dataclass, replace

from ercsatz.classifiers.compm.config import CoMPMConfig, Memory
from ercsatz.classifiers.emoone.config import EmoOneConfig, Gray
from ercsatz.classifiers.speaker_tags import SpeakerTags
from ercsatz.classifiers.todkat.config import KnowledgeSources, TODKATConfig
from ercsatz.config import BackboneConfig, ClassifierConfig, Pooling, TinySizeConfig


@dataclass(frozen=True)
class Promise:
    """A variant, and what it says of itself."""

    config: ClassifierConfig
    hears_speakers: bool = True


OTHER = BackboneConfig("tiny", None, Pooling.mean, 1e-3, TinySizeConfig(24, 1, 2, 400))
COMPM = CoMPMConfig("compm", 48, memory_layers=2, memory_dropout=0.0)
EMOONE = EmoOneConfig("emoone", 48, gray=Gray.none, w1=1.0, w2=1.0, future_turns=2)
WHOLE = TODKATConfig(
    "todkat",
    24,
    topic=True,
    topic_width=8,
    kl_weight=1.0,
    knowledge=KnowledgeSources.both,
    layers=1,
    heads=2,
    feedforward=32,
    dropout=0.0,
    causal=True,
)
VARIANTS = {
    "compm": Promise(COMPM),
    "compm-frozen": Promise(replace(COMPM, memory=Memory.frozen)),
    "compm-scratch": Promise(replace(COMPM, memory=Memory.scratch)),
    "compm-tokens": Promise(replace(COMPM, speaker_tags=SpeakerTags.tokens)),
    "compm-other-memory": Promise(replace(COMPM, memory_backbone=OTHER)),
    "compm-frozen-other": Promise(replace(COMPM, memory=Memory.frozen, memory_backbone=OTHER)),
    "compm-padded": Promise(replace(COMPM, padded_memory=True)),
    "emoone": Promise(EMOONE),
    "emoone-tokens": Promise(replace(EMOONE, speaker_tags=SpeakerTags.tokens)),
    "emoone-self": Promise(replace(EMOONE, gray=Gray.self_adjust)),
    "emoone-future": Promise(replace(EMOONE, gray=Gray.future)),
    "emoone-future-teacher": Promise(replace(EMOONE, gray=Gray.future).prerequisite().config),
    "todkat": Promise(WHOLE, hears_speakers=False),
    "todkat-no-topic": Promise(replace(WHOLE, topic=False), hears_speakers=False),
    "todkat-no-knowledge": Promise(replace(WHOLE, knowledge=KnowledgeSources.none), hears_speakers=False),
    "todkat-retrieved": Promise(replace(WHOLE, knowledge=KnowledgeSources.retrieved), hears_speakers=False),
    "todkat-generated": Promise(replace(WHOLE, knowledge=KnowledgeSources.generated), hears_speakers=False),
    "todkat-both-ways": Promise(replace(WHOLE, causal=False), hears_speakers=False),
}
