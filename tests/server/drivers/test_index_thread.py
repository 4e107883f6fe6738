"""The index in its thread: when it looks, and who waits for it."""

import threading

import pytest

from tests.server.drivers.indexed import VC, Directory, definition
from vmw_cloudinit_metadata.drivers import index as index_module
from vmw_cloudinit_metadata.drivers.index import Index
from vmw_cloudinit_metadata.drivers.listing import MAX_FILES
from vmw_cloudinit_metadata.errors import DriverBusyError

PATIENCE = 20.0


def thread_of(index: Index) -> threading.Thread:
    assert index._thread is not None
    assert index._thread.name == "definitions"
    return index._thread


def test_the_thread_starts_with_the_first_question_and_ends_with_the_index(directory: Directory) -> None:
    assert directory.index._thread is None
    directory.find("vc-uuid", VC)
    thread = thread_of(directory.index)
    directory.find("vc-uuid", VC)
    assert thread_of(directory.index) is thread
    assert thread.daemon
    assert thread.is_alive()
    directory.index.close()
    assert not thread.is_alive()


def test_an_index_that_was_never_asked_and_is_closed_finds_nothing_and_starts_nothing(
    directory: Directory,
) -> None:
    directory.write("web-01.yaml", definition(vc_uuid=VC))
    directory.index.close()
    assert directory.find("vc-uuid", VC) is None
    assert directory.index._thread is None


def test_the_thread_looks_again_by_itself_and_at_once_when_it_is_told(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Semaphore(0)
    refresh = directory.index.refresh

    def note(turns: int) -> None:
        refresh(turns)
        looked.release()

    monkeypatch.setattr(directory.index, "refresh", note)
    directory.find("vc-uuid", VC)
    assert looked.acquire(timeout=PATIENCE)
    directory.write("web-01.yaml", definition(vc_uuid=VC))
    monkeypatch.setattr(index_module, "REFRESH_SECONDS", 0.01)
    directory.index.hurry()
    for _ in range(3):
        assert looked.acquire(timeout=PATIENCE)
    assert directory.find("vc-uuid", VC) == "web-01.yaml"


def test_a_system_without_a_thread_to_spare_is_asked_again(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.write("web-01.yaml", definition(vc_uuid=VC))

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            directory.find("vc-uuid", VC)
    assert directory.find("vc-uuid", VC) == "web-01.yaml"


def test_questions_wait_a_little_for_the_first_look_and_for_no_other(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.write("web-01.yaml", definition(vc_uuid=VC))
    go_on, looking = threading.Event(), threading.Semaphore(0)
    refresh = directory.index.refresh

    def slow(turns: int) -> None:
        looking.release()
        go_on.wait(PATIENCE)
        refresh(turns)

    monkeypatch.setattr(directory.index, "refresh", slow)
    found: list[str | None] = []
    asking = threading.Thread(target=lambda: found.append(directory.find("vc-uuid", VC)))
    asking.start()
    assert looking.acquire(timeout=PATIENCE)
    assert found == []
    go_on.set()
    asking.join(PATIENCE)
    assert found == ["web-01.yaml"]
    go_on.clear()
    directory.index.hurry()
    assert looking.acquire(timeout=PATIENCE)
    assert directory.find("vc-uuid", VC) == "web-01.yaml"
    go_on.set()


def test_when_nobody_asks_nothing_is_looked_at_and_the_next_question_waits_for_a_whole_look(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "REFRESH_SECONDS", 0.0)
    monkeypatch.setattr(index_module, "IDLE_SECONDS", -1.0)
    monkeypatch.setattr(index_module, "MAX_TURNS", 0)
    turns: list[int] = []
    idle = threading.Semaphore(0)
    refresh, wait = directory.index.refresh, directory.index._wake.wait

    def note(number: int) -> None:
        turns.append(number)
        refresh(number)

    def wait_noted(timeout: float | None = None) -> bool:
        assert timeout is None
        idle.release()
        return wait(timeout)

    monkeypatch.setattr(directory.index, "refresh", note)
    monkeypatch.setattr(directory.index._wake, "wait", wait_noted)
    path = directory.write("web-01.yaml", definition())
    assert directory.find("vc-uuid", VC) is None
    assert idle.acquire(timeout=PATIENCE)
    path.write_text(definition(vc_uuid=VC))
    assert turns == [MAX_FILES]
    assert directory.find("vc-uuid", VC) == "web-01.yaml"
    assert idle.acquire(timeout=PATIENCE)
    assert turns == [MAX_FILES] * 2
    directory.index.hurry()
    assert idle.acquire(timeout=PATIENCE)
    assert turns == [MAX_FILES] * 3


def test_who_would_wait_for_long_for_the_first_look_has_to_ask_again(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.write("web-01.yaml", definition(vc_uuid=VC))
    monkeypatch.setattr(index_module, "FIRST_LOOK_SECONDS", 0.0)
    go_on = threading.Event()
    refresh = directory.index.refresh

    def slow(turns: int) -> None:
        go_on.wait(PATIENCE)
        refresh(turns)

    monkeypatch.setattr(directory.index, "refresh", slow)
    for ask in (lambda: directory.find("vc-uuid", VC), lambda: directory.index.naming("web-01")):
        with pytest.raises(DriverBusyError, match="all definitions are being looked at") as busy:
            ask()
        assert busy.value.retry == index_module.FIRST_LOOK_RETRY
    go_on.set()
    assert directory.index.wait() or thread_of(directory.index).is_alive()
    assert directory.find("vc-uuid", VC) == "web-01.yaml"
    assert directory.index.wait() is False


def test_the_thread_outlives_what_nobody_foresaw(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(turns: int) -> None:
        raise ValueError("hunter2")

    with monkeypatch.context() as patch:
        patch.setattr(directory.index, "refresh", broken)
        assert directory.find("vc-uuid", VC) is None
    assert "definitions cannot be looked up by UUID or vms: ValueError" in caplog.text
    assert "hunter2" not in caplog.text
    assert thread_of(directory.index).is_alive()
