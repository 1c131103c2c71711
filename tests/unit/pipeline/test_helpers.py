"""Work side by side: its order, its end."""

from __future__ import annotations

import threading

import pytest

from dunwu.errors import Fault
from dunwu.pipeline.helpers import side_by_side


def test_results_come_in_the_order_of_the_items() -> None:
    second = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            assert second.wait(60), "nothing runs beside the first"
        second.set()
        return 10 * item

    assert list(side_by_side(work, [1, 2, 3], 2)) == [10, 20, 30]


def test_nothing_is_begun_after_one_has_failed() -> None:
    began, fail = list[int](), threading.Event()

    def work(item: int) -> int:
        began.append(item)
        if item == 0:
            raise Fault("no answer")
        fail.wait()  # for ever: nobody waits for what is under way
        return item

    with pytest.raises(Fault, match="no answer"):
        list(side_by_side(work, range(100), 2))
    assert len(began) <= 4


def test_one_at_a_time_is_the_caller_s_own_thread() -> None:
    own = threading.current_thread()
    assert list(side_by_side(lambda _: threading.current_thread() is own, [1, 2], 1)) == [True, True]
