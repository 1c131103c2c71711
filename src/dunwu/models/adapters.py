"""LoRA beside the linear layers of a transformer (Hu et al., arXiv 2106.09685), made by the package peft.

    y = W x + (alpha / rank) B A x      W [out, in] is frozen; A [rank, in] begins random, B [out, rank] begins at zero

A model with an adapter is a second tree of modules over the same frozen weights. The model that it was made of keeps
transformers' names and computes what it did before: it is the reference of a KL term, and costs no memory.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from dunwu.config.schema import AdapterSpec
from dunwu.errors import NotInstalled, UserError
from dunwu.models.linear import NAME, is_adapted
from dunwu.models.rounding import unround
from dunwu.models.weights import WeightUpdate

FOLDER = "adapter"
"""Under which an adapter lies in a checkpoint, and beside the model that it was merged into."""


def add_adapter(model: Any, spec: AdapterSpec, seed: int) -> Any:
    """Put an adapter beside every linear layer of a transformer.

    Its head and its embeddings have none. A head that gives one number is new, and learns with all of its weights.

    Args:
        model: of transformers; its weights are frozen, and shared with what is returned.
        spec: the recipe's.
        seed: of the matrices A.

    Returns:
        The model with the adapter; what its parameters are that learn, ``requires_grad`` says.

    Raises:
        NotInstalled: peft is not there.
        UserError: a matrix of the transformer is no linear layer, or has a side shorter than the rank.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise NotInstalled("peft", "lora", field="adapter") from None
    layers = find_linear_layers(model)
    for name, layer in layers.items():
        if spec.rank > min(layer.weight.shape):
            text = f"{spec.rank} is more than a side of {name}, which is {' x '.join(map(str, layer.weight.shape))}"
            raise UserError(text, field="adapter.rank")
    config = LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,
        target_modules=list(layers),
        # transformers' Conv1D, of GPT-2, is a linear layer whose matrix lies transposed.
        fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in layers.values()),
        task_type="SEQ_CLS" if _list_head(model) else "CAUSAL_LM",
    )
    adapted = copy.deepcopy(model, {id(parameter): parameter for parameter in model.parameters()})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, adapted, NAME)
    for name in _list_head(model):
        adapted.get_parameter(name).requires_grad_(True)
    return adapted


def find_linear_layers(model: Any) -> dict[str, Any]:
    """Find the linear layers between embeddings and head.

    Args:
        model: of transformers.

    Returns:
        Each by its name.

    Raises:
        UserError: the transformer holds a matrix that is neither one nor an embedding: experts, convolutions.
    """
    prefix, transformer = model.base_model_prefix, model.base_model
    found = {f"{prefix}.{name}": part for name, part in transformer.named_modules() if _is_linear(part)}
    tables = [part.weight for part in transformer.modules() if isinstance(part, torch.nn.Embedding)]
    known = {id(weight) for weight in (*tables, *(layer.weight for layer in found.values()))}
    others = [name for name, weight in transformer.named_parameters() if weight.ndim > 1 and id(weight) not in known]
    if others or not found:
        what = f"{others[0]} is neither a linear layer nor an embedding" if others else "it has no linear layers"
        raise UserError(f"no adapter for {model.config.model_type}: {what}", field="adapter")
    return found


def _is_linear(module: Any) -> bool:
    return isinstance(module, torch.nn.Linear | Conv1D)


def _list_head(model: Any) -> list[str]:
    """List the parameters of a head of one number; none of a language model's, whose head stays as it is."""
    if model.get_output_embeddings() is not None:
        return []
    return [name for name, _ in model.named_parameters() if not name.startswith(f"{model.base_model_prefix}.")]


def is_adapter_weight(name: str) -> bool:
    """Return whether a parameter is a matrix of an adapter, by its name."""
    return ".lora_A." in name or ".lora_B." in name


def list_learned(adapted: Any) -> dict[str, Tensor]:
    """Return the parameters that learn, by their names in the tree with the adapter."""
    return {name: parameter for name, parameter in adapted.named_parameters() if parameter.requires_grad}


def copy_adapted(adapted: Any) -> Any:
    """Copy a model with an adapter as it is now; the frozen weights are shared."""
    frozen = {id(parameter): parameter for parameter in adapted.parameters() if not parameter.requires_grad}
    return copy.deepcopy(adapted, frozen)


@torch.no_grad()
def effective_weight(layer: Any, number: int) -> Tensor:
    """Compute W + (alpha / rank) B A of an adapted layer in single precision, in the type of W.

    In bfloat16 W is unrounded first: B A is smaller than its rounding for many updates.

    Args:
        layer: adapted.
        number: of the layer's weight among others; see ``rounding.unround``.
    """
    weight = layer.base_layer.weight
    a, b = (part[NAME].weight.float() for part in (layer.lora_A, layer.lora_B))
    product = (b @ a).mul_(layer.scaling[NAME])
    found: Tensor = unround(weight, number).add(product.T if layer.fan_in_fan_out else product).to(weight.dtype)
    return found


@dataclass(frozen=True, slots=True)
class EffectiveWeights:
    """The weights of a model with its adapter added, one matrix at a time: all of them never exist at once.

    A source of weights, see ``weights.WeightSource``.

    Attributes:
        model: With transformers' names; the adapter's frozen weights are its own.
        adapted: The tree with the adapter.
    """

    model: Any
    adapted: Any

    def read(self) -> Iterator[Tensor]:
        """See ``weights.WeightSource``."""
        layers = {id(layer.base_layer.weight): layer for layer in self.adapted.modules() if is_adapted(layer)}
        for number, parameter in enumerate(self.model.parameters()):
            layer = layers.get(id(parameter))
            yield parameter.detach() if layer is None else effective_weight(layer, number)

    def describe(self, version: int) -> WeightUpdate:
        """Describe them for engines, as those of a version of the policy."""
        named = dict(self.model.named_parameters())
        return WeightUpdate(
            version=version,
            names=tuple(named),
            shapes=tuple(tuple(parameter.shape) for parameter in named.values()),
            dtypes=tuple(str(parameter.dtype).removeprefix("torch.") for parameter in named.values()),
            source=self,
        )


def save_adapter(adapted: Any, folder: Path, base: str) -> None:
    """Write what learns in peft's own format; the same weights give the same bytes.

    Args:
        adapted: with an adapter.
        folder: is made.
        base: the name of the model that it is for.
    """
    folder.mkdir(parents=True)
    config = adapted.peft_config[NAME].to_dict()
    config |= {"base_model_name_or_path": base, "inference_mode": True}
    config["target_modules"] = sorted(config["target_modules"])
    learned = list_learned(adapted)
    if head := sorted({name.rpartition(".")[0] for name in learned if not is_adapter_weight(name)}):
        config["modules_to_save"] = head
    text = json.dumps(config, indent=2, sort_keys=True)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")
    tensors = {_to_peft(name): parameter.detach().cpu().contiguous() for name, parameter in learned.items()}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


@torch.no_grad()
def load_adapter(adapted: Any, folder: Path) -> None:
    """Take back what ``save_adapter`` wrote, bit for bit."""
    saved: Mapping[str, Tensor] = load_file(folder / "adapter_model.safetensors")
    for name, parameter in list_learned(adapted).items():
        parameter.copy_(saved[_to_peft(name)])


def _to_peft(name: str) -> str:
    """Name a parameter as peft's files do."""
    return "base_model.model." + name.replace(f".{NAME}.", ".")
