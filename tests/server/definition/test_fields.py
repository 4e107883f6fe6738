"""Fields in definitions and defaults: what is filled in, where, and what cannot be."""

import textwrap
import uuid
from typing import Any

import pytest
import yaml

from tests.support.definitions import SECRET, card
from vmw_cloudinit_metadata.definition import Definition, Source, VMFacts
from vmw_cloudinit_metadata.definition.fields import _MAX_NAMED, MAX_FILLED
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData, InstanceMatch

VC_UUID = uuid.UUID("5012ab34-cd56-4e78-9012-3456789abcde")
BIOS_UUID = uuid.UUID("42124e78-9023-4567-8901-234567890123")
VM = VMFacts("web-01", VC_UUID, BIOS_UUID)

LEAST = "metadata: {instance-id: i-1, hostname: h}\n"


def definition(text: str, *defaults: str) -> Definition:
    sources = [Source(f"{number}/_defaults.yaml", each.encode()) for number, each in enumerate(defaults)]
    return Definition(Source("web.yaml", textwrap.dedent(text).encode()), sources)


def instance(text: str, *defaults: str, vm: VMFacts = VM) -> InstanceData:
    return definition(text, *defaults).instance(vm)


def metadata(text: str, *defaults: str, vm: VMFacts = VM) -> dict[str, Any]:
    found = instance(text, *defaults, vm=vm).metadata
    assert found is not None
    return vars(found) | found.extra


def faults(text: str, *defaults: str, vm: VMFacts = VM) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        instance(text, *defaults, vm=vm)
    return str(caught.value).splitlines()


def test_a_definition_of_several_vms_says_to_each_what_is_its_own() -> None:
    made = definition(
        """\
        vms:
          web-01: {ip: 192.0.2.11, rack: a1}
          web-02: {ip: 192.0.2.12, rack: 0123}
        metadata:
          instance-id: "{{ vm.vc_uuid }}"
          hostname: "{{vm.name}}.example.org"
          rack: "{{ vm.rack }}"
          tags: [web, "rack-{{ vm.rack }}"]
        network: {address: "{{ vm.ip }}", netmask: 255.255.255.0}
        userdata: |
          #!/bin/sh
          echo {{ vm.name }} in {{	vm.rack	}} > /etc/motd
        """
    )
    assert made.varies
    for name, ip, rack in (("web-01", "192.0.2.11", "a1"), ("web-02", "192.0.2.12", "0123")):
        got = made.instance(VMFacts(name, VC_UUID))
        assert got.metadata is not None
        assert (got.metadata.instance_id, got.metadata.hostname) == (str(VC_UUID), f"{name}.example.org")
        assert (got.metadata.extra, got.metadata.tags) == ({"rack": rack}, ["web", f"rack-{rack}"])
        assert card(got).address == ip
        assert got.userdata == f"#!/bin/sh\necho {name} in {rack} > /etc/motd\n"


def test_what_is_filled_in_is_text_and_never_yaml() -> None:
    text = """\
        vms:
          web-01: {a: '{x: 1}', b: 'true', c: "two\\nlines", d: '- x', e: '{{ vm.name }}', f: '*x', g: ''}
        metadata: {instance-id: i, hostname: h, a: "{{ vm.a }}", b: "{{ vm.b }}", g: "{{ vm.g }}"}
        userdata:
          a: "{{ vm.a }}"
          b: "{{ vm.b }}"
          c: |
            {{ vm.c }}
          d: '{{ vm.d }}'
          e: "{{ vm.e }}"
          f: "{{ vm.f }}{{ vm.f }}"
        """
    values = metadata(text)
    assert (values["a"], values["b"], values["g"]) == ("{x: 1}", "true", "")
    assert yaml.safe_load(str(instance(text).userdata)) == {
        "a": "{x: 1}",
        "b": "true",
        "c": "two\nlines\n",
        "d": "- x",
        "e": "{{ vm.name }}",
        "f": "*x*x",
    }


def test_a_definition_without_vms_is_taken_as_it_stands_and_its_defaults_are_not() -> None:
    made = definition(
        "metadata: {instance-id: '{{ vm.name }}', hostname: h}\nuserdata: '{{ vm.x'\n",
        "metadata: {region: 'r-{{ vm.name }}', instance-id: '{{ vm.name }}'}\n",
    )
    assert made.varies
    got = made.instance(VM)
    assert got.metadata is not None
    assert (got.metadata.instance_id, got.metadata.region) == ("{{ vm.name }}", "r-web-01")
    assert got.userdata == "{{ vm.x"
    assert not definition("metadata: {instance-id: '{{ vm.name }}', hostname: h}\n").varies
    assert not definition("metadata: {instance-id: i, hostname: h}\nvms: [web-*]\n").varies


