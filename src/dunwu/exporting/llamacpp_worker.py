"""llama.cpp's side of ``dunwu export --check``: a script that needs xllamacpp and nothing of Dunwu.

    python llamacpp_worker.py JOB RESULT

JOB is a JSON file: ``gguf``, ``threads``, ``context``, ``chat`` (questions go through the file's chat template),
``questions``, ``new_tokens``, ``stop``, ``likeliest`` (how many log-probabilities of a first token), ``texts``
and ``bare``.
RESULT becomes a JSON file: for each question the greedy ``answers`` and the log-probabilities of ``first`` tokens; the
tokens of each text as a question (``asked``) and as it stands (``bare``).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen


def main() -> None:
    """Do the job."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    server = Client(job)
    written = [server.complete(server.render(question)) for question in job["questions"]]
    result = {
        "answers": [found["content"] for found in written],
        "first": [read_first(found) for found in written],
        "asked": [server.tokenize(server.render(text), special=True) for text in job["texts"]],
        "bare": [server.tokenize(text, special=False) for text in job["bare"]],
    }
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")


def read_first(written: dict[str, Any]) -> dict[str, float]:
    """Return the log-probabilities of the likeliest first tokens, by their numbers.

    There are none where the first token is a part of a letter: those of the next tokens stand in their place.
    """
    tokens, entries = written["tokens"], written.get("completion_probabilities", [])
    if not entries or entries[0]["id"] != tokens[0]:
        return {}
    return {str(entry["id"]): entry["logprob"] for entry in entries[0]["top_logprobs"]}


class Client:
    """A server of llama.cpp in this process, on a loopback port of its own, and what asks it."""

    def __init__(self, job: dict[str, Any]) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = job["gguf"]
        params.n_parallel = 1
        params.n_ctx = job["context"]
        params.n_batch = params.n_ubatch = min(job["context"], 2048)
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32  # f16 moves log-probabilities
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.warmup = False
        params.fit_params = False
        for threads in (params.cpuparams, params.cpuparams_batch):
            threads.n_threads = job["threads"]
        self._server, self._job = xllamacpp.Server(params), job

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        """Return what the server says."""
        address = f"{self._server.listening_address}{path}"
        request = Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urlopen(request) as reply:
            return json.loads(reply.read())

    def render(self, question: str) -> str:
        """Write a question's prompt, by the chat template of the file where it has one."""
        if not self._job["chat"]:
            return question
        found: str = self.ask("/apply-template", {"messages": [{"role": "user", "content": question}]})["prompt"]
        return found

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Tokenize a text; ``special``: with what begins every text."""
        body = {"content": text, "add_special": special, "parse_special": True}
        tokens: list[int] = self.ask("/tokenize", body)["tokens"]
        return tokens

    def complete(self, prompt: str) -> Any:
        """Write the likeliest token each time."""
        greedy = {"temperature": 0.0, "samplers": ["temperature"], "repeat_penalty": 1.0}
        wanted = {"n_probs": self._job["likeliest"], "return_tokens": True, "cache_prompt": False}
        body = {"prompt": prompt, "n_predict": self._job["new_tokens"], "stop": self._job["stop"]}
        return self.ask("/completion", body | greedy | wanted)


if __name__ == "__main__":
    main()
