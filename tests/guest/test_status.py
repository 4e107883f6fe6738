import json
from pathlib import Path

import pytest

from tests.guest.machine import OTHER_UUID, UUID, Machine
from vmw_cloudinit_guest import binding, cli, paths, seed
from vmw_cloudinit_guest.binding import Scrub, State
from vmw_cloudinit_guest.config import Settings
from vmw_cloudinit_guest.documents import Documents
from vmw_cloudinit_guest.status import as_lines, gather

SECRET = b"#cloud-config\npassword: hunter2\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.has_uuid(UUID)
    return machine


def has_seed(machine: Machine, uuid: str = UUID) -> None:
    state = State(uuid.replace("-", ""), "i-0042", "ttyS1", 1700000000)
    documents = Documents(b'{"instance-id": "i-0042", "secret": "hunter2"}\n', None, SECRET)
    seed.write(str(machine.path(paths.SEED_DIRECTORY)), documents, binding.to_bytes(state))


def is_ready(machine: Machine) -> None:
    machine.is_enabled()
    machine.has_units_enabled()


def test_a_vm_as_it_should_be_after_its_first_boot(machine: Machine) -> None:
    is_ready(machine)
    has_seed(machine)
    machine.is_provisioned()
    directory = machine.path(paths.SEED_DIRECTORY)
    assert as_lines(gather(Settings(), [], machine.root)) == [
        "next boot:   asks",
        "drop-in:     enabled",
        "unit:        enabled",
        "cloud-init:  has provisioned this VM",
        f"seed:        i-0042 in {directory}; the seed is this machine's",
        "last answer: i-0042 from ttyS1, 2023-11-14 22:13:20 UTC by the clock at boot",
        f"machine:     {UUID.replace('-', '')}, the seed is bound to {UUID.replace('-', '')}",
        "cards:       none",
        "scrub:       no; user-data of this instance is as it came",
        "reports:     unit enabled; none to be sent again",
    ]


def test_a_vm_in_which_nothing_has_happened(machine: Machine) -> None:
    assert as_lines(gather(Settings(), ["conf:1: a fault"], machine.root))[:-1] == [
        "next boot:   does not ask",
        "drop-in:     not enabled",
        "unit:        disabled",
        "cloud-init:  has not provisioned this VM",
        f"seed:        none in {machine.path(paths.SEED_DIRECTORY)}",
        f"machine:     {UUID.replace('-', '')}, the seed is bound to none",
        "cards:       none",
        "scrub:       no",
        "reports:     unit disabled; none to be sent again",
        "warning:     conf:1: a fault",
    ]


def test_the_cards_are_told_in_bus_order_and_what_the_seed_makes_of_them(machine: Machine) -> None:
    machine.has_nic("eth0", "00:50:56:00:00:0b", "0000:0b:00.0")
    machine.has_nic("ens160", "00:50:56:00:00:0a", "0000:03:00.0")
    status = gather(Settings(), [], machine.root)
    assert "cards:       1 is ens160 00:50:56:00:00:0a, 2 is eth0 00:50:56:00:00:0b" in as_lines(status)
    state = State(None, "i-0042", "ttyS1", 0, macs={"eth0": "00:50:56:00:00:0a", "eth1": None})
    machine.write(paths.SEED_DIRECTORY + ".state", binding.to_bytes(state).decode())
    status = gather(Settings(), [], machine.root)
    assert (
        "cards:       1 is ens160 00:50:56:00:00:0a, 2 is eth0 00:50:56:00:00:0b; "
        "in the seed, eth0 is 00:50:56:00:00:0a, eth1 is none of them"
    ) in as_lines(status)
    assert status["nics"] == {
        "found": [
            {"name": "ens160", "mac": "00:50:56:00:00:0a"},
            {"name": "eth0", "mac": "00:50:56:00:00:0b"},
        ],
        "filled_in": {"eth0": "00:50:56:00:00:0a", "eth1": None},
    }


