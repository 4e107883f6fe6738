from pathlib import Path
from typing import Any, List

import pytest

from vmw_cloudinit_guest import after_boot, cli
from vmw_cloudinit_guest.errors import NoPortError, ReportError, SeedError

Capture = pytest.CaptureFixture[str]


class After:
    """What follows a boot, as a test wants it to end."""

    def __init__(self, directory: Path) -> None:
        self.configuration = directory / "conf"
        self.done: List[str] = []
        self.scrubbing: Any = ["scrubbed"]
        self.reporting: Any = "reported"

    def scrub(self, seed: str, result: Any, warn: Any) -> List[str]:
        assert seed == "/seeds/nocloud"
        self.done.append("scrub")
        if isinstance(self.scrubbing, Exception):
            raise self.scrubbing
        lines: List[str] = self.scrubbing
        return lines

    def report(self, seed: str, result: Any, trace: Any) -> str:
        assert seed == "/seeds/nocloud"
        self.done.append("report")
        trace("> a packet")
        if isinstance(self.reporting, Exception):
            raise self.reporting
        return str(self.reporting)

    def __call__(self, *arguments: str, scrub: str = "no") -> int:
        self.configuration.write_text(f"seed-directory = /seeds/nocloud\nscrub = {scrub}\n")
        return cli.main(["report", "--config", str(self.configuration), *arguments])


@pytest.fixture
def after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> After:
    after = After(tmp_path)
    monkeypatch.setattr(after_boot, "scrub_if_it_may_be", after.scrub)
    monkeypatch.setattr(after_boot, "send_report", after.report)
    return after


def test_a_report_by_hand_is_a_report_and_no_more(after: After, capsys: Capture) -> None:
    assert after(scrub="yes") == 0
    assert after.done == ["report"]
    assert capsys.readouterr().out == "reported\n"


@pytest.mark.parametrize(("error", "code"), [(ReportError("nobody"), 3), (NoPortError("gone"), 6)])
def test_by_hand_what_goes_wrong_is_an_exit_code_and_a_line(
    after: After, error: Exception, code: int, capsys: Capture
) -> None:
    after.reporting = error
    assert after() == code
    assert capsys.readouterr().err == f"vmw-cloudinit-guest: {error}\n"


def test_the_unit_scrubs_first_where_that_is_wanted(after: After, capsys: Capture) -> None:
    assert after("--boot", scrub="yes") == 0
    assert after.done == ["scrub", "report"]
    assert capsys.readouterr().out == "scrubbed\nreported\n"


def test_the_unit_does_not_scrub_where_nobody_wants_it(after: After) -> None:
    assert after("--boot") == 0
    assert after.done == ["report"]


@pytest.mark.parametrize("error", [ReportError("nobody"), NoPortError("gone"), SeedError("disk full")])
def test_a_report_that_nobody_takes_does_not_fail_the_unit(
    after: After, error: Exception, capsys: Capture
) -> None:
    after.reporting = error
    assert after("--boot") == 0
    assert capsys.readouterr().err == f"{error}\n"


def test_a_secret_that_stays_fails_the_unit_and_the_report_goes_out(after: After, capsys: Capture) -> None:
    after.scrubbing = SeedError("cannot delete obj.pkl")
    assert after("--boot", scrub="yes") == 5
    assert after.done == ["scrub", "report"]
    assert capsys.readouterr().err == "vmw-cloudinit-guest: cannot delete obj.pkl\n"


def test_the_dialogue_is_shown_where_it_is_asked_for(after: After, capsys: Capture) -> None:
    after()
    assert capsys.readouterr().err == ""
    after("--verbose")
    assert capsys.readouterr().err == "> a packet\n"
