"""vLLM's side of the engine: a script for an environment that has vLLM and not Dunwu. It imports nothing of Dunwu.

Commands come on stdin, answers go to stdout, one JSON object a line. vLLM prints to stdout too, so what was stdout is
kept for answers, and descriptor 1 becomes stderr.

    {"do": "open", "folder": ..., "home": ..., "dtype": ..., "max_model_len": ..., "max_sequences": ..., "tied": {...}}
    {"do": "generate", "task": 3, "prompts": [[...]], "wanted": [[request, index, seed]], "temperature": ...,
     "max_tokens": ..., "stop": [...], "stop_token_ids": [...]}
    {"do": "abort", "task": 3}
    {"do": "update", "path": ..., "version": 12, "names": [...], "shapes": [[...]]}

    {"is": "hello"}, then {"is": "ready", "vllm": "0.32.0"}, or {"is": "refused", "text": ...} and the end
    {"is": "finished", "task": 3, "request": 0, "index": 1, "token_ids": [...], "logprobs": [...], "finish": "stop",
     "spans": [[version, start, end]]}
    {"is": "updated", "version": 12}, or {"is": "kept", "text": ...} where the old weights stay
    {"is": "failed", "text": ...}, and the end

The process ends with its client, however that ends: then stdin is at its end.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import threading
from collections.abc import Iterator
from typing import Any

Line = dict[str, Any]
TOKENS_A_STEP = 4096
"""At least; a step takes as many tokens as the longest sequence has, so that no prompt is read in parts."""
BLOCK = 128
"""Tokens of a block of vLLM's key-value cache on a CPU."""
MEMORY_SHARE = 0.5
"""Of the host's free memory, what the cache may take at most."""


class Wire:
    """The lines to and from the client. The commands are read in a thread, also while vLLM computes."""

    def __init__(self) -> None:
        commands = os.fdopen(os.dup(0), encoding="utf-8")
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        self.commands: queue.SimpleQueue[Line] = queue.SimpleQueue()
        self.home: str | None = None
        threading.Thread(target=self._read, args=(commands,), name="commands", daemon=True).start()

    def send(self, **answer: Any) -> None:
        """Write an answer."""
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()

    def _read(self, commands: Any) -> None:
        for line in commands:
            command = json.loads(line)
            self.home = command.get("home", self.home)
            self.commands.put(command)
        if self.home is not None:
            shutil.rmtree(self.home, ignore_errors=True)
        if os.getpgrp() == os.getpid():  # what vLLM has started goes too
            os.killpg(0, signal.SIGKILL)
        os._exit(0)


