"""Chat templates after the manner of five families, in our own words, each with a tokenizer of one token a byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

QWEN3 = """
{%- set seen = namespace(question=-1) %}
{%- for m in messages if m.role == "user" %}{% set seen.question = messages.index(m) %}{% endfor %}
{%- for m in messages %}
{{- "<|im_start|>" + m.role + "\\n" }}
{%- set text, thought = m.content, m.reasoning_content or "" %}
{%- if m.role == "assistant" and "</think>" in text %}
{%- set thought, text = text.split("</think>")[0].split("<think>")[-1], text.split("</think>")[-1] %}
{%- endif %}
{%- if m.role == "assistant" and loop.index0 > seen.question and (loop.last or thought) %}
{{- "<think>\\n" + thought.strip("\\n") + "\\n</think>\\n\\n" + text.lstrip("\\n") }}
{%- else %}
{{- text.lstrip("\\n") if m.role == "assistant" else text }}
{%- endif %}
{{- "<|im_end|>\\n" }}
{%- endfor %}
{%- if add_generation_prompt %}{{ "<|im_start|>assistant\\n" }}{% endif %}
"""
"""Old reasoning goes; the last answer's is set anew, and an empty one where there is none."""
R1_DISTILL = """
{{- bos_token }}
{%- for m in messages %}
{%- if m.role == "system" %}{{ m.content }}
{%- elif m.role == "user" %}{{ "<|User|>" + m.content }}
{%- else %}{{ "<|Assistant|>" + m.content.split("</think>")[-1] + eos_token }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ "<|Assistant|><think>\\n" }}{% endif %}
"""
"""The prompt opens the reasoning; that of answers goes."""
LLAMA3 = """
{{- bos_token }}
{%- for m in messages %}
{{- "<|start_header_id|>" + m.role + "<|end_header_id|>\\n\\n" + m.content.strip() + "<|eot_id|>" }}
{%- endfor %}
{%- if add_generation_prompt %}{{ "<|start_header_id|>assistant<|end_header_id|>\\n\\n" }}{% endif %}
"""
"""The end of a turn is not the tokenizer's end of sequence."""
GEMMA = """
{{- bos_token }}
{%- if messages[0].role == "system" %}{{ raise_exception("there is no system role") }}{% endif %}
{%- for m in messages %}
{%- set role = "model" if m.role == "assistant" else m.role %}
{{- "<start_of_turn>" + role + "\\n" + m.content.strip() + "<end_of_turn>\\n" }}
{%- endfor %}
{%- if add_generation_prompt %}{{ "<start_of_turn>model\\n" }}{% endif %}
"""
"""No system role; another name for the assistant."""
MISTRAL = """
{{- bos_token }}
{%- for m in messages %}
{{- " " + m.content + eos_token if m.role == "assistant" else "[INST] " + m.content + " [/INST]" }}
{%- endfor %}
"""
"""Nothing asks for an answer; a space stands before it."""


@dataclass(frozen=True)
class Family:
    """A template with its special tokens; ``end`` is the one that ends a turn, ``prompt`` what "2+2?" becomes."""

    template: str
    special: tuple[str, ...]
    eos: str
    end: str
    prompt: str
    bos: str | None = None
    lead: str = ""

    def tokenizer(self) -> Any:
        """One token a byte, and one each special token."""
        made = byte_tokenizer(eos_token=self.eos, **({"bos_token": self.bos} if self.bos else {}))
        made.add_special_tokens({"additional_special_tokens": list(self.special)})
        made.chat_template = self.template.strip()
        return made


def save_model(family: Family, folder: Path) -> Path:
    """Write a small Llama of random weights with a family's tokenizer, the same each time."""
    tokenizer = family.tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def byte_tokenizer(**special: str) -> Any:
    """A tokenizer of one token a byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, **special)


def spaced_tokenizer(**special: str) -> Any:
    """A tokenizer of one token a character that puts a space before every text, as Llama 2's and Mistral's do."""
    letters = "▁" + "".join(map(chr, range(33, 127)))
    core = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    core.decoder = decoders.Metaspace(prepend_scheme="always")
    return PreTrainedTokenizerFast(tokenizer_object=core, **special)


FAMILIES = {
    "qwen3": Family(
        template=QWEN3,
        special=("<|im_start|>", "<|im_end|>"),
        eos="<|im_end|>",
        end="<|im_end|>",
        prompt="<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n",
    ),
    "r1-distill": Family(
        template=R1_DISTILL,
        special=("<|User|>", "<|Assistant|>"),
        bos="<|begin|>",
        eos="<|end|>",
        end="<|end|>",
        prompt="<|begin|><|User|>2+2?<|Assistant|><think>\n",
    ),
    "llama-3": Family(
        template=LLAMA3,
        special=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        bos="<|begin_of_text|>",
        eos="<|end_of_text|>",
        end="<|eot_id|>",
        prompt="<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n2+2?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "gemma": Family(
        template=GEMMA,
        special=("<start_of_turn>", "<end_of_turn>"),
        bos="<bos>",
        eos="<eos>",
        end="<end_of_turn>",
        prompt="<bos><start_of_turn>user\n2+2?<end_of_turn>\n<start_of_turn>model\n",
    ),
    "mistral": Family(
        template=MISTRAL,
        special=("[INST]", "[/INST]"),
        bos="<s>",
        eos="</s>",
        end="</s>",
        prompt="<s>[INST] 2+2? [/INST]",
        lead=" ",
    ),
}
