"""User-data that is more than one text: sources, encodings and parts; files are a table here."""

import base64
import gzip
import json
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.definitions import SECRET
from vmw_cloudinit_metadata.checks import MAX_USERDATA
from vmw_cloudinit_metadata.definition import Definition, Source, VMFacts, check_defaults, schema
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.userdata import ENCODINGS, Part, multipart

LEAST = "metadata: {hostname: web-01}\n"
SCRIPT = b"#!/bin/sh\necho ready\n"

FILES = {
    "web.sh": SCRIPT,
    "web.sh.gz": gzip.compress(SCRIPT, mtime=0),
    "web.sh.b64": base64.encodebytes(SCRIPT),
    "scripts/config": b"#cloud-config\npackages: [nginx]\n",
    "mail": multipart([Part(SCRIPT)]),
    "umlaut": "MIME-Version: 1.0\n\ngrün".encode(),
    "noise": SECRET.encode(),
    "none": b"",
    "large": b"#!" + bytes(MAX_USERDATA - 2),
    "larger": b"#!" + bytes(MAX_USERDATA - 1),
}


def read_file(source: str, name: str) -> bytes:
    assert source == "web-01.yaml"
    if name not in FILES:
        raise DefinitionError("cannot be read: No such file or directory")
    return FILES[name]


def made(lines: str, key: str = "userdata") -> str | bytes | None:
    """Return what becomes of ``userdata`` or ``vendordata``, given as YAML."""
    text = f"{LEAST}{key}:\n{lines}"
    instance = Definition(Source("web-01.yaml", text.encode()), read_file=read_file).instance()
    instance.validate()
    return instance.userdata if key == "userdata" else instance.vendordata


def fault(lines: str) -> str:
    """Return what is wrong with it, in one sentence, after the file and its line."""
    with pytest.raises(DefinitionError) as caught:
        made(lines)
    (sentence,) = str(caught.value).splitlines()
    assert sentence.startswith("web-01.yaml:")
    return sentence.removeprefix("web-01.yaml:")


# One source


@pytest.mark.parametrize(
    ("lines", "content"),
    [
        ("  file: web.sh\n", SCRIPT),
        ("  file: scripts/config\n", FILES["scripts/config"]),
        ("  {file: none}\n", b""),
        ("  {file: web.sh.gz}\n", FILES["web.sh.gz"]),
        ("  {file: web.sh.gz, encoding: gzip}\n", SCRIPT),
        ("  {file: web.sh.b64, encoding: base64}\n", SCRIPT),
        ("  {content: IyEvYmluL3NoCmVjaG8gcmVhZHkK, encoding: b64}\n", SCRIPT),
        (f"  encoding: gz+b64\n  content: {base64.b64encode(FILES['web.sh.gz']).decode()}\n", SCRIPT),
        ("  content: |\n    #!/bin/sh\n    echo\n", "#!/bin/sh\necho\n"),
        ("  content:\n    umask: 0022\n    a: [b]\n", "#cloud-config\numask: 0022\na: [b]\n"),
    ],
)
@pytest.mark.parametrize("key", ["userdata", "vendordata"])
def test_a_source_says_where_the_bytes_are_and_how_they_are_encoded(
    lines: str, content: str | bytes, key: str
) -> None:
    assert made(lines, key) == content


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("  file: else.sh\n", "3: userdata.file: cannot be read: No such file or directory"),
        ("  file:\n", "3: userdata.file: is not the path of a file"),
        ("  file: [web.sh]\n", "3: userdata.file: is not the path of a file"),
        ("  content:\n", "3: userdata.content: is neither text nor a mapping"),
        ("  content: 5\n", "3: userdata.content: is neither text nor a mapping"),
        ("  content: [x]\n", "3: userdata.content: is neither text nor a mapping"),
        ("  file: web.sh\n  content: x\n", "2: userdata: has both file and content"),
        (
            "  file: web.sh\n  packages: [nginx]\n",
            "2: userdata: has a key that is none of file, content and encoding"
            " (type and filename are for the parts of a list)",
        ),
        (
            "  file: web.sh\n  filename: web.sh\n",
            "2: userdata: has a key that is none of file, content and encoding"
            " (type and filename are for the parts of a list)",
        ),
        (
            "  file: web.sh\n  encoding: rot13\n",
            "4: userdata.encoding: 'rot13' is none of base64, gzip and gzip+base64 (or b64, gz, gz+b64)",
        ),
        (
            "  file: web.sh\n  encoding: [gzip]\n",
            "4: userdata.encoding: is none of base64, gzip and gzip+base64 (or b64, gz, gz+b64)",
        ),
        ("  file: web.sh\n  encoding: gzip\n", "3: userdata.file: is not gzip, or not whole"),
        ("  encoding: base64\n  content: hunter2!\n", "4: userdata.content: is not base64"),
        (
            "  file: larger\n",
            "2: userdata: is 3,000,001 bytes long; a serial line's answer carries 3,000,000",
        ),
    ],
)
def test_what_is_wrong_with_a_source(lines: str, sentence: str) -> None:
    assert fault(lines) == sentence
    assert SECRET not in sentence


