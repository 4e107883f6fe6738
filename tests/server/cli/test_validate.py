import importlib

import pytest

from tests.server.checking.test_ssh_keys import ED25519
from tests.server.cli.validated import Validated
from tests.support.definitions import LEAST, SECRET
from vmw_cloudinit_metadata.cli.validate import NO_CLOUD_INIT

BOM = "begins with a byte order mark, which not all programs pass over; save it without"
OF_SCHEMA = "schema of cloud-init 25.1.4"
SUFFIXES = "is served to no VM: the names of definitions end with .yaml or .yml, in small letters"

GOOD = f"""\
metadata:
  instance-id: i-0042
  hostname: web-01
  public-keys: [{ED25519} admin]
network:
  mac: 00:50:56:01:02:03
  address: 192.0.2.10
  netmask: 255.255.255.0
  gateway: 192.0.2.1
userdata: |
  #cloud-config
  packages: [nginx]
vendordata: {{package_update: true}}
"""


def test_of_good_definitions_nothing_is_said_but_how_many_they_are(validated: Validated) -> None:
    validated.write("web-01.yaml", GOOD)
    validated.write("group/_defaults.yaml", "network: {dhcp4: true}\n")
    validated.write("group/web-02.yaml", LEAST.replace("i-0042", "i-0043"))
    validated.write("README", "no definition")
    assert validated.validate() == (
        0,
        "2 definitions, 0 faults, 0 warnings (with the schemas of cloud-init 25.1.4)\n",
        "",
    )


def test_without_cloud_init_its_schemas_are_not_used(
    validated: Validated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        importlib.import_module("vmw_cloudinit_metadata.cli.validate"), "find_cloud_init", lambda: None
    )
    validated.write("web-01.yaml", LEAST + "userdata: {packages: nginx}\n")
    assert validated.validate() == (
        0,
        f"1 definition, 0 faults, 0 warnings ({NO_CLOUD_INIT})\n",
        "",
    )


# One definition, and what is said of it