class Server:
    """Generates what it is asked for, and obeys other commands between two steps."""

    def __init__(self, wire: Wire, command: Line) -> None:
        from vllm import EngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.llm_engine import LLMEngine

        longest = command["max_model_len"]
        config = EngineArgs(
            model=command["folder"],
            dtype=command["dtype"],
            max_model_len=longest,
            max_num_seqs=command["max_sequences"],
            max_num_batched_tokens=max(longest, command["max_sequences"], TOKENS_A_STEP),
            enable_chunked_prefill=False,  # on a CPU a seed and a prompt read in parts end vLLM
            enable_prefix_caching=True,
            enforce_eager=current_platform.is_cpu(),
            logprobs_mode="processed_logprobs",
            generation_config="vllm",
            disable_log_stats=True,
            seed=0,
        ).create_engine_config()
        if current_platform.is_cpu() and config.cache_config.kv_cache_memory_bytes is None:
            config.cache_config.kv_cache_memory_bytes = size_cache(config, command["max_sequences"], longest)
        self._wire, self._tied = wire, command["tied"]
        self._engine = LLMEngine.from_vllm_config(config, disable_log_stats=True)
        self._engine.set_weight_version("0")
        self._open: dict[str, tuple[int, int, int]] = {}
        self._try()

    def serve(self) -> None:
        """Work until the client is gone."""
        commands = self._wire.commands
        while True:
            while not self._open or not commands.empty():
                self._obey(commands.get())
            for output in self._engine.step():
                self._report(output)

    def _try(self) -> None:
        """Write a token: what vLLM's kernels have not, such as heads of 8 numbers on a CPU, shows only then."""
        from vllm import SamplingParams

        self._engine.add_request("try", {"prompt_token_ids": [0]}, SamplingParams(max_tokens=1, detokenize=False))
        while self._engine.has_unfinished_requests():
            self._engine.step()

    def _obey(self, command: Line) -> None:
        if command["do"] == "generate":
            self._start(command)
        elif command["do"] == "abort":
            self._abort(command["task"])
        elif command["do"] == "update":
            self._update(command)
        else:
            raise ValueError(f"no command is called {command['do']!r}")

    def _start(self, command: Line) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        for request, index, seed in command["wanted"]:
            name = f"{command['task']}/{request}/{index}"
            sampling = SamplingParams(
                temperature=command["temperature"],
                seed=seed,
                max_tokens=command["max_tokens"],
                stop=command["stop"],
                include_stop_str_in_output=True,
                stop_token_ids=command["stop_token_ids"],
                ignore_eos=True,  # the client names every token that ends a completion
                detokenize=bool(command["stop"]),
                skip_special_tokens=False,
                spaces_between_special_tokens=False,
                logprobs=0,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            self._engine.add_request(name, {"prompt_token_ids": command["prompts"][request]}, sampling)
            self._open[name] = (command["task"], request, index)

    def _abort(self, task: int | None) -> None:
        dropped = [name for name, place in self._open.items() if task in (None, place[0])]
        self._engine.abort_request(dropped)
        for name in dropped:
            del self._open[name]

    def _report(self, output: Any) -> None:
        task, request, index = self._open.pop(output.request_id)
        (written,) = output.outputs
        self._wire.send(
            **{"is": "finished", "task": task, "request": request, "index": index},
            token_ids=list(written.token_ids),
            logprobs=[place[token].logprob for place, token in zip(written.logprobs, written.token_ids, strict=True)],
            finish=written.finish_reason,
            spans=[[int(span.version), span.start, span.end] for span in written.weight_versions],
        )

    def _update(self, command: Line) -> None:
        self._abort(None)
        version = command["version"]
        if problem := find_problem(command):
            self._wire.send(**{"is": "kept", "text": problem})
            return
        weights = self._read_weights(command["path"], command["names"])
        self._engine.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
        self._engine.apply_model(repack_heads)
        if not self._engine.reset_prefix_cache():
            raise RuntimeError("the cache of prompts could not be emptied")
        self._engine.set_weight_version(str(version))
        self._wire.send(**{"is": "updated", "version": version})

    def _read_weights(self, path: str, names: list[str]) -> Iterator[tuple[str, Any]]:
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            for name in names:
                yield self._tied.get(name, name), file.get_tensor(name)


def find_problem(command: Line) -> str | None:
    """Say what is wrong with a file of weights; None: nothing. Behind the first one that vLLM takes is no way back."""
    from safetensors import safe_open

    try:
        with safe_open(command["path"], framework="pt") as file:
            version = (file.metadata() or {}).get("version")
            if version != str(command["version"]):
                return f"the file holds version {version} of the weights, not {command['version']}"
            for name, shape in zip(command["names"], command["shapes"], strict=True):
                if file.get_slice(name).get_shape() != shape:
                    return f"the file holds {name} with another shape than {shape}"
    except Exception as error:  # no file, no safetensors, or a name is not there
        return f"the file cannot be read: {error}"
    return None


def size_cache(config: Any, max_sequences: int, longest: int) -> int:
    """Return the bytes of a key-value cache that holds every sequence at its longest, as far as memory goes."""
    model, parallel = config.model_config, config.parallel_config
    values = 2 * model.get_num_layers(parallel) * model.get_num_kv_heads(parallel) * model.get_head_size()
    blocks = max_sequences * (-(-longest // BLOCK) + 1) + 1
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    wanted: int = blocks * BLOCK * values * model.dtype.itemsize
    return min(wanted, int(MEMORY_SHARE * free))


def repack_heads(model: Any) -> None:
    """Pack the output matrix anew: on a CPU a reload leaves the packed copy of one that is tied as it was."""
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

    for module in model.modules():
        if isinstance(module, ParallelLMHead):
            module.quant_method.process_weights_after_loading(module)


def main() -> None:
    """Open what the client names, and serve it."""
    wire = Wire()
    wire.send(**{"is": "hello"})
    server = None
    try:
        command = wire.commands.get()
        import vllm

        server = Server(wire, command)
        wire.send(**{"is": "ready", "vllm": vllm.__version__})
        server.serve()
    except BaseException as error:  # whatever it is, the client says it
        wire.send(**{"is": "refused" if server is None else "failed", "text": f"{type(error).__name__}: {error}"})
        raise


if __name__ == "__main__":
    main()
