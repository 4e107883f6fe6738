"""No bytes and no claims, however broken, raise anything but the documented error; what is good is served."""

import contextlib
import json
import uuid
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.definition.strategies import definitions
from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.definition import Definition, Source, VMFacts, parse_match, parse_vms
from vmw_cloudinit_metadata.errors import DefinitionError

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Text that is YAML more often than not, and fields more often than not.
yamlish = st.text("abc:-[]{}&*!|>'\"#%@,?<=. \n\t0~v m_")
garbage = st.binary() | st.text().map(str.encode) | yamlish.map(str.encode)
names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1) | st.text()
claims = st.builds(VMFacts, names, st.none() | st.uuids(), st.none() | st.uuids())

LEAST = b"metadata: {instance-id: i, hostname: h}\n"


def read(definition: bytes, defaults: list[bytes], vm: VMFacts) -> Any:
    """Return what a VM gets, None if it is faulty."""
    sources = [Source(f"{number}/_defaults.yaml", text) for number, text in enumerate(defaults)]
    try:
        return Definition(Source("a.yaml", definition), sources, read_file).instance(vm)
    except DefinitionError as error:
        check(error)
        return None


def read_file(_source: str, name: str) -> bytes:
    if "/" in name:
        raise DefinitionError("leads out of the directory")
    return b"#!/bin/sh\n" + name.encode("utf-8", "surrogateescape")


def check(error: DefinitionError) -> None:
    """Each line of an error is one fault, and can be printed."""
    lines = str(error).splitlines()
    assert lines == [str(fault) for fault in error.faults]
    assert lines
    assert all(line.isprintable() for line in lines)


@patient
@given(garbage, st.lists(garbage, max_size=2), claims)
def test_whatever_the_files_hold_the_error_is_the_documented_one(
    text: bytes, defaults: list[bytes], vm: VMFacts
) -> None:
    read(text, defaults, vm)
    read(LEAST, [b"userdata:\n " + text, *defaults], vm)
    read(LEAST + b"vms:\n " + text, [], vm)
    read(LEAST + b"vms: ['*']\nuserdata: " + text, [], vm)
    for parse in (parse_match, parse_vms):
        with contextlib.suppress(DefinitionError):
            parse(b"vms:" + text + b"\nmatch:" + text)


fields = st.sampled_from(
    ["{{ vm.name }}", "{{vm.vc_uuid}}", "{{ vm.ip }}", "{{ vm.x }}", "{{ vm.", "{{ x }}", "{{{"]
)


def with_fields(raw: Any) -> st.SearchStrategy[Any]:
    """Return values like these, some of whose texts hold fields."""
    if isinstance(raw, dict):
        return st.fixed_dictionaries({key: with_fields(value) for key, value in raw.items()})
    if isinstance(raw, list):
        return st.tuples(*map(with_fields, raw)).map(list)
    if not isinstance(raw, str):
        return st.just(raw)
    return (
        st.just(raw) | fields | fields.map(lambda field: raw + field) | fields.map(lambda field: field + raw)
    )


payloads = st.dictionaries(
    st.sampled_from(["file", "content", "encoding", "type", "filename", "packages"]),
    st.text(max_size=8) | st.sampled_from(["base64", "gz", "text/x-shellscript", "#cloud-config\n", "eA=="]),
    max_size=3,
)
whole = st.builds(
    lambda raw, others: {**raw, **others},
    definitions,
    st.fixed_dictionaries(
        {}, optional={"userdata": payloads | st.lists(payloads, max_size=3), "vendordata": payloads}
    ),
)

tables = st.dictionaries(
    st.sampled_from(["web-01", "web-*", "*"]) | names,
    st.none() | st.dictionaries(st.sampled_from(["ip", "x"]), st.text() | st.ip_addresses(v=4).map(str)),
)


@patient
@given(whole.flatmap(with_fields), whole.flatmap(with_fields), tables | st.lists(names), claims)
def test_what_a_vm_is_served_can_be_read_whatever_it_says_of_itself(
    raw: dict[str, Any], defaults: dict[str, Any], vms: Any, vm: VMFacts
) -> None:
    defaults.pop("match", None)
    texts = [
        yaml.dump(each, Dumper=yaml.CSafeDumper).encode() for each in ({**raw, "vms": vms}, raw, defaults)
    ]
    for text, under in ((texts[0], []), (texts[0], [texts[2]]), (texts[1], [texts[2]])):
        instance = read(text, under, vm)
        if instance is None:
            continue
        instance.validate()
        documents = nocloud.render(instance)
        for document in (documents.meta_data, documents.network_config):
            if document is not None:
                assert yaml.safe_load(document) == json.loads(document)


@patient
@given(names)
def test_user_data_has_as_many_lines_whatever_a_vm_calls_itself(name: str) -> None:
    text = LEAST + b"vms: ['*']\nuserdata: |\n  {{ vm.name }}\n  {{ vm.vc_uuid }}\n"
    text += b"vendordata: {a: '{{ vm.name }}'}\n"
    made = read(text, [], VMFacts(name, uuid.UUID(int=1)))
    if made is not None:
        assert made.userdata == f"{name}\n{uuid.UUID(int=1)}\n"
        assert len(made.userdata.splitlines()) == 2
        assert yaml.safe_load(made.vendordata) == {"a": name}