def test_the_file_s_own_vms_say_what_a_default_fills_in() -> None:
    defaults = "network: {netmask: 255.255.255.0, address: '{{ vm.ip }}'}\n"
    assert card(instance(LEAST + "vms: {web-01: {ip: 192.0.2.1}}\n", defaults)).address == "192.0.2.1"
    assert faults(LEAST, defaults) == [
        "0/_defaults.yaml:1: network.address: {{ vm.ip }} is no field of this definition"
        " (known: name, vc_uuid, bios_uuid)"
    ]


def test_a_network_is_held_against_itself_once_it_is_filled_in() -> None:
    made = definition(
        LEAST
        + "vms: {web-01: {ip: 192.0.2.1, on: 'true'}, web-02: {ip: '2001:db8::1', on: 'yes'}}\n"
        + "network: {address: '{{ vm.ip }}', netmask: 255.255.255.0, dhcp4: '{{ vm.on }}'}\n"
    )
    assert card(made.instance(VM)).dhcp4 is True
    with pytest.raises(DefinitionError) as caught:
        made.instance(VM._replace(name="web-02"))
    assert str(caught.value).splitlines() == [
        "web.yaml:3: network.address: has no prefix length, such as /64",
        "web.yaml:3: network.dhcp4: is neither true nor false",
        "web.yaml:3: network.netmask: '255.255.255.0' is there without an IPv4 address",
    ]


def test_what_cannot_be_filled_in_is_a_fault() -> None:
    known = "is no field of this definition (known: name, vc_uuid, bios_uuid, ip)"
    text = """\
        vms: {web-01: {ip: x}, web-02: }
        metadata:
          instance-id: "{{ vm.bios_uuid }}"
          hostname: h
          a: "{{ vm.rack }} {{ vm.NAME }}"
          b: "{{ vm.name"
          c: "{{ vm.name | upper }}"
          d: "{{ name }}"
          e: "{{ vm. }}"
          f: "{% if vm.name %}"
        """
    assert faults(text) == [
        f"web.yaml:5: metadata.a: {{{{ vm.rack }}}} {known}",
        f"web.yaml:5: metadata.a: {{{{ vm.NAME }}}} {known}",
        "web.yaml:6: metadata.b: {{ vm. is not the beginning of a field such as {{ vm.name }}",
        "web.yaml:7: metadata.c: {{ vm. is not the beginning of a field such as {{ vm.name }}",
        "web.yaml:8: metadata.d: {{ is not the beginning of a field such as {{ vm.name }}",
        "web.yaml:9: metadata.e: {{ vm. is not the beginning of a field such as {{ vm.name }}",
    ]


def test_what_a_vm_lacks_is_a_fault_for_that_vm() -> None:
    text = """\
        vms: {web-01: {ip: x}, web-*: }
        metadata:
          instance-id: "{{ vm.bios_uuid }}"
          hostname: h
          ip: "{{ vm.ip }}"
        """
    assert definition(text).instance(VM)
    assert faults(text, vm=VMFacts("web-02", VC_UUID)) == [
        "web.yaml:3: metadata.instance-id: {{ vm.bios_uuid }} is not known:"
        " the VM has not told its BIOS UUID",
        "web.yaml:5: metadata.ip: {{ vm.ip }} is no field of this VM",
    ]
    assert faults(text.replace("bios", "vc"), vm=VMFacts("web-01", None, BIOS_UUID)) == [
        "web.yaml:3: metadata.instance-id: {{ vm.vc_uuid }} is not known: the VM has not told its VC UUID"
    ]


def test_without_quotes_a_field_is_no_text() -> None:
    assert faults("metadata: {instance-id: i, hostname: {{ vm.name }}}\nvms: [x]\n")[0] == (
        "web.yaml:1: metadata.hostname: a key is text, not a list or mapping;"
        " quote a text that begins with {{"
    )


def test_in_user_data_other_braces_are_the_guests() -> None:
    text = (
        "## template: jinja\n#cloud-config\n"
        "a: {{ ds.meta_data.x }} {{ name }} {% if vm.name %} {{- vm.name }} {{{ vm.name }}} {{\n"
    )
    made = instance(LEAST + "vms: [web-*]\nuserdata: " + repr(text).replace("'", '"') + "\n")
    assert made.userdata == text.replace("{{{ vm.name }}}", "{web-01}")