@pytest.mark.parametrize(
    ("scrub", "line"),
    [
        (
            Scrub.BEGUN,
            "yes; user-data of this instance is blank, cloud-init's copies of it are not all deleted",
        ),
        (Scrub.DONE, "yes; user-data of this instance is blank, and cloud-init's copies of it are deleted"),
    ],
)
def test_how_far_it_is_scrubbed_is_told(machine: Machine, scrub: Scrub, line: str) -> None:
    has_seed(machine)
    directory = str(machine.path(paths.SEED_DIRECTORY))
    state = binding.from_bytes(seed.state(directory))
    assert state
    documents = Documents(b'{"instance-id": "i-0042"}\n', None, b"")
    seed.write(directory, documents, binding.to_bytes(state._replace(scrub=scrub)))
    status = gather(Settings(scrub=True), [], machine.root)
    assert status["scrub"] == {"wanted": True, "state": scrub.value}
    assert f"scrub:       {line}" in as_lines(status)


def test_reports_that_wait_are_told_by_their_stages(machine: Machine) -> None:
    has_seed(machine)
    kept = b'{"stage": "seed", "hostname": "hunter2"}\n{"stage": "final"}\n'
    seed.keep_reports(str(machine.path(paths.SEED_DIRECTORY)), kept)
    status = gather(Settings(), [], machine.root)
    assert status["reports"] == {"unit": "disabled", "pending": ["seed", "final"]}
    assert "reports:     unit disabled; seed and final to be sent again" in as_lines(status)


def test_a_clone_and_a_seed_by_hand_are_told(machine: Machine) -> None:
    has_seed(machine, OTHER_UUID)
    assert gather(Settings(), [], machine.root)["seed"]["standing"] == "anothers"
    (machine.path(paths.SEED_DIRECTORY) / "meta-data").write_text("instance-id: by-hand\n")
    assert "an instance in" in "\n".join(as_lines(gather(Settings(), [], machine.root)))
    Path(seed.state_path(str(machine.path(paths.SEED_DIRECTORY)))).unlink()
    assert gather(Settings(), [], machine.root)["seed"]["standing"] == "unbound"


def test_exit_code_and_json_say_whether_the_next_boot_asks(
    machine: Machine, capsys: "pytest.CaptureFixture[str]"
) -> None:
    assert cli.main(["status", "--root", machine.root, "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["ready"] is False
    is_ready(machine)
    assert cli.main(["status", "--root", machine.root, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["ready"] is True


@pytest.mark.parametrize(
    ("path", "content"),
    [("/etc/cloud/cloud-init.disabled", ""), ("/proc/cmdline", "cloud-init=disabled\n")],
)
def test_a_boot_in_which_cloud_init_is_switched_off_does_not_ask(
    machine: Machine, path: str, content: str, capsys: "pytest.CaptureFixture[str]"
) -> None:
    is_ready(machine)
    machine.write(path, content)
    assert cli.main(["status", "--root", machine.root]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("next boot:   does not ask\n")
    assert "neither cloud-init nor this runs at boot" in shown


def test_where_the_machine_is_not_known_the_seed_is_only_taken_to_be_its_own(machine: Machine) -> None:
    has_seed(machine)
    machine.path("/sys/class/dmi/id/product_uuid").unlink()
    lines = as_lines(gather(Settings(), [], machine.root))
    assert lines[4].endswith("; the seed is taken to be this machine's")
    assert f"machine:     not known, the seed is bound to {UUID.replace('-', '')}" in lines


def test_without_cloud_init_it_says_so(machine: Machine) -> None:
    machine.path("/usr/lib/python3/dist-packages/cloudinit/cmd/clean.py").unlink()
    assert gather(Settings(), [], machine.root)["warnings"][0].startswith("cloud-init is not installed")


@pytest.mark.parametrize("format_", ["text", "json"])
def test_what_defeats_the_seed_is_told_and_no_contents_are(
    machine: Machine, format_: str, capsys: "pytest.CaptureFixture[str]"
) -> None:
    has_seed(machine)
    machine.write("/proc/cmdline", "ds=ec2\n")
    machine.write(paths.CONFIG, "prot = ttyS1\n")
    cli.main(["status", "--root", machine.root, "--format", format_])
    shown = capsys.readouterr().out
    assert "ds= on the kernel command line" in shown
    assert "vmw-cloudinit-guest.conf:1: 'prot' is not a key" in shown
    assert "hunter2" not in shown


def test_the_seed_directory_of_the_configuration_counts(
    machine: Machine, capsys: "pytest.CaptureFixture[str]"
) -> None:
    machine.write(paths.CONFIG, "seed-directory = /srv/seed\n")
    cli.main(["status", "--root", machine.root])
    assert f"none in {machine.path('/srv/seed')}" in capsys.readouterr().out
