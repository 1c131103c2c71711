"""Speaks the protocol of ``rollout/vllm/server.py`` without vLLM: what it writes follows from prompt, seed and version.

What the environment variable ``FAKE_VLLM`` names goes wrong.
"""

import json
import os
import shutil
import sys
import time
from typing import Any

FAULT = os.environ.get("FAKE_VLLM", "")
BROKEN = {
    "no JSON": "Traceback (most recent call last):",
    "no object": "[1, 2]",
    "no kind": '{"task": 1}',
    "unknown kind": '{"is": "surprise", "task": 1}',
    "failed": '{"is": "failed", "text": "RuntimeError: out of blocks"}',
}
WRONG: dict[str, dict[str, Any]] = {
    "another's sample": {"request": 7},
    "no index": {"index": None},
    "no tokens": {"token_ids": [], "logprobs": [], "spans": []},
    "too many tokens": {"token_ids": [1] * 99, "logprobs": [-1.0] * 99, "spans": [[0, 0, 99]]},
    "token unknown": {"token_ids": [1, 320], "logprobs": [-1.0, -1.0], "spans": [[0, 0, 2]]},
    "token negative": {"token_ids": [-1], "logprobs": [-1.0], "spans": [[0, 0, 1]]},
    "token too large": {"token_ids": [2**40], "logprobs": [-1.0], "spans": [[0, 0, 1]]},
    "nested tokens": {"token_ids": [[1]], "logprobs": [[-1.0]], "spans": [[0, 0, 1]]},
    "token a text": {"token_ids": "abc"},
    "fewer numbers": {"token_ids": [1, 2], "logprobs": [-1.0], "spans": [[0, 0, 2]]},
    "NaN": {"token_ids": [1], "logprobs": [float("nan")], "spans": [[0, 0, 1]]},
    "infinite": {"token_ids": [1], "logprobs": [float("-inf")], "spans": [[0, 0, 1]]},
    "above 0": {"token_ids": [1], "logprobs": [0.5], "spans": [[0, 0, 1]]},
    "another version": {"token_ids": [1], "logprobs": [-1.0], "spans": [[9, 0, 1]]},
    "a hole": {"token_ids": [1, 2], "logprobs": [-1.0, -1.0], "spans": [[0, 0, 1]]},
    "no spans": {"token_ids": [1], "logprobs": [-1.0], "spans": None},
    "another end": {"finish": "abort"},
}


def say(answer: object) -> None:
    print(answer if isinstance(answer, str) else json.dumps(answer), flush=True)


def finished(command: dict[str, Any], request: int, index: int, seed: int, version: int) -> dict[str, Any]:
    count = min(command["max_tokens"], 1 + seed % 5)
    first = sum(command["prompts"][request]) + seed + version
    token_ids = [(first + place) % 256 for place in range(count)]
    ends = count < command["max_tokens"]
    if ends:
        token_ids[-1] = command["stop_token_ids"][0]
    return {
        "is": "finished",
        "task": command["task"],
        "request": request,
        "index": index,
        "token_ids": token_ids,
        "logprobs": [-(1 + token) / 512 for token in token_ids],
        "finish": "stop" if ends else "length",
        "spans": [[version, 0, count]],
    }


def generate(command: dict[str, Any], version: int) -> None:
    if FAULT in BROKEN:
        say(BROKEN[FAULT])
        return
    for number, (request, index, seed) in enumerate(command["wanted"]):
        answer = finished(command, request, index, seed, version)
        if FAULT == "dies" and number == 2:
            print("Fatal Python error: Segmentation fault", file=sys.stderr, flush=True)
            os._exit(139)
        if FAULT == "stale" and number == 0:
            say(answer | {"task": command["task"] - 1})
        say(answer | WRONG.get(FAULT, {}))
        if FAULT == "twice":
            say(answer)


def main() -> None:
    if FAULT == "silent end":
        print("cannot execute", file=sys.stderr)
        return
    say("what is this?" if FAULT == "another program" else {"is": "hello"})
    version = 0
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "open":
            home = command["home"]
            with open(os.path.join(home, "opened.json"), "w") as file:
                files = sorted(os.listdir(command["folder"]))
                json.dump(command | {"files": files, "environment": dict(os.environ)}, file)
            if FAULT == "no vllm":
                say({"is": "refused", "text": "ModuleNotFoundError: No module named 'vllm'"})
                return
            if FAULT == "refuses":
                say({"is": "refused", "text": "ValueError: no such architecture"})
                return
            say({"is": "ready", "vllm": "0.0"})
        elif command["do"] == "generate":
            if FAULT == "hangs":
                time.sleep(600)
            generate(command, version)
        elif command["do"] == "update":
            if FAULT == "keeps":
                say({"is": "kept", "text": "the file cannot be read"})
                continue
            version = command["version"]
            with open(os.path.join(home, "updated.json"), "w") as file:
                json.dump(command, file)
            say({"is": "updated", "version": version + (FAULT == "updates wrongly")})
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