@pytest.mark.parametrize(
    "name",
    ["a\nb", "a\rb", "a\x85b", "a\u2028b", "a\tb", "a\x00b", "a\x1b[0m", "a\ud800", "{{ ds }}", "{% x", "{#"],
)
@pytest.mark.parametrize("key", ["userdata", "vendordata", "metadata.region"])
def test_what_a_vm_calls_itself_adds_no_line_and_no_code(name: str, key: str) -> None:
    if key == "metadata.region":
        text = "vms: ['*']\nmetadata: {instance-id: i, hostname: h,\n  region: '{{ vm.name }}'}\n"
    else:
        text = LEAST + f"vms: ['*']\n{key}: 'x {{{{ vm.name }}}}'\n"
    (fault,) = faults(text, vm=VMFacts(name))
    assert fault.startswith("web.yaml:3")
    assert f": {key}: {{{{ vm.name }}}} " in fault
    assert fault.endswith(
        (
            "is not printable text: the VM's name holds a line end or another control character",
            "holds braces that would be a template to the guest",
        )
    )
    assert name not in fault
    assert fault.isprintable()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("{ ds }", "{{{ vm.name }}}"),
        ("% x %}", "{{{ vm.name }}"),
        ("# x", "{{{ vm.empty }}{{ vm.name }}"),
        ("% x %}{", "{{ vm.name }}{{ vm.name }}"),
        ("x {", "{{ vm.name }}{ ds }}"),
    ],
)
def test_what_a_vm_calls_itself_is_no_code_together_with_what_stands_beside_it(name: str, text: str) -> None:
    (fault, *_) = faults(LEAST + f"vms: {{'*': {{empty: ''}}}}\nuserdata: 'x {text}'\n", vm=VMFacts(name))
    where = "web.yaml:3: userdata: {{ vm.name }}"
    assert fault == f"{where} holds braces that would be a template to the guest"


def test_a_name_that_is_no_host_name_is_a_fault_that_quotes_it_and_nothing_of_a_table() -> None:
    text = "vms: {'*': {x: 'hun ter2'}}\nmetadata: {instance-id: i, hostname: '{{ vm.name }}'}\n"
    rule = "is not a host name (text without spaces, of at most 253 characters)"
    assert faults(text, vm=VMFacts("web 01")) == [f"web.yaml:2: metadata.hostname: 'web 01' {rule}"]
    assert faults(text.replace("vm.name", "vm.x")) == [f"web.yaml:2: metadata.hostname: {rule}"]


def test_what_is_wrong_for_every_vm_is_told_without_one() -> None:
    with pytest.raises(DefinitionError) as caught:
        definition("vms: ['*']\nmetadata: {hostname: '{{ vm.name }}', instance-id: ''}\nnet: {}\n")
    assert str(caught.value).splitlines() == [
        "web.yaml:2: metadata.instance-id: '' is not text",
        "web.yaml:3: net: is not a known key; did you mean network?",
    ]
    with pytest.raises(DefinitionError, match=r"^web.yaml: depends on the VM$"):
        definition(LEAST + "vms: ['*']\nuserdata: '{{ vm.name }}'\n").instance()


def test_secrets_of_a_table_are_filled_in_and_never_shown() -> None:
    text = f"vms: {{web-01: {{password: {SECRET}}}}}\n" + LEAST + "token: '{{ vm.password }}'\n"
    (fault,) = faults(text)
    assert SECRET not in fault
    assert instance(text.replace(SECRET, SECRET * 2)).token == SECRET * 2


def test_pins_may_come_from_a_table() -> None:
    text = LEAST + f"match: {{vc-uuid: '{{{{ vm.id }}}}'}}\nvms: {{web-01: {{id: {VC_UUID}}}}}\n"
    made = definition(text)
    assert made.match is None
    assert made.instance(VM).match == InstanceMatch(VC_UUID)
    fixed = definition(text.replace("'{{ vm.id }}'", str(VC_UUID)) + "userdata: '{{ vm.name }}'\n")
    assert fixed.varies
    assert fixed.match == InstanceMatch(VC_UUID)


@pytest.mark.parametrize("name", ["name", "vc_uuid", "bios_uuid"])
@pytest.mark.parametrize("key", ["match: {vc-uuid: FIELD}", "token: FIELD", "serve: {until: FIELD}"])
def test_what_a_vm_claims_proves_nothing_against_its_claims(key: str, name: str) -> None:
    field = f"{{{{ vm.{name} }}}}"
    said = key.replace("FIELD", f"'{field}'")
    where = {"m": "match.vc-uuid", "t": "token", "s": "serve.until"}[key[0]]
    text = f"{where}: {field} is what the VM says itself: it protects nothing"
    assert faults(LEAST + f"vms: ['*']\n{said}\n") == [f"web.yaml:3: {text}"]
    if key[0] != "m":  # which cannot be a default at all
        assert faults(LEAST, f"{said}\n") == [f"0/_defaults.yaml:1: {text}"]