def test_a_source_may_be_as_long_as_user_data_may() -> None:
    assert made("  file: large\n") == FILES["large"]


def test_where_no_file_can_be_read_a_source_that_names_one_is_a_fault() -> None:
    with pytest.raises(DefinitionError, match="names a file, and none can be read here"):
        Definition(Source("web-01.yaml", f"{LEAST}userdata: {{file: web.sh}}\n".encode()))


# Parts


def test_a_list_is_the_parts_of_a_message() -> None:
    lines = """\
  - packages: [nginx]
  - |
    #!/bin/sh
    echo ready
  - file: web.sh
    filename: 10-web.sh
  - {content: IyEvYmluL3NoCmVjaG8gcmVhZHkK, encoding: base64, type: text/x-shellscript-per-boot}
  - file: mail
"""
    assert made(lines) == multipart(
        [
            Part(b"#cloud-config\npackages: [nginx]\n"),
            Part(SCRIPT),
            Part(SCRIPT, filename="10-web.sh"),
            Part(SCRIPT, type="text/x-shellscript-per-boot"),
            Part(FILES["mail"]),
        ]
    )


def test_a_list_of_one_is_a_message_too() -> None:
    assert made("  - file: web.sh\n") == multipart([Part(SCRIPT)])


NO_HEADER = (
    "begins with no header that cloud-init knows (#!, #cloud-boothook, #cloud-config, #cloud-config-archive,"
    " #cloud-config-jsonp, #include, #include-once, #part-handler, ## template: jinja); give it a type"
)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("  []\n", "2: userdata: is neither text, a mapping nor a list of up to 100 parts"),
        ("  - hunter2\n", f"3: userdata[0]: {NO_HEADER}"),
        ("  - file: web.sh\n  - {file: noise}\n", f"4: userdata[1]: {NO_HEADER}"),
        ("  - [file: web.sh]\n", "3: userdata[0]: is neither text nor a mapping"),
        ("  - 5\n", "3: userdata[0]: is neither text nor a mapping"),
        ("  -\n", "3: userdata[0]: is neither text nor a mapping"),
        ("  - {file: else.sh}\n", "3: userdata[0].file: cannot be read: No such file or directory"),
        ("  - {file: web.sh, content: x}\n", "3: userdata[0]: has both file and content"),
        (
            "  - {file: web.sh, name: hunter2}\n",
            "3: userdata[0]: has a key that is none of file, content, encoding, type and filename",
        ),
        (
            "  - {file: web.sh, type: multipart/mixed}\n",
            "3: userdata[0].type: 'multipart/mixed' is not the type of one part, such as text/x-shellscript",
        ),
        (
            "  - {file: web.sh, filename: a/b}\n",
            "3: userdata[0].filename: 'a/b' is not a plain file name (at most 100 letters, digits and . _ -)",
        ),
        (
            "  - {file: web.sh, filename: a}\n  - {file: mail}\n  - {file: web.sh, filename: a}\n",
            "5: userdata[2]: has the filename of another part, over which cloud-init would write it",
        ),
        (
            "  - file: umlaut\n",
            "3: userdata[0]: is a MIME message with other than ASCII characters, which cloud-init gets wrong",
        ),
        (
            "  - file: large\n  - file: web.sh\n  - file: large\n",
            "4: userdata[1]: brings the parts to more than 3,000,000 bytes",
        ),
        (
            "  - file: large\n",
            "2: userdata: is 4,052,899 bytes long; a serial line's answer carries 3,000,000",
        ),
    ],
)
def test_what_is_wrong_with_a_part(lines: str, sentence: str) -> None:
    assert fault(lines) == sentence


