"""A causal language model of transformers, from a hub name or a folder."""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import try_to_load_from_cache
from transformers import LogitsProcessorList, StoppingCriteriaList

from ercsatz.config.pretrained import SAFE, WEIGHTS, check_files
from ercsatz.errors import UserError
from ercsatz.generators import chat, interface
from ercsatz.generators.transformers_sampling import Noise, Stopped, warpers
from ercsatz.generators.words import first_line

# cuDNN's attention makes a plan for every new shape, and here the shape is another with every token.
torch.backends.cuda.enable_cudnn_sdp(False)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

_MODEL_FILES = {".json", ".jinja", ".model", ".txt", ".safetensors", ".bin"}

# transformers does not type what these give
_GenerationConfig: Any = transformers.GenerationConfig
_AutoTokenizer: Any = transformers.AutoTokenizer
_AutoModel: Any = transformers.AutoModelForCausalLM


class Model:
    """A causal language model with its tokenizer.

    Args:
        name: name and revision.
        network: a Hugging Face model; its generation configuration is replaced by an empty one.
        tokenizer: its tokenizer.
        template: what prompts are wrapped in.

    Raises:
        UserError: the model's own template was asked for and it has none.
    """

    def __init__(self, name: str, network: Any, tokenizer: Any, template: chat.ChatTemplate) -> None:
        self.name = name
        self._network, self._tokenizer = network, tokenizer
        self._wrap = chat.wrapper(template, lambda: tokenizer)
        self._special = template is not chat.ChatTemplate.model  # a model's own template writes its special tokens
        ends = network.generation_config.eos_token_id
        ends = {*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id}
        self._ends = sorted(ends - {None})
        self._pad = self._ends[0] if self._ends else 0  # masked, so any will do
        # generate() would fall back on the checkpoint's own sampling parameters, penalties and lengths.
        network.generation_config = _GenerationConfig()
        self._context = getattr(network.config.get_text_config(), "max_position_embeddings", None)
        self._vocabulary = network.get_input_embeddings().num_embeddings

    @property
    def details(self) -> dict[str, object]:
        """How many parameters of what type are where."""
        device = self._network.device
        where = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        return {"parameters": self._network.num_parameters(), "device": where, "dtype": dtype_name(self._network.dtype)}

    def encode(self, prompt: str, max_new_tokens: int) -> list[int]:
        """The tokens of a prompt in its template.

        Raises:
            RefusedError: they and ``max_new_tokens`` more are longer than the model's context.
            UserError: the tokenizer is not the model's.
        """
        ids: list[int] = self._tokenizer(self._wrap(prompt), add_special_tokens=self._special).input_ids
        if self._context is not None and len(ids) + max_new_tokens > self._context:
            raise interface.RefusedError(
                413,
                f"a prompt of {len(ids)} tokens and an answer of up to {max_new_tokens} do not fit into the "
                f"{self._context} tokens that {self.name} can attend to",
            )
        if max(ids) >= self._vocabulary:
            raise UserError(f"generator.model: the tokenizer of {self.name} has tokens that its model does not know.")
        return ids

    def answer(self, prompt: Sequence[int], new: Sequence[int]) -> interface.Answer:
        """What the new tokens say, up to the first that ends an answer."""
        end = next((place for place, token in enumerate(new) if token in self._ends), None)
        text = self._tokenizer.decode(new[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if end is None:
            return interface.Answer(text, interface.FinishReason.length, len(prompt), len(new))
        return interface.Answer(text, interface.FinishReason.stop, len(prompt), end + 1)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        max_new_tokens: int,
        sampling: Mapping[str, float | int],
        stop: threading.Event,
    ) -> list[list[int]]:
        """Sample a continuation of each prompt.

        Args:
            prompts: tokens.
            seeds: of each, 0 to 2**63 - 1.
            max_new_tokens: for all.
            sampling: parameters by the names of ``SamplingConfig``.
            stop: ends all when set, after the next token.

        Returns:
            The new tokens; what follows an end token is padding.

        Raises:
            UserError: the model gave something that is no number.
            torch.OutOfMemoryError: there are too many prompts at a time.
        """
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        width = int(lengths.max())
        padding = width - lengths
        mask = torch.arange(width) >= padding[:, None]
        ids = torch.full(mask.shape, self._pad).masked_scatter_(mask, torch.tensor([i for p in prompts for i in p]))
        device = self._network.device
        noise = Noise(torch.tensor(seeds, device=device), width)
        result = self._network.generate(
            ids.to(device),
            attention_mask=mask.long().to(device),
            generation_config=_GenerationConfig(
                do_sample=False,
                max_new_tokens=max_new_tokens,
                eos_token_id=self._ends or None,
                pad_token_id=self._pad,
            ),
            logits_processor=LogitsProcessorList([*warpers(sampling, padding.to(device)), noise]),
            stopping_criteria=StoppingCriteriaList([Stopped(stop)]),
        )
        if noise.unsound:
            dtype = dtype_name(self._network.dtype)
            raise UserError(f"{self.name} gave NaN in {dtype}; choose another generator.dtype: bfloat16 or float32.")
        new: list[list[int]] = result[:, width:].tolist()
        return new


def device_and_dtype(device: str, dtype: str) -> tuple[torch.device, torch.dtype]:
    """Where a model is to be, and in which numbers; ``auto`` takes what suits this machine.

    Raises:
        UserError: there is no such device or no such type.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
    except RuntimeError:
        raise UserError(f"generator.device={device}: give auto, cpu, cuda, cuda:1 or mps.") from None
    if dtype == "auto":
        dtype = "bfloat16" if place.type == "cuda" else "float32"
    if dtype not in DTYPES:
        raise UserError(f"generator.dtype={dtype}: give auto, {', '.join(DTYPES)}.")
    return place, DTYPES[dtype]


def load(name: str, device: torch.device, dtype: torch.dtype, template: chat.ChatTemplate) -> Model:
    """Load a model.

    Args:
        name: hub name or folder.
        device: where it is to be.
        dtype: of its parameters.
        template: what prompts are wrapped in.

    Raises:
        UserError: it cannot be found, is no causal language model, or does not fit the device; or there is no such
            device.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"generator.device={device}: {first_line(error)} Choose generator.device=auto.") from None
    try:
        check_files(name)
        tokenizer = _AutoTokenizer.from_pretrained(name, **SAFE)
        if not set(tokenizer("a b").input_ids) - set(tokenizer.all_special_ids):  # made where its files are missing
            raise ValueError("its tokenizer knows no word; is tokenizer.json there?")
        if Path(name).is_dir() and not any(Path(name).glob("*.safetensors")):
            raise ValueError("it has no model.safetensors, and pickled weights are never loaded; SECURITY.md converts.")
        network, loading = _AutoModel.from_pretrained(name, dtype=dtype, output_loading_info=True, **WEIGHTS)
        if missing := sorted(loading["missing_keys"]):  # transformers would go on with random numbers in their place
            raise ValueError(f"its weights lack {missing[0]} and {len(missing) - 1} more")
    except Exception as error:  # whatever broken or missing files lead to
        raise UserError(
            f"generator.model={name} cannot be loaded: {first_line(error)} Give the hub name of a causal language "
            "model, which needs a network or a filled cache, or a folder with its config.json, tokenizer and weights."
        ) from error
    try:
        network = network.to(device)
    except torch.OutOfMemoryError:
        raise UserError(
            f"generator.model={name} does not fit into the memory of {device} in {dtype_name(dtype)}. "
            "Take a smaller model, another generator.device, or generator.dtype=bfloat16."
        ) from None
    return Model(_identified(name), network, tokenizer, template)


def _identified(name: str) -> str:
    """With the hub's revision, or with a hash of a folder's files: of their names, sizes and first MiB."""
    folder = Path(name)
    if folder.is_dir():
        digest = hashlib.sha256()
        for file in sorted(file for file in folder.iterdir() if file.suffix in _MODEL_FILES):
            digest.update(f"{file.name} {file.stat().st_size}\n".encode())
            with file.open("rb") as stream:
                digest.update(stream.read(1 << 20))
        return f"{folder.resolve().name}@{digest.hexdigest()[:16]}"
    cached = try_to_load_from_cache(name, "config.json")
    return f"{name}@{Path(cached).parent.name}" if isinstance(cached, str) else name


def dtype_name(dtype: torch.dtype) -> str:
    """``float32`` for ``torch.float32``."""
    return str(dtype).removeprefix("torch.")
