"""A judge of your own: it says which answers agree with the known one, and rejection sampling keeps those.

python examples/own_judge.py
"""

import json

import dunwu


def agrees(question: str, gold: str, answer: str) -> bool:
    """Accept every expression of the right value. The rule also wants each number once."""
    return dunwu.grade(answer, gold=gold).value == 1.0


STAGE = {
    "kind": "reject",
    "from": "nano-base",
    "questions": 32,
    "samples": 4,
    "max_new_tokens": 128,
    "tasks": [{"task": "countdown", "levels": [3]}],
    "prompt": {"template": "nano", "max_tokens": 64},
    "judge": {"by": "custom", "file": __file__, "function": "agrees"},
}


def main(out: str = "runs/own-judge", questions: int = 32) -> dunwu.Run:
    """Ask the nano base, and print some of the answers that were kept: conversations that a next stage can read."""
    run = dunwu.run({"name": "own-judge", "stages": {"kept": STAGE | {"questions": questions}}}, out=out)
    lines = (run.directory / "stages" / "kept" / "data.jsonl").read_text(encoding="utf-8").splitlines()
    print(f"{len(lines)} answers kept")
    for line in lines[:3]:
        print(*(message["content"] for message in json.loads(line)["messages"]), sep="\n")
    return run


if __name__ == "__main__":
    main()
