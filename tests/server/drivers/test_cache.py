import os
import threading
from pathlib import Path

from tests.server.drivers.store import GOOD
from vmw_cloudinit_metadata.definition import Definition, Source
from vmw_cloudinit_metadata.drivers.cache import ENTRY_BYTES, VALUE_BYTES, Cache, Entry, File
from vmw_cloudinit_metadata.drivers.reading import Signature
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData


def made_of(size: int, digest: bytes = b"1") -> Entry:
    return Entry({"web-01.yaml": File(Signature(1, 2, size, 3, 4), True, digest), "absent": File(None)})


# What tells that a file is still the same


def test_a_file_is_untouched_as_long_as_its_signature_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    file = File(Signature.of(os.stat(path)))
    assert file.is_untouched(str(path))
    assert not file._replace(settled=False).is_untouched(str(path))
    os.utime(path, ns=(1, 1))
    assert not file.is_untouched(str(path))
    path.unlink()
    assert not file.is_untouched(str(path))


def test_a_file_that_was_not_there_is_untouched_until_it_is(tmp_path: Path) -> None:
    assert File(None).is_untouched(str(tmp_path / "missing"))
    assert File(None).is_untouched(str(tmp_path / "missing" / "deep"))
    assert not File(None).is_untouched(str(tmp_path))
    (tmp_path / "circle").symlink_to("circle")
    assert not File(None).is_untouched(str(tmp_path / "circle"))


# What an entry is


def test_an_entry_takes_what_was_read_for_it_and_some_more() -> None:
    assert made_of(4096).size == ENTRY_BYTES + 4096
    assert Entry(made_of(4096).files, error=DefinitionError("12345")).size == ENTRY_BYTES + 5


def test_what_was_unpacked_of_a_small_file_counts_as_what_it_is() -> None:
    instance = InstanceData({"userdata": bytes(3000), "vendordata": "x" * 2000})
    assert Entry(made_of(100).files, instance=instance).size == ENTRY_BYTES + 5000
    assert Entry(made_of(9000).files, instance=instance).size == ENTRY_BYTES + 9000


def test_a_definition_that_is_kept_itself_takes_more_for_each_of_its_values() -> None:
    # What has a place: the whole, metadata and its two keys, vms, the VM and its field. Of what is filled in:
    # the whole, metadata and its two values.
    text = GOOD.format("'{{ vm.x }}'") + "vms: {web-01: {x: y}}\n"
    entry = Entry(made_of(1000).files, Definition(Source("web-01.yaml", text.encode())))
    assert entry.size == ENTRY_BYTES + 1000 + VALUE_BYTES * (7 + 4)


def test_entries_say_the_same_if_files_and_faults_are_the_same() -> None:
    entry, faulty = made_of(1), Entry(made_of(1).files, error=DefinitionError("a fault"))
    assert entry.says_the_same(made_of(2))
    assert not entry.says_the_same(None)
    assert not entry.says_the_same(made_of(1, digest=b"2"))
    assert not entry.says_the_same(faulty)
    assert faulty.says_the_same(Entry(faulty.files, error=DefinitionError("a fault")))
    assert not faulty.says_the_same(Entry(faulty.files, error=DefinitionError("another fault")))


# The cache


def test_what_is_kept_is_found_and_what_is_dropped_is_not() -> None:
    cache: Cache[str] = Cache(10 * ENTRY_BYTES)
    one, two = made_of(1), made_of(2)
    assert cache.keep("a", one) is None
    assert cache.keep("a", two) is one
    cache.keep("b", one)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (two, one, None)
    assert cache.size == one.size + two.size
    cache.drop("a", "c")
    assert cache.get("a") is None
    assert (len(cache), cache.size) == (1, one.size)
    cache.clear()
    assert (len(cache), cache.size) == (0, 0)


def test_what_was_used_longest_ago_goes_first() -> None:
    cache: Cache[str] = Cache(3 * made_of(100).size)
    for key in "abc":
        cache.keep(key, made_of(100))
    cache.get("a")
    cache.keep("d", made_of(100))
    assert [key for key in "abcd" if cache.get(key)] == ["a", "c", "d"]
    cache.keep("e", made_of(2 * ENTRY_BYTES))
    assert [key for key in "abcde" if cache.get(key)] == ["e"]


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache: Cache[str] = Cache(ENTRY_BYTES)
    cache.keep("a", made_of(1))
    assert (len(cache), cache.size) == (0, 0)


def test_several_threads_may_use_it_at_once() -> None:
    cache: Cache[int] = Cache(20 * ENTRY_BYTES)
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        for number in range(500):
            cache.keep(number % 50, made_of(number))
            cache.get(number % 7)
            cache.drop(number % 11)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.size == sum(entry.size for key in range(50) if (entry := cache.get(key)))


def test_what_is_too_large_by_itself_pushes_out_nothing() -> None:
    cache: Cache[str] = Cache(ENTRY_BYTES + 100)
    small, large = made_of(1), made_of(1000)
    assert cache.keep("small", small) is None
    assert cache.keep("large", large) is None
    assert (cache.get("small"), cache.get("large")) == (small, None)
    assert cache.keep("small", large) is small  # what it was is not true any more
    assert (len(cache), cache.size) == (0, 0)
