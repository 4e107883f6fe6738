import base64
import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from tests.guest.conversation import NETWORKDATA, PAYLOADS, USERDATA, asked_for, response
from tests.guest.line import GUEST, PATIENCE, Guest, Pty
from tests.guest.machine import UUID, Machine
from vmw_cloudinit_guest import __version__, binding, cli, errors, fetch, paths, seed
from vmw_cloudinit_guest.documents import Documents


@pytest.fixture
def line() -> Iterator[Pty]:
    with contextlib.closing(Pty()) as line:
        yield line


@pytest.fixture
def seed_dir(tmp_path: Path) -> Path:
    return tmp_path / "seed"


def good_answer(name: str) -> bytes:
    return response(name, PAYLOADS[name])


def test_a_seed_comes_over_a_line_that_was_cooked_and_echoing(line: Pty, seed_dir: Path) -> None:
    before = line.settings()
    with contextlib.closing(Guest(line, "--port", line.path, "--seed-dir", str(seed_dir))) as guest:
        guest.serve(good_answer)
        ended = guest.end()
    assert ended.returncode == 0
    assert re.fullmatch(r"seed for i-0042 written from pts/\d+ in \d+\.\d s\n", ended.stdout)
    assert ended.stderr == ""
    assert (seed_dir / "user-data").read_bytes() == USERDATA
    assert (seed_dir / "network-config").read_bytes() == NETWORKDATA
    assert line.settings() == before


def test_noise_echoes_and_broken_answers_do_not_matter(line: Pty, seed_dir: Path) -> None:
    def noisy(name: str) -> bytes:
        return (
            b"\r\nDebian GNU/Linux 12 web-01 ttyS1\r\n\r\nweb-01 login: !!REQUEST_%b#\r\n" % name.encode()
            + b"!!RESPONSE_SECURITYDATA#aGk=\n\r[    1.2] usb 1-1: \xff\xfe!!\r\n"
            + b"!!RESPONSE_%b#%%broken\n\r" % name.encode()
            + good_answer(name)
        )

    with contextlib.closing(Guest(line, "--port", line.path, "--seed-dir", str(seed_dir))) as guest:
        guest.serve(noisy)
        assert guest.end().returncode == 0
    assert (seed_dir / "user-data").read_bytes() == USERDATA


