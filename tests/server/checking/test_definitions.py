from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.checking.installed import install
from tests.server.checking.test_ssh_keys import ED25519
from tests.support.definitions import LEAST, SECRET
from vmw_cloudinit_metadata.checking import definitions
from vmw_cloudinit_metadata.checking.cloudinit import find_cloud_init
from vmw_cloudinit_metadata.checking.definitions import Checker
from vmw_cloudinit_metadata.checking.notes import Checked
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.errors import DriverBusyError

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

UUID = "5012ab34-cd56-4e78-9012-3456789abcde"


class Site:
    """A directory of definitions, and what is found in one of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.options: dict[str, Any] = {}
        self.seconds = 120.0
        self.cloud_init = find_cloud_init([install(path / "_installed")])

    def write(self, name: str, text: str | bytes) -> str:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(file)

    def driver(self) -> FileDriver:
        return FileDriver({"directory": str(self.path), **self.options})

    def check(self, name: str) -> Checked:
        return Checker(self.driver(), self.cloud_init, self.seconds).check(str(self.path / name))

    def found(self, name: str = "web-01.yaml") -> list[str]:
        """Faults, and then warnings."""
        found = self.check(name)
        lines = [str(fault) for fault in found.faults] + [f"? {warning}" for warning in found.warnings]
        return [line.replace(f"{self.path}/", "") for line in lines]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_definition_that_is_not_served_has_its_faults_and_still_its_name(site: Site) -> None:
    site.write("web-01.yaml", "metadata: {hostname: a b}\ntokn: x\n")
    assert [line.partition(": ")[0] for line in site.found()] == ["web-01.yaml:1", "web-01.yaml:2"]
    assert [(claim.kind, claim.vm) for claim in site.check("web-01.yaml").claims] == [("file", "web-01")]


def test_one_that_is_not_there_or_changes_all_the_time_is_a_fault(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert site.found("gone.yaml") == ["gone.yaml: cannot be read: there is no such file"]

    def busy(*_: object) -> None:
        raise DriverBusyError("changes while it is read", 1)

    monkeypatch.setattr(FileDriver, "load", busy)
    assert site.found() == ["web-01.yaml: changes while it is read"]


def test_what_it_claims_is_what_its_instance_has(site: Site) -> None:
    site.write("_defaults.yaml", "network: {address: 192.0.2.1/24}\n")
    site.write("web-01.yaml", LEAST + f"match: {{vc-uuid: {UUID}}}\n")
    claims = site.check("web-01.yaml").claims
    assert [f"{claim.kind} {claim.value} {claim.place}".replace(f"{site.path}/", "") for claim in claims] == [
        "file web-01 web-01.yaml",
        "instance-id i-0042 web-01.yaml:1",
        f"vc-uuid {UUID} web-01.yaml:2",
        "address 192.0.2.1 _defaults.yaml:1",
    ]


def test_ssh_keys_are_read_wherever_they_stand(site: Site) -> None:
    site.write(
        "web-01.yaml",
        f"metadata:\n  hostname: a\n  public_keys:\n    - {ED25519}\n    - ssh-rsa {SECRET}\n"
        f"userdata:\n  ssh_authorized_keys: [{ED25519}, {SECRET}]\n",
    )
    broken = "is not whole base64: it was cut, or broken over two lines; copy the whole line again"
    no_type = "is of no type that sshd knows; a key is a line such as 'ssh-ed25519 AAAA… comment'"
    assert site.found() == [
        f"web-01.yaml:5: metadata.public_keys[1]: {broken}",
        f"web-01.yaml:7: userdata.ssh_authorized_keys[1]: {no_type}",
    ]


def test_of_several_vms_what_all_have_is_said_once(site: Site) -> None:
    site.write(
        "web.yaml",
        "vms: {a: {key: x}, b: {key: y}, 'c-*': {key: z}}\n"
        "metadata: {hostname: '{{ vm.name }}', public-keys: ['{{ vm.key }}']}\n"
        "userdata: |\n  #cloud-config\n  packages: '{{ vm.name }}'\n",
    )
    no_type = "is of no type that sshd knows; a key is a line such as 'ssh-ed25519 AAAA… comment'"
    assert site.found("web.yaml") == [
        f"web.yaml:2: metadata.public-keys[0]: {no_type}",
        "? web.yaml:3: userdata.packages: is not a list (its line 2; schema of cloud-init 25.1.4)",
    ]
    found = site.check("web.yaml")
    assert [(claim.kind, claim.vm) for claim in found.claims] == [("vms", "a"), ("vms", "b")]
    assert [pattern.samples for pattern in found.patterns] == [["c-1", "c-2"]]


def test_what_is_wrong_for_one_vm_alone_is_found(site: Site) -> None:
    site.write(
        "web.yaml",
        "vms: {a: {ip: 192.0.2.1}, b: {ip: 192.0.2.256}, c: {}}\nmetadata: {hostname: a}\n"
        "network: {address: '{{ vm.ip }}/24'}\n",
    )
    assert site.found("web.yaml") == [
        "web.yaml:3: network.address: is not an IPv4 address (for the VM b)",
        "web.yaml:3: network.address: {{ vm.ip }} is no field of this VM (for the VM c)",
    ]
    (address,) = (claim for claim in site.check("web.yaml").claims if claim.kind == "address")
    assert (address.vm, address.value) == ("a", "192.0.2.1")


def test_a_pattern_may_be_there_for_what_named_vms_have_in_common(site: Site) -> None:
    site.write(
        "web.yaml",
        "vms: {'web-*': {role: web}, web-01: {ip: 192.0.2.1}}\n"
        "metadata: {hostname: '{{ vm.name }}', tags: ['{{ vm.role }}']}\n"
        "network: {address: '{{ vm.ip }}/24'}\n",
    )
    assert site.found("web.yaml") == [
        "? web.yaml:3: network.address: {{ vm.ip }} is no field of this VM (for a VM such as web-1)"
    ]


def test_user_data_that_takes_long_is_a_warning_of_its_key(site: Site) -> None:
    site.seconds = 1
    site.write(
        "web-01.yaml", LEAST + f"vendordata: |\n  #!/bin/sh\n  {'x' * 8640}\nuserdata: |\n  #!/bin/sh\n"
    )
    assert site.found() == [
        "? web-01.yaml:2: vendordata: is 8,651 bytes long, 1 s on a serial line of 115200 baud;"
        " a guest at its first boot waits 1 s"
    ]


def test_default_user_data_is_not_the_author_s(site: Site) -> None:
    site.write("web-01.yaml", LEAST)
    site.seconds = 0
    assert site.found() == []


def test_what_was_remarked_is_kept_for_so_many_user_data(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions, "_MAX_KEPT", 2)
    checker = Checker(site.driver(), None, 120)
    for number in (*range(5), 1):
        path = site.write("web-01.yaml", LEAST + f"userdata: '{number}'\n")
        assert len(checker.check(path).warnings) == 1
        assert len(checker._kept) <= 2


def test_of_many_remarks_the_first_are_told(site: Site) -> None:
    lines = "".join(f"    - {number:04o}\n" for number in range(1, 201))
    site.write("web-01.yaml", LEAST + f"userdata: |\n  #cloud-config\n  a:\n{lines}")
    site.cloud_init = None
    octal = "is octal to YAML 1.1, since it begins with 0; quote it"
    assert site.found() == [
        *(f"? web-01.yaml:{line}: userdata: {octal}" for line in range(5, 105)),
        "? web-01.yaml:2: userdata: and 100 more",
    ]


# By what the driver finds it


def test_what_no_vm_is_called_matters_where_definitions_are_found_by_name(site: Site) -> None:
    site.write("a%2Fb.yaml", LEAST + f"match: {{vc-uuid: {UUID}}}\n")
    assert site.found("a%2Fb.yaml") == [
        "? a%2Fb.yaml: is called what no VM is: vSphere writes a%2fb; rename it to that"
    ]
    site.options = {"find-by": ["vc-uuid"]}
    assert site.found("a%2Fb.yaml") == []
    assert [claim.kind for claim in site.check("a%2Fb.yaml").claims] == ["instance-id", "vc-uuid"]


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({}, []),
        ({"find-by": ["vc-uuid", "name"]}, []),
        ({"find-by": ["vc-uuid"]}, ["web-01.yaml: match: is missing; find-by looks for nothing else"]),
        ({"require-match": True}, ["web-01.yaml: match: is missing; require-match serves nobody without"]),
    ],
)
def test_what_is_served_to_nobody_without_match_is_a_fault(
    options: dict[str, Any], lines: list[str], site: Site
) -> None:
    site.options = options
    site.write("web-01.yaml", LEAST)
    assert site.found() == lines
    site.write("web-01.yaml", LEAST + f"match: {{vc-uuid: {UUID}}}\n")
    assert site.found() == []


def test_a_byte_order_mark_is_a_warning(site: Site) -> None:
    site.write("web-01.yaml", b"\xef\xbb\xbf" + LEAST.encode())
    assert site.found() == [
        "? web-01.yaml: begins with a byte order mark, which not all programs pass over; save it without"
    ]


def test_a_whole_network_config_is_held_against_the_schema_of_its_version(site: Site) -> None:
    vlan = "{type: vlan, name: v, vlan_id: 5, vlan_link: a}"
    config = f"{{version: 1, config: [{{type: physical, name: a}}, {vlan}]}}"
    objection = "network{}.config[1].type: is not physical or nameserver (schema of cloud-init 25.1.4)"
    site.write("web-01.yaml", LEAST + f"network: {config}\n")
    assert site.found() == [f"? web-01.yaml:2: {objection.format('')}"]
    site.write("web-01.yaml", LEAST + f"network: {{network: {config}}}\n")
    assert site.found() == [f"? web-01.yaml:2: {objection.format('.network')}"]


# What is in a definition, and in the user-data of one without fault


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("garbage")


PIECES = st.sampled_from(
    [
        *("metadata:", "{hostname: a}", "network:", "userdata: |\n  #cloud-config\n  ", "vms: [a, 'b-*']\n"),
        *("{{ vm.name }}", "MIME-Version: 1.0\n", "#!/bin/sh", "  ", "- ", ": ", "0644", "[", "]", "'", "\n"),
    ]
)
GARBAGE = st.binary() | st.lists(PIECES | st.text(max_size=3)).map(lambda pieces: "".join(pieces).encode())


def told(directory: Path, name: str) -> list[str]:
    found = Checker(FileDriver({"directory": str(directory)}), None, 120).check(f"{directory}/{name}")
    return [str(each) for each in (*found.faults, *found.warnings)]


@given(GARBAGE)
@patient
def test_garbage_is_told_and_never_raised(directory: Path, data: bytes) -> None:
    (directory / "web-01.yaml").write_bytes(data)
    assert all(line.isprintable() for line in told(directory, "web-01.yaml"))


@given(GARBAGE)
@patient
def test_nor_is_garbage_in_user_data(directory: Path, data: bytes) -> None:
    (directory / "file").write_bytes(b"#cloud-config\n" + data)
    (directory / "web-02.yaml").write_text("metadata: {hostname: a}\nuserdata: {file: file}\n")
    assert all(line.isprintable() for line in told(directory, "web-02.yaml"))


def test_what_is_doubtful_in_metadata_has_its_place(site: Site) -> None:
    site.write(
        "web-01.yaml", "metadata:\n  local-hostname: web_01\n  public-key: [a]\n  tags: ['{{ vm.x }}']\n"
    )
    assert [line.split(": ")[:2] for line in site.found()] == [
        ["? web-01.yaml:4", "metadata.tags[0]"],
        ["? web-01.yaml:2", "metadata.local-hostname"],
        ["? web-01.yaml:3", "metadata.public-key"],
    ]
