import logging
import subprocess
import sys

import pytest

from vmw_cloudinit_metadata.log import (
    LEVELS,
    ConnectionLog,
    Throttle,
    address_text,
    describe,
    printable,
)

SECRET = "hunter2"
logger = logging.getLogger("test")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> ConnectionLog:
    caplog.set_level(logging.DEBUG)
    return ConnectionLog(logger, "192.0.2.1:5000")


def test_a_line_says_which_connection_it_is_about(
    log: ConnectionLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.info("closed after %d s", 30)
    assert caplog.messages == ["192.0.2.1:5000: closed after 30 s"]


def test_a_line_says_which_vm_it_is_about_once_that_is_known(
    log: ConnectionLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.vm = "Büro web-01"
    log.warning("vMotion aborted")
    assert caplog.messages == ["192.0.2.1:5000 Büro web-01: vMotion aborted"]
    assert caplog.records[0].levelname == "WARNING"


@pytest.mark.parametrize("name", ["50%2fvcpu", "%s", "100%", "%(x)d"])
def test_a_name_is_never_a_format(log: ConnectionLog, caplog: pytest.LogCaptureFixture, name: str) -> None:
    log.vm = name
    log.info("without arguments")
    log.info("with %s", "one")
    subject = f"192.0.2.1:5000 {name}"
    assert caplog.messages == [f"{subject}: without arguments", f"{subject}: with one"]


@pytest.mark.parametrize(
    "name", ["a\nINFO root: forged", "a\rb", "a\x1b[2Jb", "a\u2028b", "a\u202eb", "a\x00"]
)
def test_a_name_cannot_forge_a_line(log: ConnectionLog, caplog: pytest.LogCaptureFixture, name: str) -> None:
    log.vm = name
    log.info("connected")
    (message,) = caplog.messages
    assert message.isprintable()
    assert message == f"192.0.2.1:5000 {name!a}: connected"


def test_nothing_is_made_of_a_line_that_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Subject(str):
        def __format__(self, spec: str) -> str:
            raise AssertionError

    caplog.set_level(logging.INFO)
    log = ConnectionLog(logger, Subject("peer"))
    log.debug("not shown")
    assert caplog.messages == []


def test_an_exception_may_be_shown_with_the_line(
    log: ConnectionLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.error("failed", exc_info=ValueError("why"))
    assert caplog.records[0].exc_info is not None


@pytest.mark.parametrize("text", ["web-01", "Büro", "東京", ""])
def test_printable_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_text_that_is_not_printable_is_escaped() -> None:
    assert printable("a\nbü") == "'a\\nb\\xfc'"


@pytest.mark.parametrize(
    ("host", "port", "text"), [("192.0.2.1", 80, "192.0.2.1:80"), ("::1", 80, "[::1]:80"), ("", 80, ":80")]
)
def test_an_address_is_written_as_an_operator_writes_it(host: str, port: int, text: str) -> None:
    assert address_text(host, port) == text


def test_an_exception_is_described_by_its_type_and_place_without_its_text() -> None:
    def fail() -> None:
        raise ValueError(SECRET)

    with pytest.raises(ValueError) as raised:  # noqa: PT011
        fail()
    assert describe(raised.value) == f"ValueError in {__file__}:{fail.__code__.co_firstlineno + 1}"


def test_an_exception_that_was_never_raised_has_no_place() -> None:
    assert describe(KeyError(SECRET)) == "KeyError"


def test_a_throttle_lets_the_first_through_and_counts_the_rest_until_its_time() -> None:
    now = [100.0]
    throttle = Throttle(10.0, lambda: now[0])
    assert throttle.count() == 1
    assert [throttle.count() for _ in range(5)] == [0] * 5
    now[0] = 109.9
    assert throttle.count() == 0
    now[0] = 110.0
    assert throttle.count() == 7
    assert throttle.count() == 0


@pytest.mark.parametrize("level", LEVELS)
def test_logging_goes_to_standard_error_from_its_level_on(level: str) -> None:
    code = (
        "import logging; from vmw_cloudinit_metadata import log; "
        f"log.set_up({level!r}); test = logging.getLogger('test'); "
        "[getattr(test, each)('at %s', each) for each in log.LEVELS]; "
        "logging.getLogger('asyncio').info('selected a selector')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert [line.rsplit(" ", 1)[1] for line in lines] == list(LEVELS[LEVELS.index(level) :])
    assert lines[-1].endswith("ERROR test: at error")
