"""Signals that end the program while it is being ended."""

import os
import signal

import pytest

from vmw_cloudinit_guest import cli


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_second_signal_does_not_disturb_the_tidying_up_after_the_first(number: signal.Signals) -> None:
    steps = []

    def act_and_tidy_up() -> None:
        with cli._signals_raised():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                steps.append("went on")
            finally:
                os.kill(os.getpid(), number)
                steps.append("tidied up")

    with pytest.raises(cli._Stopped):
        act_and_tidy_up()
    assert steps == ["tidied up"]
