"""Folders as others publish them: small random models of three families, each with byte-level BPE of its own kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast

from dunwu.exporting.check_texts import list_texts
from dunwu.models.gguf.tokenizer import SPLITS
from tests.chat_templates import LLAMA3
from tests.gguf_files import make_model

ROWS = 640
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
CHATML = (
    "{% for m in messages %}{% if loop.first and m.role != 'system' %}{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}"
    "{% endif %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""As SmolLM2 and Qwen2.5 have it: a system message of its own where there is none."""
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' and loop.last and m.reasoning_content %}"
    "{{ '<think>\n' + m.reasoning_content + '\n</think>\n\n' }}{% endif %}"
    "{{ m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""As Qwen3 has it, in what llama.cpp knows of Jinja."""
TEMPLATES = {"llama": LLAMA3, "qwen3": THINKING, "qwen2": CHATML}
SPECIAL = {
    "llama": ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "qwen3": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    "qwen2": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
}
CUTS = {"llama": "llama-bpe", "qwen3": "qwen2", "qwen2": "qwen2"}


def make_folder(folder: Path, family: str, **changes: Any) -> Path:
    """Write a model with two layers, biases or norms where its family has them, and a tokenizer of its kind."""
    tokenizer = make_tokenizer(family)
    rope = {"rope_parameters": LLAMA3_ROPE} if family == "llama" else {}
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id, "pad_token_id": None}
    sizes = {"vocab_size": ROWS, "max_position_embeddings": 4096, "tie_word_embeddings": family != "llama"}
    model = make_model(family, **sizes | ends | rope | changes)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, do_sample=True, temperature=0.7, top_p=0.9, max_new_tokens=48
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(family: str) -> Any:
    """Train byte-level BPE that cuts texts as its family does; its special tokens follow its other tokens."""
    core = Tokenizer(models.BPE(ignore_merges=family == "llama"))
    split = SPLITS[CUTS[family]]
    assert split is not None
    if family != "llama":
        core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(list_texts(seed=7), trainer)
    special = SPECIAL[family]
    core.add_special_tokens(list(special))
    if family == "qwen3":
        core.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in ("<think>", "</think>")])
    begin = {"bos_token": special[0]} if family == "llama" else {}
    if begin:
        core.post_processor = processors.TemplateProcessing(
            single=[special[0], "$A"], pair=None, special_tokens=[(special[0], core.token_to_id(special[0]))]
        )
    end = special[1] if family == "llama" else special[2]
    found = PreTrainedTokenizerFast(tokenizer_object=core, eos_token=end, clean_up_tokenization_spaces=False, **begin)
    found.chat_template = TEMPLATES[family].lstrip("\n")
    return found
