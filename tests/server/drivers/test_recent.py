import itertools
import threading
from typing import Any

import pytest

from vmw_cloudinit_metadata.drivers import recent as recent_module
from vmw_cloudinit_metadata.drivers.recent import AT_HAND_SECONDS, RECENT_SECONDS, Recent
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot


class Site:
    """What was rendered, with a clock and a count of how often that was done."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.recent = Recent(lambda: self.now)
        self.rendered: list[str] = []

    def snapshot(self, path: str, instance: InstanceData) -> Snapshot:
        def render() -> Snapshot:
            self.rendered.append(path)
            return Snapshot(instance)

        return self.recent.snapshot(path, instance, render)


@pytest.fixture
def site() -> Site:
    return Site()


def made(hostname: str = "web-01", userdata: str = "x") -> InstanceData:
    return InstanceData({"metadata": {"instance-id": "i-1", "hostname": hostname}, "userdata": userdata})


def test_what_a_definition_says_is_rendered_once(site: Site) -> None:
    instance = made()
    assert len({id(site.snapshot("a.yaml", instance)) for _ in range(10)}) == 1
    assert site.rendered == ["a.yaml"]
    assert site.snapshot("a.yaml", made("web-02")).instance.metadata is not instance.metadata
    assert site.rendered == ["a.yaml"] * 2


def test_what_was_asked_for_lately_is_kept_and_the_rest_forgotten(site: Site) -> None:
    lately, once = made("lately"), made("once")
    for path, instance in (("lately.yaml", lately), ("once.yaml", once)):
        site.snapshot(path, instance)
    for _ in range(3):
        site.now += RECENT_SECONDS
        site.snapshot("lately.yaml", lately)
    site.snapshot("once.yaml", once)
    assert site.rendered == ["lately.yaml", "once.yaml", "once.yaml"]


def test_what_is_kept_has_a_largest_size(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    size = recent_module.SNAPSHOT_BYTES + recent_module.DOCUMENT_FACTOR * 10_000
    monkeypatch.setattr(recent_module, "RECENT_BYTES", 10 * size)
    for number in range(100):
        site.snapshot(f"{number}.yaml", made(userdata="x" * 10_000))
        for half in (site.recent._newer, site.recent._older):
            assert size * len(half.snapshots) <= half.size < 11.5 * size


def test_names_that_are_kept_have_a_largest_number(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_module, "RECENT_BYTES", 10 * recent_module.NAME_BYTES)
    snapshot = Snapshot(made())
    for number in range(100):
        site.recent.keep_at_hand(f"web-{number}", site.now, snapshot)
    assert len([n for n in range(100) if site.recent.at_hand(f"web-{n}")]) in range(10, 21)
    assert site.recent.at_hand("web-99") is snapshot


def test_it_is_at_hand_for_a_second_from_the_question(site: Site) -> None:
    snapshot = Snapshot(made())
    site.recent.keep_at_hand("web-01", site.now - AT_HAND_SECONDS / 2, snapshot)
    assert site.recent.at_hand("web-01") is snapshot
    assert site.recent.at_hand("web-02") is None
    site.now += AT_HAND_SECONDS / 2
    assert site.recent.at_hand("web-01") is None


def test_the_newest_answer_is_at_hand(site: Site) -> None:
    snapshots = [Snapshot(made(str(number))) for number in range(20)]
    for snapshot in snapshots:
        site.recent.keep_at_hand("web-01", site.now, snapshot)
        assert site.recent.at_hand("web-01") is snapshot
        site.now += RECENT_SECONDS / 3
        assert site.recent.at_hand("web-01") is None


def test_several_threads_get_what_they_ask_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_module, "RECENT_BYTES", 40_000)
    instances = {f"{number}.yaml": made(str(number)) for number in range(20)}
    together = threading.Barrier(4)
    wrong: list[Any] = []

    def work() -> None:
        together.wait()
        for path, instance in itertools.islice(itertools.cycle(instances.items()), 500):
            snapshot = site.snapshot(path, instance)
            site.recent.keep_at_hand(path, site.now, snapshot)
            kept = site.recent.at_hand(path) or snapshot  # or one that another thread has made of the same
            if not Snapshot(instance).metadata == snapshot.metadata == kept.metadata:
                wrong.append(path)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
