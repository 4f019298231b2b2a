import threading

import pytest

from swtformer import in_order as module
from swtformer.in_order import AHEAD, in_order, thread_count, work_ahead
from swtformer.progress import silent

IDS = [str(number) for number in range(131)]


@pytest.mark.parametrize(
    ("cores", "processes", "threads"), [(1, None, 1), (6, None, 6), (64, None, 8), (8, "4", 2), (2, "8", 1)]
)
def test_processes_of_one_machine_share_its_cores(
    cores: int, processes: str | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(cores)), raising=False)
    if processes is None:
        monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    else:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert thread_count() == threads


def test_results_keep_the_order_whichever_is_ready_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first image waits for the second one, in another thread."""
    monkeypatch.setattr(module, "thread_count", lambda: 2)
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
