"""What the files of a pretrained model may ask for: nothing that runs, and no more memory than their weights take."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ercsatz.errors import UserError

SAFE: Mapping[str, Any] = {"trust_remote_code": False}
"""For whatever transformers loads: without it, code beside a model would make transformers ask whether to run it."""

WEIGHTS: Mapping[str, Any] = {**SAFE, "use_safetensors": True}
"""For weights, which are never unpickled."""

# Any other is, or may be replaced by, a kernel: code that transformers downloads from a hub.
_ATTENTION = {None, "eager", "sdpa", "flex_attention", "grouped_mm", "batched_mm"}
# Each of these is made one by one; each of those is the side of a tensor. Up to the second number anything will do.
_COUNT, _FEW = re.compile("(layers?|blocks|depths?|groups|group_num)$"), 1_000
_SIDE, _SHORT = re.compile("size|dim|width|heads|vocab|position|experts|feedforward|channels|embd"), 1_000_000


def check_files(name: str) -> None:
    """Refuse a pretrained model that would have transformers fetch or run more than its own configuration and weights.

    Args:
        name: hub name or folder.

    Raises:
        UserError: says what its files ask for, and what to do.
        OSError: there is no such model.
    """
    from transformers import PretrainedConfig
    from transformers.utils.import_utils import is_peft_available
    from transformers.utils.peft_utils import find_adapter_config_file

    folder = Path(name)
    adapter = folder / "adapter_config.json" if folder.is_dir() else None
    if (adapter is not None and adapter.is_file()) or (is_peft_available() and find_adapter_config_file(name)):
        raise UserError(f"{name} is an adapter, which names another model to load. Give that, with both merged.")
    # transformers runs it before it asks, whatever is trusted; that of a hub is refused by SAFE.
    if folder.is_dir() and (folder / "custom_generate").exists():
        raise UserError(f"{name} has code of its own in custom_generate/, which transformers would run. Remove that.")
    config, _ = PretrainedConfig.get_config_dict(name)
    check_config(config, f"{name}/config.json")
    if folder.is_dir() and any(folder.glob("*.safetensors")):
        check_sizes(config, weights(*folder.glob("*.safetensors")), f"{name}/config.json")


def check_config(config: Mapping[str, Any], where: str) -> None:
    """Refuse what makes transformers download code: attention by the name of a repository, quantisation by kernels.

    Raises:
        UserError: begins with ``where``.
    """
    for key, value in _walk(config):
        if key == "quantization_config" and value:
            raise UserError(f"{where}: {key}: quantised weights need code of others. Take the model without.")
        if key.endswith("implementation") or "attn_implementation" in key:
            for each in value.values() if isinstance(value, dict) else [value]:
                if each not in _ATTENTION:
                    raise UserError(f"{where}: {key}: {each!r}: transformers may download its code. Remove the line.")


def weights(*files: Path) -> tuple[int, int]:
    """How many tensors are in safetensors files, and how many numbers; of a file only the header is read.

    Raises:
        SafetensorError: a file is damaged.
    """
    from safetensors import safe_open

    tensors = numbers = 0
    for file in files:
        with safe_open(file, framework="numpy") as opened:
            for name in opened.keys():  # noqa: SIM118
                count = 1
                for size in opened.get_slice(name).get_shape():
                    count *= size
                tensors, numbers = tensors + 1, numbers + count
    return tensors, numbers


def check_sizes(config: Mapping[str, Any], there: tuple[int, int], where: str) -> None:
    """Refuse sizes that cannot be those of a model, before anything of that size is made.

    Args:
        config: of the model, with its parts' own in it.
        there: ``weights`` of its files.
        where: the file, for messages.

    Raises:
        UserError: begins with ``where``.
    """
    tensors, numbers = there
    for key, value in _walk(config):
        if type(value) is not int:
            continue
        count, side = _COUNT.search(key), _SIDE.search(key)
        if (count and value > max(tensors, _FEW)) or (side and value > max(numbers, _SHORT)):
            raise UserError(
                f"{where}: {key}: {value:,} is more than its weights have, {tensors:,} tensors of {numbers:,} numbers. "
                "The file is not the one that belongs to them; get it again."
            )


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    for key, inner in value.items() if isinstance(value, Mapping) else [("", each) for each in value]:
        yield str(key), inner
        if isinstance(inner, Mapping | list):
            yield from _walk(inner)
