import threading

import pytest

from swtformer.in_order import AHEAD, in_order, work_ahead
from swtformer.progress import silent

IDS = [str(number) for number in range(131)]


def test_results_keep_the_order_whichever_is_ready_first() -> None:
    """Needs two threads: the first image waits for the second one."""
    second_done = threading.Event()
    calls: list[tuple[object, ...]] = []

    def work(id: str) -> int:
        if id == "0":
            assert second_done.wait(60)
        if id == "1":
            second_done.set()
        return int(id)

    results = list(in_order("count", work, IDS, lambda *call: calls.append(call)))
    assert results == list(range(len(IDS)))
    assert calls == [("count", done, len(IDS)) for done in range(1, len(IDS) + 1)]


def test_an_error_ends_the_work() -> None:
    seen = []

    def work(id: str) -> None:
        seen.append(id)
        if id == "5":
            raise ValueError("bad image 5")

    with pytest.raises(ValueError, match="bad image 5"):
        list(in_order("count", work, IDS, silent))
    assert len(seen) < len(IDS)


def test_few_results_wait_at_a_time() -> None:
    taken, most = 0, 0

    def work(item: int) -> int:
        nonlocal most
        most = max(most, item - taken)
        return item

    for result in work_ahead(work, range(100), threads=2):
        taken = result
    assert taken == 99
    assert most <= 2 * AHEAD
