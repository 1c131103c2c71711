"""Work side by side: its order, its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dunwu.errors import Fault, Interrupted, UserError
from dunwu.pipeline.judges.prompting import run_concurrently
from dunwu.pipeline.judges.user_functions import load_function


def test_results_come_in_the_order_of_the_items() -> None:
    second = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            assert second.wait(60), "nothing runs beside the first"
        second.set()
        return 10 * item

    assert list(run_concurrently(work, [1, 2, 3], 2)) == [10, 20, 30]


def test_nothing_is_begun_after_one_has_failed() -> None:
    began, fail = list[int](), threading.Event()

    def work(item: int) -> int:
        began.append(item)
        if item == 0:
            raise Fault("no answer")
        fail.wait()  # for ever: nobody waits for what is under way
        return item

    with pytest.raises(Fault, match="no answer"):
        list(run_concurrently(work, range(100), 2))
    assert len(began) <= 4


def test_one_at_a_time_is_the_caller_s_own_thread() -> None:
    own = threading.current_thread()
    assert list(run_concurrently(lambda _: threading.current_thread() is own, [1, 2], 1)) == [True, True]


def own(folder: Path, body: str) -> Callable[..., object]:
    source = f"import asyncio\nfrom dunwu.errors import Interrupted\ndef score(answer):\n    {body}\n"
    (folder / "own.py").write_text(source)
    return load_function(folder / "own.py", "score", "judge")


def test_a_function_that_catches_everything_does_not_keep_the_run_from_stopping(tmp_path: Path) -> None:
    call = own(tmp_path, "try:\n        raise Interrupted('asked to stop')\n    except Exception:\n        return 1")
    with pytest.raises(Interrupted):
        call("42")


@pytest.mark.parametrize("error", ["asyncio.CancelledError()", "SystemExit(0)", "GeneratorExit()", "ValueError('x')"])
def test_whatever_a_function_raises_is_its_own_fault(tmp_path: Path, error: str) -> None:
    call = own(tmp_path, f"raise {error}")
    with pytest.raises(UserError, match=r"score raises (CancelledError|SystemExit|GeneratorExit|ValueError)"):
        call("42")