def test_there_are_a_hundred_parts_at_most() -> None:
    assert made("  - file: web.sh\n" * 100) == multipart([Part(SCRIPT)] * 100)
    assert fault("  - file: web.sh\n" * 101) == (
        "2: userdata: is neither text, a mapping nor a list of up to 100 parts"
    )


def test_every_fault_of_both_is_told_at_once_and_none_of_them_twice() -> None:
    text = f"""\
{LEAST}\
userdata:
  - hunter2
  - file: else.sh
  - {{file: web.sh, encoding: gzip, filename: a}}
vendordata: {{file: else.sh}}
other: 1
"""
    with pytest.raises(DefinitionError) as caught:
        Definition(Source("web-01.yaml", text.encode()), read_file=read_file)
    assert [sentence.split(": ")[:2] for sentence in str(caught.value).splitlines()] == [
        ["web-01.yaml:3", "userdata[0]"],
        ["web-01.yaml:4", "userdata[1].file"],
        ["web-01.yaml:5", "userdata[2].file"],
        ["web-01.yaml:6", "vendordata.file"],
        ["web-01.yaml:7", "other"],
    ]


def test_the_place_of_each_part_and_of_its_keys_is_known() -> None:
    text = f"{LEAST}userdata:\n  - file: web.sh\n    filename: a\n  - packages: [nginx]\n"
    places = Definition(Source("web-01.yaml", text.encode()), read_file=read_file).places()
    lines = {path: place.line for path, place in places.items() if path[:1] == ("userdata",)}
    assert lines == {
        ("userdata",): 2,
        ("userdata", 0): 3,
        ("userdata", 0, "file"): 3,
        ("userdata", 0, "filename"): 4,
        ("userdata", 1): 5,
        ("userdata", 1, "packages"): 5,
    }


# Several VMs


def test_of_several_vms_each_gets_its_own() -> None:
    text = """\
metadata: {hostname: "{{ vm.name }}"}
vms: {web-01: {role: web}, db-01: {role: db}}
userdata:
  - file: web.sh
    filename: "{{ vm.role }}.sh"
  - |
    #cloud-config
    hostname: {{ vm.name }}
vendordata:
  content: "#!/bin/sh\\necho {{ vm.role }}"
"""
    definition = Definition(Source("web-01.yaml", text.encode()), read_file=read_file)
    for name, role in (("web-01", "web"), ("db-01", "db")):
        instance = definition.instance(VMFacts(name))
        assert instance.userdata == multipart(
            [
                Part(SCRIPT, filename=f"{role}.sh"),
                Part(f"#cloud-config\nhostname: {name}\n".encode()),
            ]
        )
        assert instance.vendordata == f"#!/bin/sh\necho {role}"


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("{file: '{{ vm.role }}.sh'}", "3: userdata.file: cannot be read: No such file or directory"),
        ("{file: ['{{ vm.role }}']}", "3: userdata.file: is not the path of a file"),
        ("{content: ['{{ vm.role }}']}", "3: userdata.content: is neither text nor a mapping"),
        ("{content: x, encoding: '{{ vm.role }}'}", "3: userdata.encoding: is none of base64, gzip and"),
        ("[{content: '{{ vm.role }}'}]", "3: userdata[0]: begins with no header that cloud-init knows"),
        ("[['{{ vm.role }}']]", "3: userdata[0]: is neither text nor a mapping"),
    ],
)
def test_what_depends_on_the_vm_is_told_when_the_vm_asks(lines: str, sentence: str) -> None:
    text = f"{LEAST}vms: {{web-01: {{role: else}}}}\nuserdata: {lines}\n"
    definition = Definition(Source("web-01.yaml", text.encode()), read_file=read_file)
    with pytest.raises(DefinitionError) as caught:
        definition.instance(VMFacts("web-01"))
    (found,) = str(caught.value).splitlines()
    assert found.startswith(f"web-01.yaml:{sentence}")


