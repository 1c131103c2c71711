"""vLLM as a rollout engine. It runs in an environment of its own; this is its client, and imports nothing of it.

The server (``server.py``) gets the model as a folder, and new weights as a file. A sample is a request with a seed of
its own, so that what it becomes depends on nothing else.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from dunwu.errors import Fault, UserError
from dunwu.models.load import save_policy
from dunwu.models.policy import Policy
from dunwu.models.weights import FileSource, WeightUpdate, check_update
from dunwu.rollout.builtin.stop_strings import cut, decode
from dunwu.rollout.engine import Engine, Sample
from dunwu.rollout.vllm.process import FIELD, ServerProcess, find_python
from dunwu.rollout.weight_folder import WeightFolder
from dunwu.types import Completion, GenerationRequest, Sampling, VersionSpan

PREFIX = "dunwu-vllm-"
ROUNDING = 1e-3
"""By which a log-probability may be above 0."""
POSITIONS = 4096
"""Tokens of a sequence where the model sets no limit."""


def build_vllm_engine(policy: Policy, *, max_sequences: int) -> Engine:
    """Build an engine of vLLM, in the environment that ``DUNWU_VLLM_PYTHON`` names.

    Args:
        policy: model and tokenizer.
        max_sequences: completions that decode at once, at most.

    Raises:
        UserError: see ``VLLMEngine``.
    """
    return VLLMEngine(policy, max_sequences=max_sequences)


@dataclass(frozen=True, slots=True)
class RemoteParameter:
    """A parameter that lies elsewhere: what ``check_update`` asks of it."""

    shape: tuple[int, ...]
    address: int

    def data_ptr(self) -> int:
        """Return what tied parameters have in common."""
        return self.address


class VLLMEngine:
    """See ``engine.Engine``.

    Args:
        policy: model and tokenizer.
        max_sequences: completions that decode at once, at most.

    Raises:
        UserError: there is no vLLM, or it cannot run this model.
        Fault: its server ended.
    """

    def __init__(self, policy: Policy, *, max_sequences: int) -> None:
        self.policy_version = 0
        self._tokenizer, self._eos_ids = policy.tokenizer, policy.eos_ids
        model = policy.model
        self._vocabulary = len(model.get_input_embeddings().weight)
        self._max_positions: int = getattr(model.config, "max_position_embeddings", None) or POSITIONS
        self._parameters = {
            name: RemoteParameter(tuple(parameter.shape), parameter.data_ptr())
            for name, parameter in model.named_parameters(remove_duplicate=False)
        }
        self._task = 0
        python = find_python()
        self._home = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
        self._weights = WeightFolder()
        self._server: ServerProcess | None = None
        try:
            folder = Path(self._home.name) / "model"
            save_policy(policy, folder)
            _check_names(folder, policy, self._parameters)
            self._server = ServerProcess(python, _make_environment(Path(self._home.name), model.device.type))
            self.vllm_version = self._server.open(
                {
                    "folder": str(folder),
                    "home": self._home.name,
                    "dtype": str(model.dtype).removeprefix("torch."),
                    "max_model_len": self._max_positions,
                    "max_sequences": max_sequences,
                    "tied": _list_tied(self._parameters),
                }
            )
            rmtree(folder, ignore_errors=True)  # vLLM has read it
        except BaseException:
            self.close()
            raise

    @property
    def server(self) -> ServerProcess:
        """The process that runs vLLM.

        Raises:
            Fault: the engine was closed.
        """
        if self._server is None:
            raise Fault("the engine was closed")
        return self._server

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        """See ``engine.Engine``.

        Raises:
            UserError: vLLM would do something else than what is asked for.
            Fault: its server ended, or said what cannot be.
        """
        self._check(requests, sampling)
        wanted = [
            (number, index, seed) for number, request in enumerate(requests) for index, seed in enumerate(request.seeds)
        ]
        if not wanted:
            return
        server, task = self.server, self._task + 1
        self._task = task
        owed = {Sample(number, index) for number, index, _ in wanted}
        try:
            server.send(
                {
                    "do": "generate",
                    "task": task,
                    "prompts": [request.prompt.token_ids.tolist() for request in requests],
                    "wanted": wanted,
                    "temperature": sampling.temperature,
                    "max_tokens": sampling.max_new_tokens,
                    "stop": list(sampling.stop),
                    "stop_token_ids": list(self._eos_ids),
                }
            )
            while owed:
                answer = server.receive()
                if answer["is"] == "finished" and answer.get("task") != task:
                    continue  # it was finished before it was given up
                sample, completion = self._accept(answer, owed, sampling)
                owed.remove(sample)
                yield sample, completion
        finally:
            if owed:
                with suppress(Fault):
                    server.send({"do": "abort", "task": task})

    def update_weights(self, update: WeightUpdate) -> None:
        """See ``engine.Engine``.

        Raises:
            Fault: vLLM's server ended, or the file system refuses.
        """
        check_update(update, self._parameters)
        published = self._weights.publish(update)
        assert isinstance(published.source, FileSource)
        self.server.send(
            {
                "do": "update",
                "path": str(published.source.path),
                "version": update.version,
                "names": update.names,
                "shapes": update.shapes,
            }
        )
        while (answer := self.server.receive())["is"] == "finished":  # before it was given up
            pass
        if answer["is"] == "kept":
            raise ValueError(str(answer.get("text")))
        if answer["is"] != "updated" or answer.get("version") != update.version:
            raise self.server.break_off(f"did not take version {update.version} of the weights")
        self.policy_version = update.version

    def close(self) -> None:
        """See ``engine.Engine``; may be called again."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._weights.close()
        self._home.cleanup()

    def _check(self, requests: Sequence[GenerationRequest], sampling: Sampling) -> None:
        """Refuse what vLLM would do in another way, or silently not do.

        Raises:
            UserError: names the field.
        """
        if sampling.top_p < 1.0:
            text = "the engine vllm takes top_p = 1 alone: its log-probabilities are those after top-p"
            raise UserError(text, field="rollout.top_p")
        if sampling.banned:
            raise UserError('the engine vllm cannot ban tokens: engine = "builtin" does', field=FIELD)
        lengths = [len(request.prompt.token_ids) for request in requests]
        if 0 in lengths:
            raise UserError("the engine vllm reads no empty prompt", field=FIELD)
        longest = max(lengths, default=0)
        if longest + sampling.max_new_tokens > self._max_positions:
            raise UserError(
                f"a prompt of {longest} tokens and {sampling.max_new_tokens} new ones exceed the model's "
                f"{self._max_positions} positions",
                field="rollout.max_new_tokens",
            )

    def _accept(self, answer: Mapping[str, Any], owed: set[Sample], sampling: Sampling) -> tuple[Sample, Completion]:
        """Make a completion of an answer.

        Raises:
            Fault: it is none that was asked for, or none that can be.
        """
        try:
            sample = Sample(answer["request"], answer["index"])
            if answer["is"] != "finished" or sample not in owed:
                raise ValueError(f"{answer['is']}: nobody asked for it")
            token_ids = np.array(answer["token_ids"], np.int32)
            logprobs = np.array(answer["logprobs"], np.float32)
            spans = tuple(VersionSpan(version=v, start=start, end=end) for v, start, end in answer["spans"])
            if problem := self._find_problem(token_ids, logprobs, spans, sampling):
                raise ValueError(problem)
            if answer["finish"] not in ("stop", "length"):
                raise ValueError(f"finish is {answer['finish']!r}")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            problem = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
            raise self.server.break_off(f"gave what is no completion ({problem:.200})") from error
        words = token_ids[:-1] if token_ids[-1] in self._eos_ids else token_ids
        return sample, Completion(
            token_ids=token_ids,
            logprobs=logprobs,
            text=cut(decode(self._tokenizer, words.tolist()), sampling.stop),
            finish=answer["finish"],
            version_spans=spans,
        )

    def _find_problem(
        self, token_ids: np.ndarray, logprobs: np.ndarray, spans: Sequence[VersionSpan], sampling: Sampling
    ) -> str | None:
        if token_ids.ndim != 1 or not 0 < len(token_ids) <= sampling.max_new_tokens:
            return f"{token_ids.size} tokens"
        if token_ids.min() < 0 or token_ids.max() >= self._vocabulary:
            return f"tokens that the model has not, {token_ids.min()} to {token_ids.max()}"
        if logprobs.shape != token_ids.shape or not np.all(np.isfinite(logprobs) & (logprobs <= ROUNDING)):
            return "log-probabilities that are none"
        whole = VersionSpan(version=self.policy_version, start=0, end=len(token_ids))
        return None if spans == (whole,) else f"written by {spans} and not by version {self.policy_version}"


