"""The classifiers once more, plainly: one example at a time, no batch, no mask, nothing shared, nothing kept.

A second implementation to test by and to time against. CoMPM and EmoOne compute what their released codes compute; the
released TODKAT is not the paper's, so its plain form is the paper's, a dialogue at a time. They take the weights of our
modules, and texts are tokenised anew for every example.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.speaker_tags import SpeakerTags
from ercsatz.classifiers.todkat.topic import TopicEncoder, pack_with_topic
from ercsatz.config import Pooling
from ercsatz.data.dialogue import Dialogue

POSITIONS = 512  # of every encoder that is used with it


def targets_of(dialogues: Sequence[Dialogue]) -> list[tuple[int, int]]:
    """Dialogue and turn of every example."""
    return [(n, i) for n, d in enumerate(dialogues) for i, turn in enumerate(d.utterances) if turn.emotion is not None]


def ids_of(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def limit(classifier: ErcClassifier) -> int:
    """Tokens that fit beside the class token."""
    return min(classifier.config.max_tokens, POSITIONS) - 1


def written(classifier: ErcClassifier, dialogue: Dialogue, first: int, last: int) -> str:
    """The turns from ``first`` to before ``last``, each after its speaker's tag, as one text."""
    names = list(dict.fromkeys(turn.speaker for turn in dialogue.utterances))
    end = "" if classifier.config.speaker_tags == SpeakerTags.tokens else " "
    turns = dialogue.utterances[first:last]
    return "".join(f"<s{names.index(turn.speaker) + 1}> {turn.text}{end}" for turn in turns).strip()


def encode(encoder: Any, rows: Sequence[Sequence[int]]) -> Tensor:
    """(rows, width) vectors by transformers' own forward, without a mask."""
    ids = torch.tensor(rows, device=next(encoder.parameters()).device)
    states = encoder.model(input_ids=ids).last_hidden_state
    return states[:, 0] if encoder.pooling == Pooling.first else states.mean(1)


def context(classifier: ErcClassifier, dialogue: Dialogue, turn: int) -> Tensor:
    """(width,) CoMPM's context module: the dialogue up to a turn, its last tokens after a class token."""
    tokenizer = classifier.pretrained.tokenizer
    ids = ids_of(tokenizer, written(classifier, dialogue, 0, turn + 1))[-limit(classifier) :]
    return encode(classifier.module.context, [[tokenizer.cls_token_id, *ids]])[0]


def compm(classifier: ErcClassifier, dialogue: Dialogue, turn: int, masked: bool = False) -> Tensor:
    """(labels,) CoMPM's logits of a turn.

    The speaker's earlier turns are padded to the longest of them, and the padding is attended to, as in the released
    code; ``masked``: each is encoded alone, as it should be.
    """
    module, tokenizer = classifier.module, (classifier.encoders.get("memory", classifier.pretrained)).tokenizer
    vector = context(classifier, dialogue, turn)
    speaker = dialogue.utterances[turn].speaker
    said = [other.text for other in dialogue.utterances[:turn] if other.speaker == speaker]
    if said:
        rows = [[tokenizer.cls_token_id, *ids_of(tokenizer, text)[-limit(classifier) :]] for text in said]
        if masked:
            vectors = torch.cat([encode(module.memory, [row]) for row in rows])
        else:
            longest = max(map(len, rows))
            padded = [row + [tokenizer.pad_token_id] * (longest - len(row)) for row in rows]
            vectors = encode(module.memory, padded)
        states, _ = module.tracker(vectors.unsqueeze(0))
        vector = vector + module.projection(states[0, -1])
    return module.head(vector)


def emoone(classifier: ErcClassifier, dialogue: Dialogue, turn: int) -> Tensor:
    """(labels,) EmoOne's logits of a turn."""
    return classifier.module.head(context(classifier, dialogue, turn))


def emoone_marked(classifier: ErcClassifier, dialogue: Dialogue, turn: int, later: int) -> Tensor:
    """The same where the class token stands before the target, and up to ``later`` turns follow it.

    All must fit the encoder: what is dropped of a longer dialogue is not in here. The encoder must read at one token.
    """
    tokenizer = classifier.pretrained.tokenizer
    past = ids_of(tokenizer, written(classifier, dialogue, 0, turn))
    rest = ids_of(tokenizer, (" " if turn else "") + written(classifier, dialogue, turn, turn + 1 + later))
    ids = torch.tensor([[*past, tokenizer.cls_token_id, *rest]])
    states = classifier.module.context.model(input_ids=ids).last_hidden_state
    return classifier.module.head(states[0, len(past)])


def emoone_loss(logits: Tensor, gold: int, gray: Sequence[Any] | Tensor, w1: float, w2: float) -> Tensor:
    """The two cross-entropies, label by label, over the softmax of one example's logits."""
    probabilities = logits.float().softmax(0)
    loss = -w1 * probabilities[gold].log()
    for label in range(len(probabilities)):
        loss = loss - w2 * gray[label] * probabilities[label].log()
    return loss


def emoone_taught(student: ErcClassifier, teacher: ErcClassifier, dialogue: Dialogue, turn: int) -> Tensor:
    """The loss of ``gray=self_adjust``; the teacher reads every example again, and nothing stops its gradients."""
    gold = student.labels.index(str(dialogue.utterances[turn].emotion))
    logits = emoone(student, dialogue, turn)
    taught = emoone(teacher, dialogue, turn).float().softmax(0)
    gray = [taught[label] for label in range(len(taught))]
    if gray[gold] < 0.5:
        rest = sum(gray) - gray[gold]
        gray = [taught.new_tensor(0.5) if label == gold else p / rest / 2 for label, p in enumerate(gray)]
    return emoone_loss(logits, gold, gray, student.config.w1, student.config.w2)


def todkat(classifier: ErcClassifier, dialogue: Dialogue) -> Tensor:
    """(turns, labels) TODKAT's logits of all turns, without knowledge: each utterance is encoded alone, in a loop."""
    module, tokenizer = classifier.module, classifier.pretrained.tokenizer
    device = module.head.weight.device
    rows = []
    for turn in dialogue.utterances:
        ids = np.array([tokenizer.cls_token_id, *ids_of(tokenizer, turn.text)[: limit(classifier)]])
        if isinstance(module.encoder, TopicEncoder):
            rows.append(torch.cat(module.encoder(pack_with_topic([ids]).to(device)), 1))
        else:
            rows.append(encode(module.encoder, [ids.tolist()]))
    fused = module.fuse(torch.cat(rows))
    turns = module.dropout(fused + positions(*fused.shape).to(fused)).unsqueeze(0)
    length = len(rows)
    later = torch.ones(length, length, device=device).triu(1).bool() if module.causal else None
    memory = module.context(turns, mask=later)
    return module.head(module.decoder(turns, memory, tgt_mask=later, memory_mask=later)[0])


def positions(length: int, width: int) -> Tensor:
    """(length, width) sines of the place at falling rates, then the cosines."""
    rates = [10_000.0 ** (-2 * i / width) for i in range(width // 2)]
    return torch.tensor([[wave(t * rate) for wave in (math.sin, math.cos) for rate in rates] for t in range(length)])
