"""Pretrained encoders: opening one, building a tiny one, and running it over texts of unequal length."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerFast, RobertaConfig

from ercsatz.config import Backbone, Pooling, TinySize
from ercsatz.errors import UserError

# cuDNN's attention makes a plan for every new shape, some milliseconds each, and hardly two batches have the same one:
# on an H200 that was four fifths of a training step (benchmarks/chunks.py). PyTorch's own kernels take any shape.
torch.backends.cuda.enable_cudnn_sdp(False)

MAX_PADDED_TOKENS = 16384  # one encoder call at the most
MAX_PADDING = 1.15  # padded over real tokens of a call
GPU_CALL = 4096  # tokens that a GPU encodes in the time in which Python calls the encoder once; benchmarks/chunks.py


@dataclass(frozen=True)
class Pretrained:
    """A tokenizer with what is needed to make encoders that fit it.

    Attributes:
        config: the Hugging Face configuration of the encoder.
        tokenizer: a fast tokenizer.
        weights: hub name or folder that holds the weights, or None for random ones.
        pooling: how token states become one vector.
    """

    config: Any
    tokenizer: Any
    weights: str | None
    pooling: Pooling

    def encoder(self) -> "Encoder":
        """A new encoder; two calls share no parameters."""
        if self.weights is None:
            return Encoder(AutoModel.from_config(self.config, dtype=torch.float32), self.pooling)
        try:
            model, loading = AutoModel.from_pretrained(
                self.weights, dtype=torch.float32, use_safetensors=True, output_loading_info=True
            )
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"Backbone {self.weights}: no model.safetensors could be read ({error}). Pickled weights are never "
                "loaded; convert them with safetensors, or take another backbone."
            ) from None
        # transformers would go on with random numbers in their place.
        if missing := sorted(name for name in loading["missing_keys"] if not name.startswith("pooler.")):
            raise UserError(
                f"Backbone {self.weights}: its weights lack {missing[0]} and {len(missing) - 1} more "
                f"of a {self.config.model_type} encoder. Take a folder whose config.json belongs to its weights."
            )
        return Encoder(model, self.pooling)

    def max_length(self, wanted: int) -> int:
        """The longest input, in tokens: ``wanted``, or less where the encoder has fewer positions."""
        positions = getattr(self.config, "max_position_embeddings", None) or wanted
        # RoBERTa and its kin number positions from padding_idx + 1.
        reserved = self.config.pad_token_id + 1 if self.config.model_type in _OFFSET_POSITIONS else 0
        return int(min(wanted, positions - reserved))


_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model", "spm.model")
_OFFSET_POSITIONS = {"roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet"}


def open_backbone(backbone: Backbone, texts: Iterable[str]) -> Pretrained:
    """Open the encoder that a configuration names.

    Args:
        backbone: its ``checkpoint`` is a hub name or a folder; without one, a tiny encoder of ``size`` is built.
        texts: what a tiny encoder's tokenizer is trained on; not read otherwise.

    Raises:
        UserError: the checkpoint cannot be found, or is not an encoder with a fast tokenizer.
    """
    if backbone.checkpoint is None:
        assert backbone.size is not None
        tokenizer = train_tokenizer(texts, backbone.size.vocabulary)
        return Pretrained(_tiny_config(backbone.size, tokenizer), tokenizer, None, backbone.pooling)
    return _open(backbone.checkpoint, backbone.checkpoint, backbone.pooling)


def reopen(folder: Path, pooling: Pooling) -> Pretrained:
    """Open the tokenizer and configuration of a saved classifier; its encoders are made without weights."""
    return _open(str(folder), None, pooling)


def _open(name: str, weights: str | None, pooling: Pooling) -> Pretrained:
    try:
        _check_files(Path(name))
        config, tokenizer = AutoConfig.from_pretrained(name), AutoTokenizer.from_pretrained(name, use_fast=True)
    except Exception as error:  # of a broken tokenizer.json, tokenizers raises nothing narrower
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"Backbone {name}: cannot be opened ({reason}). Give backbone=local backbone.checkpoint=FOLDER a folder "
            "with config.json, tokenizer.json and model.safetensors; hub names need a network or a filled cache."
        ) from None
    if tokenizer.cls_token_id is None or tokenizer.pad_token_id is None:
        raise UserError(f"Backbone {name}: its tokenizer has no class or padding token; take an encoder.")
    return Pretrained(config, tokenizer, weights, pooling)


def _check_files(folder: Path) -> None:
    """Without them transformers 4 fails obscurely, and transformers 5 makes a tokenizer that knows no word."""
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise FileNotFoundError("the folder has no config.json")
    if folder.is_dir() and not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise FileNotFoundError("the folder has no tokenizer.json")


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with RoBERTa's special tokens; any text can be encoded."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = {"bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "sep_token": "</s>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **names, unk_token="<unk>", mask_token="<mask>", model_max_length=512
    )


def _tiny_config(size: TinySize, tokenizer: PreTrainedTokenizerFast) -> RobertaConfig:
    return RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.hidden,
        attention_probs_dropout_prob=0.0,  # lets the attention run fused on a CPU
        max_position_embeddings=514,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        type_vocab_size=1,
    )


@dataclass(frozen=True)
class Sequences:
    """Token sequences, padded in chunks of similar length.

    Attributes:
        ids: one (rows, longest) tensor a chunk.
        masks: 1 where ``ids`` is a token, 0 where it is padding; same shapes.
        order: (sequences,); ``order[i]`` is the row of sequence i in the concatenated chunks.
    """

    ids: tuple[Tensor, ...]
    masks: tuple[Tensor, ...]
    order: Tensor

    def to(self, device: torch.device) -> "Sequences":
        """The same on another device."""

        def move(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(tensor.to(device, non_blocking=True) for tensor in tensors)

        return Sequences(move(self.ids), move(self.masks), self.order.to(device, non_blocking=True))


def pad_sequences(sequences: Sequence[Sequence[int]], pad_id: int, worth: int = 0) -> Sequences:
    """Sort by length and cut into chunks with little padding.

    A chunk holds at most 16384 padded tokens, and 15 % padding or ``worth`` tokens of it, whichever is more; unless it
    is one sequence.

    Args:
        sequences: of tokens.
        pad_id: the padding token.
        worth: how many tokens of padding cost no more than another call of the encoder.
    """
    by_length = sorted(range(len(sequences)), key=lambda i: len(sequences[i]), reverse=True)
    chunks: list[list[int]] = []
    real = longest = 0
    for i in by_length:
        length = len(sequences[i])
        padded = longest * (len(chunks[-1]) + 1) if chunks else 0
        if not chunks or padded > min(MAX_PADDED_TOKENS, max(MAX_PADDING * (real + length), real + length + worth)):
            chunks.append([])
            real, longest = 0, length
        chunks[-1].append(i)
        real += length
    ids, masks = [], []
    for chunk in chunks:
        rows = [torch.tensor(sequences[i], dtype=torch.long) for i in chunk]
        ids.append(nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad_id))
        masks.append(nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True))
    order = torch.empty(len(sequences), dtype=torch.long)
    order[torch.tensor(by_length, dtype=torch.long)] = torch.arange(len(sequences))
    return Sequences(tuple(ids), tuple(masks), order)


class Encoder(nn.Module):
    """A Hugging Face encoder that gives one vector a sequence."""

    def __init__(self, model: Any, pooling: Pooling) -> None:
        super().__init__()
        if getattr(model, "pooler", None) is not None:
            model.pooler = None  # unused, and its parameters would only be decayed
        self.model = model
        self.pooling = pooling

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self.model.config.hidden_size)

    @property
    def worth(self) -> int:
        """How many tokens of padding cost no more than another call; see ``pad_sequences``."""
        return GPU_CALL if next(self.parameters()).is_cuda else 0

    def forward(self, sequences: Sequences) -> Tensor:
        """Encode; padding is masked.

        Returns:
            (sequences, width), in the order given to ``pad_sequences``.
        """
        # One look-up for all chunks: each would otherwise make a dense gradient of the whole table.
        embed = self.model.get_input_embeddings()
        flat = embed(torch.cat([ids.flatten() for ids in sequences.ids]))
        pieces = flat.split([ids.numel() for ids in sequences.ids])
        chunks = [
            self._pool(piece.view(*mask.shape, -1), mask) for piece, mask in zip(pieces, sequences.masks, strict=True)
        ]
        return torch.cat(chunks)[sequences.order]

    def _pool(self, embedded: Tensor, mask: Tensor) -> Tensor:
        states: Tensor = self.model(inputs_embeds=embedded, attention_mask=mask).last_hidden_state
        if self.pooling == Pooling.first:
            return states[:, 0]
        weights = mask.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1)