FAULTS = [
    ("", ["1: the file is empty"]),
    ("metadata:\n\thostname: a\n", ["2: a tab stands where YAML wants spaces"]),
    (
        "metadata: {hostname: web 01}\nnetwork: {address: 10.0.0.300/24}\n",
        [
            "1: metadata.hostname: 'web 01' is not a host name"
            " (text without spaces, of at most 253 characters)",
            "2: network.address: '10.0.0.300/24' is not an IPv4 address",
        ],
    ),
    (
        f"metadata:\n  instance-id: i\n  hostname: a\n  public-keys:\n    - {ED25519}\n    - ssh-rsa AAAA\n",
        ["6: metadata.public-keys[1]: ends in its middle: it was cut; copy the whole line again"],
    ),
    (
        LEAST + "network: {address: 192.0.2.10/24, gateway: 198.51.100.1}\n",
        [
            "2: warning: network.gateway: 198.51.100.1 is outside the card's networks, which guests with"
            " netplan or networkd take from cloud-init 25 on"
        ],
    ),
    # User-data that is text: lines are those of the file where it is a literal block
    (
        LEAST + "userdata: packages [nginx]\n",
        [
            "2: warning: userdata: begins with no header that cloud-init knows, such as #cloud-config or #!,"
            " and so does nothing"
        ],
    ),
    (
        LEAST + "vendordata: I2Nsb3VkLWNvbmZpZwo=\n",
        [
            "2: vendordata: is base64, which cloud-init does not decode;"
            " say so with content: and encoding: base64"
        ],
    ),
    (
        LEAST + "userdata: |\n  #cloud-config\n  packages: [nginx]\n\tx: y\n  bootcmd: []\n",
        ["5: a tab stands where YAML wants spaces"],
    ),
    (
        LEAST + "userdata: |\n\n  #cloud-config\n  packages: nginx\n  bootcmd:\n    - [sleep, 010]\n",
        [
            f"5: warning: userdata.packages: is not a list ({OF_SCHEMA})",
            "7: warning: userdata.bootcmd[0][1]: is octal to YAML 1.1, since it begins with 0; quote it",
        ],
    ),
    (
        LEAST + 'userdata: "#cloud-config\\na: [x\\n"\n',
        [
            "2: userdata: cloud-init does not load it: not YAML: did not find expected ',' or ']'"
            " (its line 3)"
        ],
    ),
    (
        LEAST + "userdata: >\n  #cloud-config\n\n  packages: nginx\n",
        [f"2: warning: userdata.packages: is not a list (its line 2; {OF_SCHEMA})"],
    ),
    # User-data that is a mapping, or has parts
    (
        LEAST + "userdata:\n  packages: nginx\n  users:\n    - default\n    - name: a\n      sudoo: x\n",
        [
            f"3: warning: userdata.packages: is not a list ({OF_SCHEMA})",
            f"7: warning: userdata.users[1].…: is not a known key; did you mean sudo? ({OF_SCHEMA})",
        ],
    ),
    (
        LEAST + "userdata:\n  write_files:\n    - path: /a\n      umask: 0644\n  bootcmd: [[a, 12:30]]\n",
        [
            "5: warning: userdata.write_files[0].…: is octal to YAML 1.1, since it begins with 0; quote it",
            "6: warning: userdata.bootcmd[0][1]: is a number of base 60 to YAML 1.1; quote it",
        ],
    ),
    (
        LEAST + f"userdata:\n  ssh_authorized_keys:\n    - {ED25519}\n    - {ED25519[:40]}\n",
        ["5: userdata.ssh_authorized_keys[1]: ends in its middle: it was cut; copy the whole line again"],
    ),
    # A network that is whole
    (
        LEAST
        + "network:\n  version: 1\n  config:\n    - {type: physical, name: a}\n"
        + "    - {type: vlan, name: v, vlan_id: 5, vlan_link: a}\n",
        [f"6: warning: network.config[1].type: is not physical or nameserver ({OF_SCHEMA})"],
    ),
    (b"\xef\xbb\xbf" + LEAST.encode(), [f" warning: {BOM}"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "lines"), FAULTS)
def test_what_is_wrong_is_said_with_file_line_and_key(
    text: str | bytes, lines: list[str], validated: Validated
) -> None:
    validated.write("web-01.yaml", text)
    assert validated.found() == [f"web-01.yaml:{line}" for line in lines]


def test_what_a_line_cannot_carry_in_time_is_a_warning(validated: Validated) -> None:
    path = validated.write("web-01.yaml", LEAST + f"userdata: |\n  #!/bin/sh\n  {'x' * 1_036_800}\n")
    text = "userdata: is 1,036,811 bytes long, 120 s on a serial line of 115200 baud"
    assert validated.found() == [f"web-01.yaml:2: warning: {text}; a guest at its first boot waits 120 s"]
    assert validated.found(path, "--line-seconds", "121") == []
    assert validated.found(path, "--line-seconds", "100") == [
        f"web-01.yaml:2: warning: {text}; a guest at its first boot waits 100 s"
    ]


def test_a_file_that_no_vm_is_called_after_is_a_warning(validated: Validated) -> None:
    text = "metadata: {hostname: web-01}\n"
    validated.write("a%2Fb.yaml", text)
    validated.write("a%5cb.yaml", text)
    validated.write("a\\c.yml", text)
    validated.write("x" * 78 + "%25.yaml", text)
    validated.write("x" * 78 + "%25%25%25.yaml", text)
    validated.write("db.YAML", text)
    assert validated.found() == [
        "a%2Fb.yaml: warning: is called what no VM is: vSphere writes a%2fb; rename it to that",
        "a\\c.yml: warning: is called what no VM is: vSphere writes a%5cc; rename it to that",
        f"db.YAML: warning: {SUFFIXES}",
        f"{'x' * 78}%25%25%25.yaml: warning: is called what no VM can be: their names have at most 80"
        " characters; rename it",
    ]


# Defaults


def test_a_fault_of_defaults_is_said_once_and_with_their_file(validated: Validated) -> None:
    validated.write("_defaults.yaml", "metadata:\n  region: [eu]\nnetwork:\n  dhcp4: true\n  adress: 1\n")
    for number in range(3):
        validated.write(f"web-{number}.yaml", f"metadata: {{hostname: web-{number}}}\n")
    assert validated.found() == [
        "_defaults.yaml:2: metadata.region: is not text",
        "_defaults.yaml:5: network.adress: is not a known key; did you mean address?",
    ]


def test_defaults_that_nobody_uses_are_checked_and_a_warning(validated: Validated) -> None:
    validated.write("_default.yaml", "")
    validated.write("_defaults.yaml", "{}")
    validated.write("a/web-01.yaml", LEAST)
    validated.write("b/_defaults.yaml", "")
    assert validated.found() == [
        "b/_defaults.yaml:1: the file is empty",
        "_default.yaml: warning: is read by nobody: defaults stand in a file _defaults.yaml",
        "b/_defaults.yaml: warning: is used by no definition: there is none in this directory or below it",
    ]


# Several definitions

OTHER = LEAST.replace("i-0042", "i-0043").replace("web-01", "web-02")


@pytest.mark.parametrize(
    ("both", "sentence"),
    [
        (
            "network: {address: 192.0.2.10/24}\n",
            "network.address: 192.0.2.10 is given to web-02 and to web-01 (web-01.yaml:2);"
            " each needs an address of its own",
        ),
        (
            "network: [{dhcp4: true}, {address: ['2001:db8::1/64']}]\n",
            "network[1].address: 2001:db8::1 is given to web-02 and to web-01 (web-01.yaml:2);"
            " each needs an address of its own",
        ),
        (
            "network: {version: 2, ethernets: {a: {addresses: [192.0.2.10/24]}}}\n",
            "network.ethernets.a.addresses[0]: 192.0.2.10 is given to web-02 and to web-01 (web-01.yaml:2);"
            " each needs an address of its own",
        ),
        (
            "network: {mac: '00:50:56:01:02:AB', dhcp4: true}\n",
            "network.mac: 00:50:56:01:02:ab is given to web-02 and to web-01 (web-01.yaml:2);"
            " each NIC needs a MAC address of its own",
        ),
        (
            "match: {vc-uuid: 5012ab34-cd56-4e78-9012-3456789abcde}\n",
            "match.vc-uuid: 5012ab34-cd56-4e78-9012-3456789abcde is given to web-02 and to web-01"
            " (web-01.yaml:2); one VM has one UUID, and one definition",
        ),
    ],
)
def test_what_two_definitions_claim_is_the_fault_of_the_second(
    both: str, sentence: str, validated: Validated
) -> None:
    validated.write("web-01.yaml", LEAST + both)
    validated.write("web-02.yaml", OTHER + both)
    assert validated.found()[0] == f"web-02.yaml:2: {sentence}"


def test_an_instance_id_is_one_instance_s(validated: Validated) -> None:
    validated.write("web-01.yaml", LEAST)
    validated.write("group/web-02.yaml", LEAST)
    validated.write("group/web-03.yaml", "metadata: {hostname: web-03}\n")
    validated.write("group/web-04.yaml", "metadata: {hostname: web-04}\n")
    assert validated.found() == [
        "group/web-02.yaml:1: metadata.instance-id: i-0042 is given to web-02 and to web-01 (web-01.yaml:1);"
        " each VM needs one of its own"
    ]


def test_a_name_has_one_definition_also_where_that_has_faults(validated: Validated) -> None:
    validated.write("web-01.yaml", LEAST)
    validated.write("web-01.yml", OTHER)
    validated.write("group/web-01.yaml", "metadata: [")
    another = "web-01 has another definition, web-01.yaml; neither is served: remove one"
    assert validated.found() == [
        f"group/web-01.yaml: {another}",
        "group/web-01.yaml:2: not YAML: did not find expected node content",
        f"web-01.yml: {another}",
    ]


def test_names_and_patterns_in_vms_belong_to_one_definition(validated: Validated) -> None:
    named = "metadata: {hostname: '{{ vm.name }}'}\n"
    validated.write("more.yaml", f"vms: {{web-02: {{}}, 'db-[0-9]*': {{}}, 'x-?': {{}}}}\n{named}")
    validated.write("web.yaml", f"vms: [web-01, web-02, 'db-*']\n{named}")
    validated.write("web-01.yaml", LEAST)
    assert validated.found() == [
        "web.yaml:1: vms: web-02 has another definition, more.yaml:1; neither is served: remove one",
        "web.yaml:1: warning: vms: a VM db-1 would fit a pattern in more.yaml:1, too,"
        " and be served by neither",
        "web.yaml:1: warning: vms: web-01 has a definition of its own, web-01.yaml, and is served by that",
    ]


def test_what_all_vms_of_a_definition_would_share_is_said_once(validated: Validated) -> None:
    validated.write("web.yaml", "vms: ['web-*']\n" + LEAST + "network: {address: 192.0.2.10/24}\n")
    validated.write(
        "db.yaml", "vms: {a: {n: 1}, b: {n: 2}}\nmetadata: {instance-id: '{{ vm.n }}', hostname: h}\n"
    )
    field = "by a field as {{ vm.name }}"
    assert validated.found() == [
        "web.yaml:2: metadata.instance-id: i-0042 is given to web-1 and web-2 alike;"
        f" each VM needs one of its own, {field}",
        "web.yaml:3: network.address: 192.0.2.10 is given to web-1 and web-2 alike;"
        f" each needs an address of its own, {field}",
    ]


# Secrets


@pytest.mark.parametrize(
    "text",
    [
        f"userdata: {SECRET}\n",
        f"userdata: |\n  #cloud-config\n  {SECRET}: 0644\n  packages: {SECRET}\n",
        f"userdata:\n  {SECRET}: [0644]\n  packages: {SECRET}\n  users: [{{{SECRET}: x}}]\n",
        f"userdata:\n  - |\n    #cloud-config\n    {SECRET}: 12:30\n  - content: '#!{SECRET}\\r\\n'\n",
        f"vendordata: |\n  #cloud-config\n  [{SECRET}\n",
        f"metadata: {{hostname: a, public-keys: [{SECRET}, ssh-rsa {SECRET}]}}\n",
        f"token: {SECRET}\n",
        f"vms: {{a: {{b: {SECRET}}}}}\nuserdata: '{{{{ vm.b }}}}'\n",
    ],
)
def test_what_is_secret_is_never_quoted(text: str, validated: Validated) -> None:
    validated.write("web-01.yaml", text if text.startswith("metadata") else LEAST + text)
    for form in ("text", "json"):
        done = validated.validate(str(validated.path), "--format", form)
        assert "web-01.yaml" in done.output
        assert SECRET not in done.output + done.error