def test_what_depends_on_no_vm_is_told_at_once() -> None:
    text = f"{LEAST}vms: ['*']\nuserdata: [{{content: '{{{{ vm.name }}}}'}}, {{file: else.sh}}]\n"
    with pytest.raises(DefinitionError, match=r"^web-01.yaml:3: userdata\[1\].file: cannot be read"):
        Definition(Source("web-01.yaml", text.encode()), read_file=read_file)


def test_the_file_of_a_default_is_beside_the_default() -> None:
    asked = []

    def read(source: str, name: str) -> bytes:
        asked.append((source, name))
        return SCRIPT

    definition = Source("sub/web-01.yaml", b"metadata: {hostname: web-01}\nvendordata: {file: b.sh}\n")
    defaults = Source("_defaults.yaml", b"userdata: {file: a.sh}\n")
    assert Definition(definition, [defaults], read).instance().userdata == SCRIPT
    assert asked == [("_defaults.yaml", "a.sh"), ("sub/web-01.yaml", "b.sh")]


def test_defaults_by_themselves_are_read_as_well() -> None:
    defaults = Source(
        "web-01.yaml", b"userdata:\n- file: web.sh\n- {file: else.sh}\n- {content: x, mode: y}\n"
    )
    assert [str(fault) for fault in check_defaults(defaults, read_file)] == [
        "web-01.yaml:4: userdata[2]: has a key that is none of file, content, encoding, type and filename"
    ]
    defaults = Source("web-01.yaml", b"userdata:\n- file: web.sh\n- {file: else.sh}\n")
    assert [str(fault) for fault in check_defaults(defaults, read_file)] == [
        "web-01.yaml:3: userdata[1].file: cannot be read: No such file or directory"
    ]


# The schema that editors read


@pytest.mark.parametrize(
    "lines",
    [
        "x\n",
        "{packages: [nginx]}\n",
        "{file: web.sh}\n",
        "{content: {packages: [nginx]}}\n",
        "[{packages: [nginx]}, '#!/bin/sh', {file: web.sh, encoding: gz, type: text/x-a, filename: a}]\n",
    ],
)
def test_an_editor_takes_what_we_take(lines: str) -> None:
    jsonschema.validate(yaml.safe_load(f"{LEAST}userdata: {lines}"), schema())


@pytest.mark.parametrize(
    "lines", ["5\n", "[]\n", "{file: a, content: b}\n", "{file: a, mode: b}\n", "[[x]]\n", "{file: 5}\n"]
)
def test_an_editor_refuses_what_we_refuse(lines: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(f"{LEAST}userdata: {lines}"), schema())


def test_the_encodings_of_the_schema_are_those_that_are_decoded() -> None:
    assert tuple(schema()["$defs"]["source"]["properties"]["encoding"]["enum"]) == ENCODINGS
    metadata = schema()["properties"]["metadata"]["properties"]
    assert tuple(metadata["network.encoding"]["enum"]) == ENCODINGS


anything = st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([*FILES, *ENCODINGS])
sources = st.dictionaries(
    st.sampled_from(["file", "content", "encoding", "type", "filename", "packages"]),
    anything | st.dictionaries(st.text(), anything),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(anything | sources | st.lists(anything | sources, max_size=4))
def test_whatever_it_is_it_is_served_or_a_definition_error(raw: Any) -> None:
    text = (LEAST + "userdata: " + json.dumps(raw)).encode()
    try:
        instance = Definition(Source("web-01.yaml", text), read_file=read_file).instance()
    except DefinitionError:
        return
    instance.validate()
