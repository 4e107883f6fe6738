import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vmw_cloudinit_metadata.log import (
    LEVELS,
    MAX_OUTCOMES,
    ConnectionLog,
    JournalFormatter,
    JSONFormatter,
    TextFormatter,
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
    log.is_about("Büro web-01")
    log.warning("vMotion aborted")
    assert caplog.messages == ["192.0.2.1:5000 Büro web-01: vMotion aborted"]
    assert caplog.records[0].levelname == "WARNING"


@pytest.mark.parametrize("name", ["50%2fvcpu", "%s", "100%", "%(x)d"])
def test_a_name_is_never_a_format(log: ConnectionLog, caplog: pytest.LogCaptureFixture, name: str) -> None:
    log.is_about(name)
    log.info("without arguments")
    log.info("with %s", "one")
    subject = f"192.0.2.1:5000 {name}"
    assert caplog.messages == [f"{subject}: without arguments", f"{subject}: with one"]


@pytest.mark.parametrize(
    "name", ["a\nINFO root: forged", "a\rb", "a\x1b[2Jb", "a\u2028b", "a\u202eb", "a\x00"]
)
def test_a_name_cannot_forge_a_line(log: ConnectionLog, caplog: pytest.LogCaptureFixture, name: str) -> None:
    log.is_about(name)
    log.info("connected")
    (message,) = caplog.messages
    assert message.isprintable()
    assert message == f"192.0.2.1:5000 {name!a}: connected"


def test_a_port_with_a_label_is_told_from_the_vms_others(
    log: ConnectionLog, caplog: pytest.LogCaptureFixture
) -> None:
    for port in ("2", "100%s", "2\nforged"):
        log.is_about("web-01", port)
        log.info("connected")
    assert caplog.messages == [
        "192.0.2.1:5000 web-01 port 2: connected",
        "192.0.2.1:5000 web-01 port 100%s: connected",
        "192.0.2.1:5000 web-01 port '2\\nforged': connected",
    ]


def test_nothing_is_made_of_a_line_that_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Text:
        def __str__(self) -> str:
            raise AssertionError

    caplog.set_level(logging.INFO)
    log = ConnectionLog(logger, "peer")
    log.debug("%s", Text())
    assert caplog.messages == []


def test_a_program_may_have_records_of_its_own(
    log: ConnectionLog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Record(logging.LogRecord):
        pass

    monkeypatch.setattr(logging, "_logRecordFactory", Record)
    log.info("connected")
    (record,) = caplog.records
    assert isinstance(record, Record)
    assert (record.getMessage(), record.peer) == ("192.0.2.1:5000: connected", "192.0.2.1:5000")  # type: ignore[attr-defined]


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


def test_another_outcome_passes_a_throttle_at_once_and_has_a_time_of_its_own() -> None:
    now = [100.0]
    throttle = Throttle(10.0, lambda: now[0])
    assert [throttle.count("not answered") for _ in range(3)] == [1, 0, 0]
    now[0] = 109.0
    assert throttle.count("answered") == 3
    now[0] = 118.9
    assert throttle.count("answered") == 0
    assert throttle.count("not answered") == 2
    assert throttle.count("not answered") == 0


def test_outcomes_that_take_turns_do_not_fill_the_log() -> None:
    now = [100.0]
    throttle = Throttle(10.0, lambda: now[0])
    assert [throttle.count(outcome) for outcome in ("answered", "unchanged") * 100] == [1, 1] + [0] * 198
    now[0] = 110.0
    assert [throttle.count(outcome) for outcome in ("answered", "unchanged") * 2] == [199, 1, 0, 0]


def test_nor_do_outcomes_that_are_made_up() -> None:
    now = [100.0]
    throttle = Throttle(10.0, lambda: now[0])
    assert sum(throttle.count(f"outcome {number}") for number in range(1000)) == MAX_OUTCOMES
    now[0] = 110.0
    assert throttle.count("another") == 1001 - MAX_OUTCOMES


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


# Formats


def formatted(formatter: logging.Formatter, caplog: pytest.LogCaptureFixture) -> list[str]:
    return [formatter.format(record) for record in caplog.records]


@pytest.mark.parametrize(
    ("level", "priority"),
    [("CRITICAL", 2), ("ERROR", 3), ("WARNING", 4), ("INFO", 6), ("DEBUG", 7)],
)
def test_the_journal_gets_a_priority_and_no_time(
    log: ConnectionLog, caplog: pytest.LogCaptureFixture, level: str, priority: int
) -> None:
    log.log(getattr(logging, level), "closed")
    assert formatted(JournalFormatter(), caplog) == [f"<{priority}>test: 192.0.2.1:5000: closed"]


def test_the_journal_gets_the_priority_with_each_line(caplog: pytest.LogCaptureFixture) -> None:
    logger.error("web-01.yaml:5: one fault\nweb-01.yaml:7: another")
    assert formatted(JournalFormatter(), caplog) == [
        "<3>test: web-01.yaml:5: one fault\n<3>web-01.yaml:7: another"
    ]


def test_json_is_an_object_a_line_with_peer_and_vm_of_their_own(
    log: ConnectionLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.debug("connected")
    log.is_about("Büro\n01", "ü 2")
    log.warning("%s answered", "REQUEST_METADATA")
    logger.error("one fault\nanother")
    lines = formatted(JSONFormatter(), caplog)
    assert all("\n" not in line for line in lines)
    entries = [json.loads(line) for line in lines]
    times = [entry.pop("time") for entry in entries]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time) for time in times)
    peer = "192.0.2.1:5000"
    assert entries == [
        {"level": "debug", "logger": "test", "peer": peer, "vm": None, "port": None, "message": "connected"},
        {
            "level": "warning",
            "logger": "test",
            "peer": peer,
            "vm": "Büro\n01",
            "port": "ü 2",
            "message": "REQUEST_METADATA answered",
        },
        {
            "level": "error",
            "logger": "test",
            "peer": None,
            "vm": None,
            "port": None,
            "message": "one fault\nanother",
        },
    ]


def test_a_line_for_people_has_the_time_as_logging_writes_it() -> None:
    formatter, usual = TextFormatter(), logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    for created in (0.5, 0.999999, 1.0, 1795426725.0071, 1795426725.9, 1795426726.0, 1795426725.1):
        record = logger.makeRecord("test", logging.INFO, "", 0, "said %d", (1,), None)
        record.created, record.msecs = created, int(created % 1 * 1000)
        assert formatter.format(record) == usual.format(record)


def test_json_has_the_time_in_utc() -> None:
    formatter = JSONFormatter()
    record = logger.makeRecord("test", logging.INFO, "", 0, "said", (), None)
    times = []
    for record.created, record.msecs in ((0.5, 500.0), (1795426725.0071, 7.0), (1795426726.0, 0.0)):
        times.append(json.loads(formatter.format(record))["time"])
    assert times == ["1970-01-01T00:00:00.500Z", "2026-11-23T09:38:45.007Z", "2026-11-23T09:38:46.000Z"]


def test_a_line_may_show_where_it_was_logged(caplog: pytest.LogCaptureFixture) -> None:
    logger.error("said", stack_info=True)
    (line,) = formatted(TextFormatter(), caplog)
    assert "said\nStack (most recent call last):\n" in line


@pytest.mark.parametrize("formatter", [TextFormatter(), JournalFormatter(), JSONFormatter()], ids=repr)
def test_what_an_exception_says_is_in_no_format(formatter: logging.Formatter) -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        line = formatter.format(
            logger.makeRecord("test", logging.ERROR, "", 0, "failed", (), exc_info=sys.exc_info())
        )
    assert f"ValueError in {__file__}:" in line
    assert SECRET not in line


@pytest.mark.parametrize(
    ("form", "under_systemd", "line"),
    [
        ("auto", False, r"\d{4}-\d\d-\d\d .* INFO test: said"),
        ("auto", True, r"<6>test: said"),
        ("text", True, r"\d{4}-\d\d-\d\d .* INFO test: said"),
        ("json", True, r'\{"time": .*"message": "said"\}'),
        ("json", False, r'\{"time": .*"message": "said"\}'),
    ],
)
def test_a_format_is_chosen(form: str, under_systemd: bool, line: str, tmp_path: Path) -> None:
    code = f"import logging; from vmw_cloudinit_metadata import log; log.set_up('info', {form!r}); "
    environment = {name: value for name, value in os.environ.items() if name != "JOURNAL_STREAM"}
    with (tmp_path / "journal").open("w+") as journal:
        status = os.fstat(journal.fileno())
        if under_systemd:
            environment["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
        command = [sys.executable, "-c", code + "logging.getLogger('test').info('said')"]
        subprocess.run(command, stderr=journal, check=True, env=environment)
        journal.seek(0)
        assert re.fullmatch(line + "\n", journal.read())
