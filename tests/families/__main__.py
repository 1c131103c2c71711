"""Write docs/reference/models.md: which of transformers' causal types can learn and write here."""

from __future__ import annotations

import multiprocessing
import re
import resource
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from dunwu.errors import UserError
from dunwu.execution.policies import check_policy
from dunwu.models.agreement import BOUNDS
from dunwu.models.policy import Policy
from tests.families.shapes import MORE, WINDOW, tiny_model
from tests.families.wording import in_plain_words

LONGEST = 200
SECONDS = 120
MEMORY = 16 << 30
INTRODUCTION = """# Models

Which model types of transformers {transformers} can learn and write here, with torch {torch}.
`python -m tests.families > docs/reference/models.md` makes this page; it is not edited by hand.

When a stage loads a model, it reads a few sequences in every way in which it will read them.
The trainer computes a batch as the prefix tree of its sequences.
The engine decodes rows beside each other over a cache.
Both are compared with the model's own plain forward of one sequence at a time,
in log-probabilities of tokens.

The sequences are short ones, and a group that shares a prompt.
Where a run's sequences get so far, there is one past each window of the config,
and one past each original context.
What follows a prompt must leave the prompt as it was.
Above {float32} nats in float32 the model is refused in one line.
In bfloat16 the bound is {bfloat16}, since rounding alone gives .3.
A model that is right up to a boundary is refused past it only.

Below is every causal type that this version of transformers knows.
Each is a tiny random model of its own config: two layers, 32 wide,
windows of {window} tokens, original contexts of 64. Sequences have up to {longest} tokens.
A real model is compared when it is loaded: what is said of its type is no promise.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a type can do: nothing wrong, or one line; ``shape`` says why there is no small model of it."""

    learns: str = ""
    writes: str = ""
    shape: str = ""


class _Tokenizer:
    """What the comparison asks of one."""

    all_special_ids = (0, 1, 2, 3)


def find(kind: str) -> Finding:
    """Make a tiny model of a type and compare it as a trainer's and as an engine's."""
    try:
        model = tiny_model(kind)
    except Exception as error:
        return Finding(shape=f"{type(error).__name__}: {' '.join(str(error).split())[:150]}")
    policy = Policy(model=model, tokenizer=_Tokenizer(), eos_ids=(1,), pad_id=0)
    return Finding(learns=_said(policy, learns=True), writes=_said(policy, learns=False))


def _said(policy: Policy, *, learns: bool) -> str:
    try:
        check_policy(policy, longest=LONGEST, learns=learns, generates=not learns)
    except UserError as error:
        return error.message
    return ""


def find_apart(kind: str) -> Finding:
    """Do the same in a process of its own, with bounds: some types have parts that no small number shrinks."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    worker = context.Process(target=_send, args=(sender, kind))
    worker.start()
    sender.close()
    try:
        found: Finding = receiver.recv() if receiver.poll(SECONDS) else Finding(shape="takes too long")
        return found
    except EOFError:
        return Finding(shape="takes too much memory")
    finally:
        worker.kill()
        worker.join()


def _send(sender: Connection, kind: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    torch.set_num_threads(1)
    sender.send(find(kind))


def page(findings: Mapping[str, Finding]) -> Iterable[str]:
    """The page, a paragraph at a time."""
    bounds = {str(dtype).removeprefix("torch."): bound for dtype, bound in BOUNDS.items()}
    versions = {"transformers": transformers.__version__, "torch": torch.__version__.partition("+")[0]}
    yield INTRODUCTION.format(window=WINDOW, longest=LONGEST, **versions, **bounds)
    shaped = {kind: found for kind, found in findings.items() if not found.shape}
    whole = [kind for kind, found in shaped.items() if not found.learns and not found.writes]
    names = textwrap.fill(", ".join(whole), 96, break_on_hyphens=False)
    yield f"## Learn and write: {len(whole)}\n\n```text\n{names}\n```\n"
    learning = {kind: found.writes for kind, found in shaped.items() if not found.learns and found.writes}
    yield f"## Learn (SFT, teachers' data), and cannot write everything: {len(learning)}\n\n{_table(learning)}"
    refused = {kind: found.learns for kind, found in shaped.items() if found.learns}
    yield f"## Refused as a policy that learns: {len(refused)}\n\n{_table(refused)}"
    none = {kind: found.shape for kind, found in findings.items() if found.shape}
    yield f"## Not tried: {len(none)}\n\nNo small model of these came out of the sizes here.\n\n{_table(none)}"


def _table(said: Mapping[str, str]) -> str:
    """The types by what is said of them."""
    by_words: dict[str, list[str]] = defaultdict(list)
    for kind, words in said.items():
        name = kind.partition(" ")[0]
        its_own = [name, f"{name}_text", f"{name}_text_model", *re.findall(r"\w+(?:LM|LMHeadModel|Decoder)\b", words)]
        for own in sorted(its_own, key=len, reverse=True):
            words = re.sub(rf"\b{re.escape(own)}\b", "it", words)
        by_words[in_plain_words(re.sub(r" by \S+ nats", "", words))].append(kind)
    lines = [f"| {', '.join(kinds)} | {words} |" for words, kinds in sorted(by_words.items(), key=lambda one: one[1])]
    return "\n".join(["| types | what is said |", "|---|---|", *lines]) + "\n"


def main() -> None:
    """Print the page; progress goes to stderr."""
    transformers.utils.logging.set_verbosity_error()
    variants = [kind for kind in MORE if " " in kind]
    findings = {}
    for kind in sorted([*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *variants]):
        findings[kind] = find_apart(kind)
        print(kind, findings[kind], file=sys.stderr, flush=True)
    print("\n".join(page(findings)), end="")


if __name__ == "__main__":
    main()