def _check_names(folder: Path, policy: Policy, parameters: Mapping[str, RemoteParameter]) -> None:
    """Refuse a model that has other names in its files than in memory: updates come by those in memory."""
    known = parameters.keys() | {name for name, _ in policy.model.named_buffers()}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            strange = sorted(set(opened.keys()) - known)
        if strange:
            text = f"vLLM reads {type(policy.model).__name__} by names that it has in files alone, such as {strange[0]}"
            raise UserError(f'{text}: engine = "builtin" runs it', field=FIELD)


def _list_tied(parameters: Mapping[str, RemoteParameter]) -> dict[str, str]:
    """Return for each other name of a tied parameter the first one, which files have."""
    first: dict[int, str] = {}
    for name, parameter in parameters.items():
        first.setdefault(parameter.address, name)
    return {name: first[own.address] for name, own in parameters.items() if first[own.address] != name}


def _make_environment(home: Path, device: str) -> dict[str, str]:
    """Return the variables of vLLM's process: all of it in one, and nothing of it stays or goes out."""
    environment = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CACHE_ROOT": str(home / "cache"),
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "HF_HUB_OFFLINE": "1",
        "TMPDIR": str(home),
    }
    if device == "cpu":
        threads = str(torch.get_num_threads())
        environment |= {
            "OMP_NUM_THREADS": threads,
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # others work on these cores, too
            "TORCH_COMPILE_DISABLE": "1",  # else the first token waits for a C++ compiler
        }
    return environment
