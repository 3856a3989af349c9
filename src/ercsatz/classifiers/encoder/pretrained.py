"""Pretrained encoders: opening one, building a tiny one, and running it over texts of unequal length."""

import copy
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerFast, RobertaConfig

from ercsatz.classifiers.encoder import packed_layers
from ercsatz.classifiers.encoder.packing import Group, Sequences
from ercsatz.classifiers.finite import check_weights
from ercsatz.config.backbone import BackboneConfig, Pooling, TinySizeConfig
from ercsatz.config.pretrained import SAFE, WEIGHTS, check_files
from ercsatz.errors import UserError

# cuDNN's attention makes a plan for every new shape, some milliseconds each, and hardly two batches have the same one:
# on an H200 that was four fifths of a training step (benchmarks/results/chunks-h200.md). PyTorch's own take any shape.
torch.backends.cuda.enable_cudnn_sdp(False)

# oneDNN keeps up to 1024 primitives, one a shape; hardly two batches have the same one, so over epochs they only pile
# up (benchmarks/memory.py). As many as one step has are enough.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")

# How many tokens of padding cost no more than another group of sequences. Where layers run on packed sequences, only
# attention sees groups and padding; how much on a GPU is worth a group is a guess. Where they do not, a group is a call
# of the whole encoder (the same results).
GROUP_WORTH = {"cpu": 0, "cuda": 16384}
CALL_WORTH = {"cpu": 256, "cuda": 4096}


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
            return self.scratch()
        try:
            model, loading = AutoModel.from_pretrained(
                self.weights, dtype=torch.float32, output_loading_info=True, **WEIGHTS
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise UserError(
                f"Backbone {self.weights}: no model.safetensors could be read ({error}). Pickled weights are never "
                "loaded; convert them as SECURITY.md says, or take another backbone."
            ) from None
        # transformers would go on with random numbers in their place.
        if missing := sorted(name for name in loading["missing_keys"] if not name.startswith("pooler.")):
            raise UserError(
                f"Backbone {self.weights}: its weights lack {missing[0]} and {len(missing) - 1} more "
                f"of a {self.config.model_type} encoder. Take a folder whose config.json belongs to its weights."
            )
        if model.config.vocab_size != self.config.vocab_size:  # tokens were registered
            model.resize_token_embeddings(self.config.vocab_size, mean_resizing=False)
        encoder = Encoder(model, self.pooling)
        check_weights(encoder, f"Backbone {self.weights}", "Save it again, or take another backbone.")
        return encoder

    def scratch(self) -> "Encoder":
        """A new encoder of the same shape with random weights."""
        return Encoder(AutoModel.from_config(self.config, dtype=torch.float32, **SAFE), self.pooling)

    def save(self, folder: Path) -> None:
        """Save configuration and tokenizer, for ``reopen``."""
        self.config.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def registering(self, tokens: Iterable[str]) -> "Pretrained":
        """The same with further tokens that are never split; their embeddings start random."""
        tokenizer, config = copy.deepcopy(self.tokenizer), copy.deepcopy(self.config)
        tokenizer.add_tokens([*tokens], special_tokens=True)
        config.vocab_size = max(config.vocab_size, len(tokenizer))
        return replace(self, tokenizer=tokenizer, config=config)

    def max_length(self, wanted: int) -> int:
        """The longest input, in tokens: ``wanted``, or less where the encoder has fewer positions."""
        positions = getattr(self.config, "max_position_embeddings", None) or wanted
        return int(min(wanted, positions - packed_layers.first_position(self.config)))


_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model", "spm.model")


def open_backbone(backbone: BackboneConfig, texts: Sequence[str]) -> Pretrained:
    """Open the encoder that a configuration names.

    Args:
        backbone: may open itself; else its ``checkpoint`` is a hub name or a folder, and without one, a tiny encoder of
            ``size`` is built.
        texts: what a tiny encoder's tokenizer is trained on; not read otherwise.

    Raises:
        UserError: the checkpoint cannot be found, or is not an encoder with a fast tokenizer.
    """
    if (own := backbone.open(texts)) is not None:
        return cast(Pretrained, own)
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
        check_files(name)
        config = AutoConfig.from_pretrained(name, **SAFE)
        tokenizer = AutoTokenizer.from_pretrained(name, use_fast=True, **SAFE)
    except Exception as error:  # of a broken tokenizer.json, tokenizers raises nothing narrower
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"Backbone {name}: cannot be opened ({reason}). Give backbone=local backbone.checkpoint=FOLDER a folder "
            "with config.json, tokenizer.json and model.safetensors; hub names need a network or a filled cache."
        ) from None
    if not tokenizer.is_fast:
        raise UserError(f"Backbone {name}: it has no fast tokenizer (tokenizer.json). Take another backbone.")
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


def _tiny_config(size: TinySizeConfig, tokenizer: PreTrainedTokenizerFast) -> RobertaConfig:
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
        """How many tokens of padding cost no more than another group; see ``sequences.pack``."""
        kind = "cuda" if next(self.parameters()).is_cuda else "cpu"
        return GROUP_WORTH[kind] if packed_layers.is_plain(self.model) else CALL_WORTH[kind]

    def forward(self, sequences: Sequences, marks: Tensor | None = None) -> Tensor:
        """Encode; padding is masked.

        Args:
            sequences: packed.
            marks: (sequences,) the token of each, in the order given to ``pack``, at which its vector is read; None:
                by the encoder's pooling. With mean pooling it is the mean from there on.

        Returns:
            (sequences, width), in the order given to ``pack``.
        """
        packed = None if marks is None else torch.empty_like(marks).index_copy_(0, sequences.order, marks)
        read = self._packed if packed_layers.is_plain(self.model) else self._padded
        return read(sequences, packed).index_select(0, sequences.order)

    def _packed(self, sequences: Sequences, marks: Tensor | None) -> Tensor:
        *blocks, last = self.model.encoder.layer
        states = packed_layers.embed(self.model, sequences)
        for block in blocks:
            states = packed_layers.layer(block, states, sequences)
        if self.pooling == Pooling.first:
            places = sequences.starts if marks is None else sequences.starts + marks
            return packed_layers.single_tokens(last, states, sequences, places)
        return packed_layers.means(packed_layers.layer(last, states, sequences), sequences, marks)

    def _padded(self, sequences: Sequences, marks: Tensor | None) -> Tensor:
        # One look-up for all groups: each would otherwise make a dense gradient of the whole table.
        embedded = self.model.get_input_embeddings()(sequences.ids)
        states = torch.cat([self._group(embedded, group) for group in sequences.groups])
        states = states.index_select(0, sequences.scatter)
        if self.pooling == Pooling.first:
            return states.index_select(0, sequences.starts if marks is None else sequences.starts + marks)
        return packed_layers.means(states, sequences, marks)

    def _group(self, embedded: Tensor, group: Group) -> Tensor:
        """(rows * longest, width) of a group."""
        rows = embedded.index_select(0, group.index.flatten()).view(*group.index.shape, -1)
        mask = torch.ones_like(group.index) if group.mask is None else group.mask.long()
        states: Tensor = self.model(inputs_embeds=rows, attention_mask=mask).last_hidden_state
        return states.flatten(0, 1)