@pytest.mark.parametrize(
    ("instance_id", "written"),
    [
        ("i-1", None),
        ("i-{{ vm.gen }}", None),
        ("{{ vm.vc_uuid }}", "{{ vm.vc_uuid }}"),
        ("i-{{vm.name}}-{{ vm.gen }}", "i-{{ vm.name }}-2"),
    ],
)
@pytest.mark.parametrize("key", ["instance-id", "instance_id"])
def test_of_an_instance_id_it_is_known_what_an_operator_has_written(
    key: str, instance_id: str, written: str | None
) -> None:
    text = "vms: {web-01: {gen: '2'}}\nmetadata: {hostname: '{{ vm.name }}', KEY: 'ID'}\n"
    text = text.replace("KEY", key).replace("ID", instance_id)
    made = instance(text).metadata
    assert made is not None
    assert made.written_id == written


def test_an_alias_is_filled_in_wherever_it_stands_and_stays_one() -> None:
    text = """\
        vms: [web-*]
        metadata: {instance-id: &n "{{ vm.name }}", hostname: *n, again: [*n, &m {a: *n}, *m]}
        userdata: {list: &l ["{{ vm.name }}-x", y], same: *l}
        """
    values = metadata(text)
    assert (values["instance_id"], values["hostname"]) == ("web-01", "web-01")
    assert values["again"] == ["web-01", {"a": "web-01"}, {"a": "web-01"}]
    made = str(instance(text).userdata)
    assert yaml.safe_load(made) == {"list": ["web-01-x", "y"], "same": ["web-01-x", "y"]}
    assert made.count("web-01-x") == 1


def test_what_is_filled_in_has_a_largest_size() -> None:
    size = MAX_FILLED // 100
    text = f"vms: {{web-01: {{x: {'y' * size}}}}}\n{LEAST}userdata: '{'{{ vm.x }}' * 101}'\n"
    assert faults(text)[0] == "web.yaml:3: userdata: is too long: what is filled in is more than 4 MiB"
    aliases = ", ".join(["*x"] * 100)
    text = f"vms: {{web-01: {{x: {'y' * size}}}}}\n{LEAST}"
    text += f"userdata:\n a: &x ['{{{{ vm.x }}}}']\n b: [{aliases}]\n"
    assert str(instance(text).userdata).count("y" * 100) == size // 100


def test_places_are_those_of_what_is_filled_in() -> None:
    made = definition(LEAST + "vms: [web-*]\nuserdata: '{{ vm.name }}'\n", "metadata: {r: '{{ vm.name }}'}\n")
    assert made.places()["userdata",] == ("web.yaml", 3)
    assert made.places()["metadata", "r"] == ("0/_defaults.yaml", 1)


def test_of_many_fields_some_are_named() -> None:
    fields = ", ".join(f"f{number:02}: x" for number in range(_MAX_NAMED + 5))
    (fault,) = faults(f"vms: {{web-01: {{{fields}}}}}\n{LEAST}userdata: '{{{{ vm.f }}}}'\n")
    assert fault.endswith(
        "(known: name, vc_uuid, bios_uuid, f00, f01, f02, f03, f04, f05, f06, f07, f08, f09, …)"
    )


def test_what_a_vm_calls_itself_leads_to_no_other_directory() -> None:
    text = LEAST + "vms: {'*': {d: sub/x}}\nuserdata: {file: 'keys/{{ vm.name }}/id'}\n"
    what = "{{ vm.name }} is part of a file's name here, and holds a / or begins with a dot"
    for name in ("../web-02", "a/b", "..", ".hidden"):
        assert faults(text, vm=VMFacts(name)) == [f"web.yaml:3: userdata.file: {what}"]


def test_an_alias_leads_to_no_other_directory_either() -> None:
    text = """\
        vms: ['*']
        metadata: {instance-id: i, hostname: h, x: &x "{{ vm.name }}"}
        userdata: {file: *x}
        """
    (fault,) = faults(text, vm=VMFacts("../web-02"))
    assert fault.endswith("is part of a file's name here, and holds a / or begins with a dot")


def test_what_is_wrong_many_times_in_one_place_is_said_once() -> None:
    (fault,) = faults(LEAST + "vms: ['*']\nuserdata: '{{ vm.x }} {{ vm.x }}'\n")
    assert fault.startswith("web.yaml:3: userdata: {{ vm.x }} is no field of this definition")


def test_what_a_table_calls_two_cards_is_not_quoted() -> None:
    text = (
        f"vms: {{web-01: {{x: {SECRET}}}}}\n{LEAST}network: {{version: 2, ethernets: {{a: CARD, b: CARD}}}}\n"
    )
    (fault,) = faults(text.replace("CARD", "{dhcp4: true, set-name: '{{ vm.x }}'}"))
    assert fault == "web.yaml:3: network.ethernets.b: has the name of network.ethernets.a, too"
