"""An exported file in the real runtime: what llama.cpp answers, beside what the model answers here."""

from __future__ import annotations

import json
import math
import re
import string
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64

from dunwu.api.policy import Policy, as_problem
from dunwu.config.schema import PromptSpec
from dunwu.errors import Fault
from dunwu.exporting.check_texts import list_questions, list_texts
from dunwu.exporting.options import require_runtime
from dunwu.exporting.sources import ExportedModel
from dunwu.models.gguf.vocabulary import find_largest_number
from dunwu.models.shape import shape_from_config
from dunwu.models.templates import NAMED, Template, tokenize

LIKELIEST: Final = 10
"""How many of a first token's log-probabilities are compared."""
SMALL: Final = 20_000_000
"""Parameters of a model whose answers are compared whole."""
WHOLE_ANSWER, BEGUN_ANSWER = 512, 32
"""Tokens of a small model's answer, and of another's."""
MOST_TOKENS: Final = 1 << 24
SHOWN: Final = 3
BEYOND_VOCABULARY: Final = "bare texts with numbers outside the vocabulary"
NOT_COMPOSED: Final = "texts that are not composed (Unicode NFC)"
WIDE_ENDS: Final = "questions with white space beyond ASCII at an end, which the template takes off"


class Bounds(NamedTuple):
    """How far an export may be from the model: share of equal answers, largest and mean difference of logarithms."""

    answers: float
    largest: float
    mean: float


