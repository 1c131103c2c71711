"""``dunwu eval`` of models beside each other, of runs, and with a judge."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dunwu.config.schema import TaskSpec
from dunwu.tasks import build_task
from tests.integration.evaluating import asking, run
from tests.published import NO, YES, write
from tests.serving import Answer, question, said, serving

pytestmark = pytest.mark.usefixtures("impatient")


def test_two_models_are_compared_on_the_same_problems(tmp_path: Path) -> None:
    rows = [{"problem": f"{n} + 0?", "answer": n} for n in range(10, 30)]
    path = write(tmp_path / "sums.jsonl", rows)

    def answer(body: Any) -> Answer:
        number = int(question(body).split()[0])
        known = number % 2 == 0 or body["model"] == "knows"
        return said(rf"\boxed{{{number if known else 0}}}")

    with serving(answer) as server:
        models = [f"{server.url}#half", f"{server.url}#knows"]
        done = run(*models, "--bench", "aime", "--data", path, "-k", "2", "--json", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["paired"]
    assert list(told) == ["knows"]
    assert told["knows"].keys() == {"against", "problems", "value", "low", "high", "p"}
    assert (told["knows"]["against"], told["knows"]["problems"], told["knows"]["value"]) == ("half", 20, 0.5)
    assert told["knows"]["p"] == pytest.approx(2 * 0.5**10)  # all ten that differ differ the same way
    line = "knows against half on aime: +50.0 points (+30.0 to +70.0), p = 0.002; the same 20 problems\n"
    assert line in done.stderr
    report = (tmp_path / "out" / "report.html").read_text()
    assert "compared with half on the same problems" in report
    assert "H800" not in report, "nothing was learned, so there is nothing to hold against what R1 cost"
    assert "p &lt; 0.01" in report


def test_a_run_is_measured_by_its_last_model_or_the_one_that_is_named(tmp_path: Path) -> None:
    """A model that lies where a run puts it."""
    from dunwu.models.load import load_policy, save_policy

    recipe = {"name": "r", "stages": {"zero": {"kind": "rl", "prompt": {"template": "nano"}}, "judge": {"kind": "x"}}}
    out = tmp_path / "made"
    for stage in ("zero", "judge"):
        (out / "stages" / stage / "model").mkdir(parents=True)
    save_policy(load_policy("nano-base"), out / "stages/zero/model")
    manifest = {"schema": 1, "seed": 0, "versions": {}, "stages": {"zero": "done", "judge": "done"}}
    (out / "manifest.json").write_text(json.dumps(manifest))
    (out / "recipe.json").write_text(json.dumps(recipe))
    measured = ("--bench", "countdown", "-k", "1", "--problems", "4", "--max-new-tokens", "48", "--json")
    for place, model in enumerate((str(out), f"{out}:zero")):
        done = run(model, *measured, "--out", tmp_path / str(place))
        assert done.exit_code == 0, done.output
        assert list(json.loads(done.stdout)["results"]) == ["made-zero"]
    wrong = run(f"{out}:zer", *measured)
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert wrong.stderr.endswith("there are zero; did you mean zero?\n")
    shutil.rmtree(out / "stages/zero/model")
    none = run(out, *measured)
    assert (none.exit_code, none.stderr) == (
        2,
        f"error: {out}: has no model: no finished stage of this run makes one\n",
    )


@pytest.fixture
def referee() -> Iterator[tuple[str, list[Any]]]:
    """A server that prefers the longer answer, and what comes first where they are near; it calls refusals safe."""

    def answer(body: Any) -> Answer:
        told = question(body)
        if "yes or no" in told:
            return said("yes" if NO in told else "No.")
        first, second = re.findall(r"Answer [AB]: (.*?)(?=\n\n|\Z)", told, re.DOTALL)
        return said(f"<think>A: 1</think>A: {5 + (len(first) >= len(second) - 3)}, B: {5 + (len(second) > len(first))}")

    with serving(answer) as server:
        yield f"{server.url}#judge", server.asked


def test_a_referee_compares_in_both_orders_and_says_what_is_unsafe(
    tmp_path: Path, referee: tuple[str, list[Any]]
) -> None:
    rows = [{"instruction": f"{n}?", "output": "x" * 9} for n in range(8)]
    paths = {
        "alpaca": write(tmp_path / "a.jsonl", rows),
        "safety": write(tmp_path / "s.jsonl", [{"prompt": f"{n}?", "refuse": n < 2} for n in range(4)]),
    }

    def answer(body: Any) -> Answer:
        if "instruction" in question(body):
            return said("")
        number = int(question(body).rstrip("?"))
        return said("<think>" + "y" * 50 + "</think>" + ("z" * 30 if number < 6 else "z" * 8 if number < 7 else "z"))

    with serving(answer) as server:
        models, judge = f"{server.url}#m", ("--judge", referee[0])
        done = run(models, *asking(paths, "alpaca"), *judge, "--json", "--out", tmp_path / "a")
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)["results"]["m"]
        # Six are longer and better in both orders; one is as good as its place; one is worse.
        assert told["win_rate"]["value"] == pytest.approx((6 + 0.5) / 8, abs=0.07)
        assert told["win_rate_length"]["value"] < told["win_rate"]["value"]
        assert len(referee[1]) == 16
        server.answer = lambda body: said(NO if question(body)[0] in "02" else YES)
        done = run(models, *asking(paths, "safety"), "-k", "2", *judge, "--json", "--out", tmp_path / "s")
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)["results"]["m"]
        assert [told[name]["value"] for name in ("pass@1", "refused", "unsafe")] == [0.5, 0.5, 0.5]
    lacking = write(tmp_path / "arena.jsonl", [{"prompt": "A poem."}])
    known = write(tmp_path / "known.jsonl", [{"turns": ["A poem."], "output": "R."}])
    with serving(lambda body: said("Roses.")) as server:
        asked = asking({"arena": known}, "arena")
        done = run(f"{server.url}#m", *asked, *judge, "--json", "--out", tmp_path / "k")
        assert json.loads(done.stdout)["results"]["m"]["win_rate"]["value"] == 1.0
        asked = asking({"arena": lacking}, "arena")
        refused = run(f"{server.url}#m", *asked, *judge, "--out", tmp_path / "l")
    assert refused.exit_code == 2
    assert "has no references (a column output), so there is nothing to compare with" in refused.stderr


def test_generated_problems_are_measured_behind_a_server(tmp_path: Path) -> None:
    problems = build_task(TaskSpec(task="countdown"), 0).get_held_out(3)
    known = {one.messages[-1].content: one.gold for one in problems}

    def answer(body: Any) -> Answer:
        asked = question(body)
        gold = next(gold for question, gold in known.items() if asked.startswith(question))
        return said(f"<think>Hm.</think><answer>{gold}</answer>") if "<answer> </answer>" in asked else said("")

    with serving(answer) as server:
        done = run(f"{server.url}#m", "--bench", "countdown", "--problems", "3", "--json", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["results"]["m"]["pass@1"]["value"] == 1.0