def test_200_kib_of_user_data_come_whole_and_a_second_fetch_changes_nothing(
    line: Pty, seed_dir: Path
) -> None:
    data = bytes(range(256)) * 800
    written = []
    for _ in range(2):
        with contextlib.closing(Guest(line, "--port", line.path, "--seed-dir", str(seed_dir))) as guest:
            guest.serve(lambda name: response(name, data) if name == "USERDATA" else good_answer(name))
            ended = guest.end()
            assert ended.returncode == 0
        written.append((ended.stdout, {path: path.stat().st_mtime_ns for path in seed_dir.iterdir()}))
    assert (seed_dir / "user-data").read_bytes() == data
    assert re.match("seed for i-0042 unchanged", written[1][0])
    assert written[0][1] == written[1][1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_and_gives_the_port_back_as_it_was(
    line: Pty, seed_dir: Path, number: signal.Signals
) -> None:
    before = line.settings()
    with contextlib.closing(Guest(line, "--port", line.path, "--seed-dir", str(seed_dir))) as guest:
        guest.next_request()
        assert line.settings() != before
        guest.process.send_signal(number)
        ended = guest.end()
    assert ended.returncode == 128 + number
    assert ended.stderr == f"vmw-cloudinit-guest: stopped by {number.name}\n"
    assert line.settings() == before
    fcntl.flock(line.guest, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not seed_dir.exists()


def test_two_guests_at_once_for_one_port_end_well_one_after_the_other(line: Pty, tmp_path: Path) -> None:
    first_seed, second_seed = str(tmp_path / "first"), str(tmp_path / "second")
    with contextlib.closing(Guest(line, "--port", line.path, "--seed-dir", first_seed)) as first:
        assert first.next_request() == "METADATA"
        with contextlib.closing(Guest(line, "--port", line.path, "--seed-dir", second_seed)) as second:
            first.say(good_answer("METADATA"))
            for name in ("NETWORKDATA", "USERDATA", "METADATA"):
                assert first.next_request() == name
                first.say(good_answer(name))
            assert first.end().returncode == 0
            second.serve(good_answer)
            assert second.end().returncode == 0
    assert os.listdir(first_seed) == os.listdir(second_seed)


def test_the_dialogue_is_shown_on_request_and_never_its_contents(line: Pty, seed_dir: Path) -> None:
    secret = base64.b64encode(b"hunter2").decode()
    with contextlib.closing(Guest(line, "-v", "--port", line.path, "--seed-dir", str(seed_dir))) as guest:
        guest.serve(lambda name: response(name, b"hunter2") if name == "USERDATA" else good_answer(name))
        ended = guest.end()
    assert re.search(r"^pts/\d+ > REQUEST_METADATA from 0, at most 4096 bytes$", ended.stderr, re.MULTILINE)
    assert re.search(r"^pts/\d+ < RESPONSE_USERDATA 7 bytes$", ended.stderr, re.MULTILINE)
    assert "hunter2" not in ended.stdout + ended.stderr
    assert secret not in ended.stdout + ended.stderr


def test_a_name_from_outside_cannot_break_the_line_on_the_console(line: Pty, seed_dir: Path) -> None:
    metadata = '{"instance-id": "i\\n\\u001b[31mwéb"}'.encode()
    with contextlib.closing(Guest(line, "--port", line.path, "--seed-dir", str(seed_dir))) as guest:
        guest.serve(lambda name: response(name, metadata if name == "METADATA" else b""))
        ended = guest.end()
    assert ended.stdout.startswith("seed for i??[31mw\\xe9b written from")
    assert ended.stdout.count("\n") == 1


# What follows needs no second process.


def test_without_a_port_every_candidate_is_asked_and_a_useless_one_left_out(
    line: Pty, seed_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(fetch, "find_ports", lambda: ["/dev/null", line.path])
    assert cli.main(["fetch", "--seed-dir", str(seed_dir), "--timeout", "0.05"]) == 3
    assert asked_for(line.received())[0] == "METADATA"
    assert "nobody answers on pts/" in capsys.readouterr().err


def test_when_nobody_answers_nothing_on_the_disk_changes(line: Pty, seed_dir: Path, capsys: Any) -> None:
    assert cli.main(["fetch", "--port", line.path, "--seed-dir", str(seed_dir), "--timeout", "0.05"]) == 3
    assert not seed_dir.exists()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(
        r"vmw-cloudinit-guest: no answer within 0\.05 s: nobody answers on pts/\d+; check .*\n", captured.err
    )


def test_a_port_in_use_until_the_deadline_is_no_answer(line: Pty, seed_dir: Path, capsys: Any) -> None:
    fcntl.flock(line.guest, fcntl.LOCK_EX)
    assert cli.main(["fetch", "--port", line.path, "--seed-dir", str(seed_dir), "--timeout", "0.05"]) == 3
    assert re.search(r"pts/\d+ is in use by another program", capsys.readouterr().err)


def test_a_useless_answer_is_exit_code_4(line: Pty, seed_dir: Path) -> None:
    arguments = ["--port", line.path, "--seed-dir", str(seed_dir), "--timeout", "1"]
    with contextlib.closing(Guest(line, *arguments)) as guest:
        guest.next_request()
        guest.say(response("METADATA", b"[]"))
        ended = guest.end()
    assert ended.returncode == 4
    assert "the metadata is not a JSON object; correct the definition" in ended.stderr
    assert not seed_dir.exists()


def test_a_seed_that_cannot_be_written_is_exit_code_5(line: Pty, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["--port", line.path, "--seed-dir", str(tmp_path / "file" / "seed")]
    with contextlib.closing(Guest(line, *arguments)) as guest:
        guest.serve(good_answer)
        ended = guest.end()
    assert ended.returncode == 5
    assert re.fullmatch(r"vmw-cloudinit-guest: cannot write the seed .*: Not a directory; .*\n", ended.stderr)


@pytest.mark.parametrize("port", ["ttyS4711", "/dev/ttyS4711"])
def test_no_port_is_exit_code_6(port: str, seed_dir: Path, capsys: Any) -> None:
    assert cli.main(["fetch", "--port", port, "--seed-dir", str(seed_dir)]) == 6
    assert "/dev/ttyS4711 cannot be opened: No such file or directory" in capsys.readouterr().err


def test_no_port_found_is_exit_code_6(seed_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def none() -> List[str]:
        raise errors.NoPortError("no serial port to ask on: there is none")

    monkeypatch.setattr(fetch, "find_ports", none)
    assert cli.main(["fetch", "--seed-dir", str(seed_dir)]) == 6
    assert capsys.readouterr().err == (
        "vmw-cloudinit-guest: no serial port to ask on: there is none; "
        "without a seed, cloud-init goes on without a datasource\n"
    )


@pytest.mark.parametrize(
    ("arguments", "program", "reason"),
    [
        ([], "", "the following arguments are required: COMMAND"),
        (["--bogus", "status"], "", "unrecognized arguments: --bogus"),
        (["guess"], "", "argument COMMAND: invalid choice: 'guess'.*"),
        (["fetch", "--timeout", "0"], " fetch", "argument --timeout: '0' is not a number of seconds above 0"),
        (["fetch", "--timeout", "-1"], " fetch", "argument --timeout: .*"),
        (["fetch", "--timeout", "nan"], " fetch", "argument --timeout: .*"),
        (["fetch", "--timeout", "inf"], " fetch", "argument --timeout: .*"),
        (["fetch", "--timeout", "soon"], " fetch", "argument --timeout: .*"),
        (["fetch", "--timeout", "601"], " fetch", "argument --timeout: 601 s is more than 600, .*"),
        (["fetch", "--bogus"], " fetch", "unrecognized arguments: --bogus"),
        (["fetch", "ttyS1"], " fetch", "unrecognized arguments: ttyS1"),
        (["enable", "now"], " enable", "unrecognized arguments: now"),
        (["status", "--format", "yaml"], " status", "argument --format: invalid choice: 'yaml'.*"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_one_line(
    arguments: List[str], program: str, reason: str, capsys: Any
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    program = f"vmw-cloudinit-guest{program}"
    assert re.fullmatch(f"{program}: {reason}; see '{program} --help'\n", capsys.readouterr().err)


@pytest.mark.parametrize("command", ["enable", "disable", "seal", "status"])
@pytest.mark.parametrize("kind", ["file", "missing"])
def test_a_root_that_is_no_directory_is_wrong_usage(
    command: str, kind: str, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--root", str(tmp_path / kind)])
    assert ended.value.code == 2
    assert f"argument --root: {tmp_path / kind} is not a directory; see" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["status"], ["--help"], ["fetch", "--help"], ["--version"]])
@pytest.mark.parametrize("unbuffered", [[], ["-u"]])
def test_when_nobody_reads_on_it_ends_without_a_word(arguments: List[str], unbuffered: List[str]) -> None:
    """As in ``status | head -1``; without buffer, argparse meets the broken pipe itself."""
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-B", *unbuffered, "-m", "vmw_cloudinit_guest", *arguments],
        env={**os.environ, "PYTHONPATH": str(GUEST)},
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
    )
    os.close(writer)
    assert ended.stderr == b""
    assert ended.returncode in (0, 1)  # whatever status has to say


@pytest.mark.parametrize(("option", "code"), [([], 3), (["--boot"], 0)])
def test_at_boot_an_old_seed_that_stays_is_an_orderly_end_and_a_warning(
    line: Pty, seed_dir: Path, option: List[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(binding, "product_uuid", lambda root: UUID.replace("-", ""))
    state = binding.State(UUID.replace("-", ""), "i-0042", "ttyS1", 0)
    documents = Documents(b'{"instance-id": "i-0042"}', None, b"")
    seed.write(str(seed_dir), documents, binding.to_bytes(state))
    arguments = ["--port", line.path, "--seed-dir", str(seed_dir), "--timeout", "0.05"]
    assert cli.main(["fetch", *option, *arguments]) == code
    said = capsys.readouterr().err
    assert said.endswith("; the seed of i-0042 stays\n")
    assert said.startswith("vmw-cloudinit-guest: warning: no answer") == (code == 0)


def test_at_a_first_boot_no_answer_stays_an_error(line: Pty, seed_dir: Path, capsys: Any) -> None:
    arguments = ["--port", line.path, "--seed-dir", str(seed_dir), "--timeout", "0.05"]
    assert cli.main(["fetch", "--boot", *arguments]) == 3
    assert capsys.readouterr().err.startswith("vmw-cloudinit-guest: no answer")


def test_every_error_has_its_exit_code_and_every_exit_code_is_in_the_help(capsys: Any) -> None:
    assert set(cli.EXIT_CODES) == {*errors.GuestError.__subclasses__(), errors.SeedStaysError}
    with pytest.raises(SystemExit) as ended:
        cli.main(["fetch", "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    of_fetch = [code for code in cli.ExitCode if code != cli.ExitCode.NOT_READY]
    assert re.findall(r"^  (\d)  ", shown, re.MULTILINE) == [str(int(code)) for code in of_fetch]


def test_the_version_is_shown(capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"vmw-cloudinit-guest {__version__}\n"


def test_signal_handlers_are_as_before_afterwards(line: Pty, seed_dir: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    cli.main(["fetch", "--port", line.path, "--seed-dir", str(seed_dir), "--timeout", "0.01"])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_mistake_in_the_usual_file_is_a_warning_and_the_other_lines_count(
    line: Pty, seed_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    conf = tmp_path / "conf"
    conf.write_text(f"first-boot-timeout = 0.05\nlater-boot-timeout = soon\nport = {line.path}\n")
    monkeypatch.setattr(paths, "CONFIG", str(conf))
    assert cli.main(["fetch", "--seed-dir", str(seed_dir)]) == 3
    warning, error = capsys.readouterr().err.splitlines()
    assert warning == (
        f"vmw-cloudinit-guest: warning: {conf}:2: 'soon' is not a number of seconds above 0; passed over"
    )
    assert "no answer within 0.05 s: nobody answers on pts/" in error


def test_a_mistake_in_a_file_that_is_named_is_exit_code_2_and_nobody_is_asked(
    line: Pty, seed_dir: Path, tmp_path: Path, capsys: Any
) -> None:
    conf = tmp_path / "conf"
    arguments = ["fetch", "--config", str(conf), "--port", line.path, "--seed-dir", str(seed_dir)]
    assert cli.main(arguments) == 2
    conf.write_text("prot = ttyS1\nport\n")
    assert cli.main(arguments) == 2
    missing, faults = capsys.readouterr().err.splitlines()
    assert missing == f"vmw-cloudinit-guest: {conf}: cannot be read: No such file or directory"
    assert faults.startswith(f"vmw-cloudinit-guest: {conf}:1: 'prot' is not a key")
    assert f"; {conf}:2: 'port' is not of the form" in faults
    assert line.received() == b""


def test_flags_win_over_the_configuration(line: Pty, seed_dir: Path, tmp_path: Path, capsys: Any) -> None:
    conf = tmp_path / "conf"
    conf.write_text(f"port = ttyS4711\nfirst-boot-timeout = 60\nseed-directory = {tmp_path}/other\n")
    flags = ["--port", line.path, "--seed-dir", str(seed_dir), "--timeout", "0.05"]
    assert cli.main(["fetch", "--config", str(conf), *flags]) == 3
    assert asked_for(line.received())[0] == "METADATA"
    assert "no answer within 0.05 s" in capsys.readouterr().err


def test_enable_status_seal_and_disable_work_on_an_image(tmp_path: Path, capsys: Any) -> None:
    machine = Machine(tmp_path)
    machine.has_units_enabled()
    for command in (
        ["enable", "--at-install"],
        ["enable"],
        ["status"],
        ["seal"],
        ["disable"],
    ):
        assert cli.main([*command, "--root", machine.root]) == 0, command
    assert cli.main(["status", "--root", machine.root]) == 1
    assert capsys.readouterr().err == ""


def test_what_cannot_be_enabled_is_exit_code_5(tmp_path: Path, capsys: Any) -> None:
    assert cli.main(["enable", "--root", str(tmp_path)]) == 5
    assert re.fullmatch(
        "vmw-cloudinit-guest: there is no .*: enable, disable and seal belong to the package "
        "vmw-cloudinit-guest, which is not installed here\n",
        capsys.readouterr().err,
    )


@pytest.mark.parametrize("command", ["enable", "seal"])
def test_enable_and_seal_warn_of_what_defeats_the_seed(command: str, tmp_path: Path, capsys: Any) -> None:
    machine = Machine(tmp_path)
    machine.has_units_enabled()
    machine.write(paths.CLOUD_INIT_DISABLED, "")
    assert cli.main([command, "--root", machine.root]) == 0
    captured = capsys.readouterr()
    assert "asks over the serial port" not in captured.out
    assert captured.err == (
        f"vmw-cloudinit-guest: warning: {machine.path(paths.CLOUD_INIT_DISABLED)} is there: "
        "neither cloud-init nor this runs at boot; remove it\n"
    )