BOUNDS: Final[Mapping[str, Bounds]] = {
    "f32": Bounds(0.99, 0.01, 0.002),
    "f16": Bounds(0.9, 0.05, 0.01),
    "bf16": Bounds(0.5, 0.25, 0.05),
    "q8_0": Bounds(0.25, 1.0, 0.2),
}
LOOSEST: Final = Bounds(0.0, 5.0, 1.0)
"""Of types with fewer bits: what they write is another model's, and the texts are still cut alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportCheck:
    """What the comparison found.

    Attributes:
        runtime: Its name and version.
        encoding: The type of the weights.
        questions: How many questions were asked.
        equal_answers: Whose greedy answers are the same, letter by letter.
        new_tokens: The most tokens of an answer.
        different: The first questions with other answers: question, the model's answer, the runtime's.
        largest_difference: Of log-probabilities of likely first tokens.
        mean_difference: The same, over all that were compared.
        compared: Log-probabilities that were compared.
        texts: How many texts were tokenized.
        equal_asked: Those that are cut alike as questions.
        equal_bare: Those that are cut alike as they stand.
        explained: Why others are cut otherwise, and how many.
        unexplained: The first texts of which nothing is known.
        problems: What is beyond its bounds; empty for a good export.
    """

    runtime: str
    encoding: str
    questions: int
    equal_answers: int
    new_tokens: int
    different: tuple[tuple[str, str, str], ...]
    largest_difference: float
    mean_difference: float
    compared: int
    texts: int
    equal_asked: int
    equal_bare: int
    explained: Mapping[str, int]
    unexplained: tuple[str, ...]
    problems: tuple[str, ...]


def check_gguf(model: ExportedModel, path: Path, encoding: str, show: Callable[[str], None]) -> ExportCheck:
    """Load a file in llama.cpp, in a process of its own, and compare it with the model.

    Args:
        model: What was written.
        path: The file.
        encoding: The type of its weights.
        show: Hears what goes on.

    Returns:
        What the comparison found.

    Raises:
        NotInstalled: The runtime is not there.
        Fault: It does not load the file, or ends early.
    """
    runtime, policy, largest = require_runtime(), model.policy, find_largest_number(model.tokenizer)
    questions, texts = list_questions(nano=largest is not None), list_texts()
    template = Template(PromptSpec(template=policy.template, max_tokens=MOST_TOKENS), policy.tokenizer)
    prompts, asked = ([_encode(template, text) for text in some] for some in (questions, texts))
    bare = [tokenize(policy.tokenizer, text) for text in texts]
    new_tokens = _count_new_tokens(model)
    job = _make_job(model, path, questions, texts) | {
        "context": max(map(len, prompts)) + new_tokens,
        "new_tokens": new_tokens,
    }
    show("asking llama.cpp")
    theirs = _run_worker(job)
    show("asking the model here")
    answers = _answer(policy, questions, new_tokens, model.source.stop, template.opening)
    differences = _compare_first(policy.model, prompts, theirs["first"])
    pairs = zip(questions, answers, theirs["answers"], strict=True)
    different = [(question, our, their) for question, our, their in pairs if our != their]
    cut_otherwise = _explain(texts, asked, theirs["asked"], _explain_question)
    bare_otherwise = _explain(texts, bare, theirs["bare"], partial(_explain_bare, largest or 0))
    found = ExportCheck(
        runtime=runtime,
        encoding=encoding,
        questions=len(questions),
        equal_answers=len(questions) - len(different),
        new_tokens=new_tokens,
        different=tuple(different[:SHOWN]),
        largest_difference=float(differences.max(initial=0.0)),
        mean_difference=float(differences.mean()) if differences.size else 0.0,
        compared=int(differences.size),
        texts=len(texts),
        equal_asked=len(texts) - sum(map(len, cut_otherwise.values())),
        equal_bare=len(texts) - sum(map(len, bare_otherwise.values())),
        explained=_count_explained(cut_otherwise, bare_otherwise),
        unexplained=tuple(texts[place] for place in (cut_otherwise[""] + bare_otherwise[""])[:SHOWN]),
        problems=(),
    )
    return replace(found, problems=tuple(_find_problems(found)))


def _make_job(model: ExportedModel, path: Path, questions: Sequence[str], texts: Sequence[str]) -> dict[str, Any]:
    """Say what llama.cpp shall do; see ``llamacpp_worker``. A base model without a chat template is asked in words."""
    chat = model.chat_template is not None
    template = model.policy.template
    around = "{prompt}" if chat else NAMED.get(template, template)
    return {
        "gguf": str(path.absolute()),
        "threads": torch.get_num_threads(),
        "chat": chat,
        "questions": [around.replace("{prompt}", question) for question in questions],
        "texts": [around.replace("{prompt}", text) for text in texts],
        "bare": list(texts),
        "stop": list(model.source.stop),
        "likeliest": LIKELIEST,
    }


def _encode(template: Template, text: str) -> list[int]:
    token_ids: list[int] = template.encode(as_problem(text, 0)).token_ids.tolist()
    return token_ids


def _count_new_tokens(model: ExportedModel) -> int:
    """Count the tokens of an answer: all that a small model may write, and the beginning of another's."""
    shape = shape_from_config(model.config)
    most = WHOLE_ANSWER if shape is not None and shape.parameters < SMALL else BEGUN_ANSWER
    positions = model.source.positions or most
    return min(int(model.generation.get("max_new_tokens") or most), most, positions // 2)


def _run_worker(job: Mapping[str, Any]) -> dict[str, Any]:
    """Have llama.cpp do a job, in a process of its own: what it does with a file may end its process."""
    worker = Path(__file__).with_name("llamacpp_worker.py")
    with TemporaryDirectory(prefix="dunwu-check-") as folder:
        asked, found = Path(folder) / "job.json", Path(folder) / "result.json"
        asked.write_text(json.dumps(job), encoding="utf-8")
        command = [sys.executable, "-P", str(worker), str(asked), str(found)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode or not found.is_file():
            said = [line for line in done.stderr.splitlines() if " E " in line or "rror" in line]
            raise Fault(
                f"llama.cpp does not answer with {job['gguf']}: {' '.join(said[:2]) or done.stderr[-200:]:.300}"
            )
        result: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
        return result


def _answer(policy: Policy, questions: Sequence[str], new_tokens: int, stop: Sequence[str], opening: str) -> list[str]:
    """Answer greedily with the run's own engine, and write the answers as llama.cpp does.

    It leaves out tokens that control, and what the prompt has already written of an answer.
    """
    groups = policy.generate(questions, temperature=0.0, max_new_tokens=new_tokens, stop=stop, log="quiet")
    special = [str(token) for token in policy.tokenizer.added_tokens_decoder.values() if token.special]
    control = re.compile("|".join(map(re.escape, special)) or r"\Z")
    return [control.sub("", group[0].text.removeprefix(opening)) for group in groups]


def _compare_first(
    model: Any, prompts: Sequence[Sequence[int]], theirs: Sequence[Mapping[str, float]]
) -> Float64[np.ndarray, " N"]:
    """Return how far log-probabilities of likely first tokens are from the model's own forward pass."""
    found = []
    for prompt, likeliest in zip(prompts, theirs, strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([list(prompt)], device=model.device)).logits[0, -1].double()
        logprobs = logits.log_softmax(-1).cpu()
        found += [abs(float(logprobs[int(token)]) - logprob) for token, logprob in likeliest.items()]
    return np.array(found, np.float64)


def _explain(
    texts: Sequence[str], ours: Sequence[list[int]], theirs: Sequence[list[int]], explain: Callable[[str], str]
) -> dict[str, list[int]]:
    """Sort the places of texts that are cut otherwise by the reason; "" holds those of which none is known."""
    found: dict[str, list[int]] = {"": []}
    for place, (text, one, other) in enumerate(zip(texts, ours, theirs, strict=True)):
        if one != other:
            found.setdefault(explain(text), []).append(place)
    return found


def _count_explained(*sorted_texts: Mapping[str, list[int]]) -> dict[str, int]:
    """Count the texts that are cut otherwise, by the known reasons; one counts once, however it is cut."""
    reasons = {reason for found in sorted_texts for reason in found if reason}
    return {
        reason: len({place for found in sorted_texts for place in found.get(reason, [])}) for reason in sorted(reasons)
    }


def _explain_question(text: str) -> str:
    """Say why a question is cut otherwise: llama.cpp composes no text, and its templates strip ASCII's white space."""
    if unicodedata.normalize("NFC", text) != text:
        return NOT_COMPOSED
    return WIDE_ENDS if text.strip() != text.strip(string.whitespace) else ""


def _explain_bare(largest_number: int, text: str) -> str:
    """Say why a text outside a template is cut otherwise; nothing spells its numbers there."""
    known = {str(number) for number in range(largest_number + 1)}
    if largest_number and any(number not in known for number in re.findall(r"\d+", text)):
        return BEYOND_VOCABULARY
    return NOT_COMPOSED if unicodedata.normalize("NFC", text) != text else ""


def _find_problems(found: ExportCheck) -> Iterator[str]:
    """Yield what is beyond its bounds."""
    bounds = BOUNDS.get(found.encoding, LOOSEST)
    if found.equal_answers < bounds.answers * found.questions:
        yield f"{found.equal_answers} of {found.questions} greedy answers are equal, below {bounds.answers:.0%}"
    if not math.isfinite(found.largest_difference):
        yield "log-probabilities are not finite: the weights overflow in one of the two"
    elif found.largest_difference > bounds.largest:
        yield f"a log-probability differs by {found.largest_difference:.3g}, more than {bounds.largest:g}"
    if found.mean_difference > bounds.mean:
        yield f"log-probabilities differ by {found.mean_difference:.3g} on average, more than {bounds.mean:g}"
    if found.unexplained:
        yield f"texts are cut otherwise for no known reason, the first {found.unexplained[0]!r:.80}"
