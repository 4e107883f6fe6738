import textwrap

import pytest

from tests.server.checking.remarked import lines
from tests.server.checking.test_ssh_keys import ED25519
from tests.support.definitions import SECRET
from vmw_cloudinit_metadata.checking.cloud_config import check_cloud_config
from vmw_cloudinit_metadata.checking.cloudinit import CloudInit

UNLOADED = "cloud-init does not load it: "
TAG = "a YAML tag (!…) that it does not know, or a value that is none"
NO_MAPPING = "is no mapping of keys and values, which #cloud-config has to be"
OCTAL = "is octal to YAML 1.1, since it begins with 0; quote it"


def remarks(data: bytes, cloud_init: CloudInit | None = None) -> list[str]:
    return lines(check_cloud_config(data, cloud_init))


@pytest.mark.parametrize(
    ("lines", "sentences"),
    [
        ("a:\n\tb: 1", [f"fault 3: {UNLOADED}a tab stands where YAML wants spaces"]),
        ("a: [", [f"fault 3: {UNLOADED}not YAML: did not find expected node content"]),
        ("a: b: c", [f"fault 2: {UNLOADED}not YAML: mapping values are not allowed in this context"]),
        ("a: 1\n---\nb: 1", [f"fault 3: {UNLOADED}a second YAML document begins here; a file holds one"]),
        ("[a]", [f"fault 2: {NO_MAPPING}"]),
        ("hunter2", [f"fault 2: {NO_MAPPING}"]),
        ("a: 1\nb: 2\na: 3", ["warning 4: a key is given twice (first on line 2); the last one counts"]),
        ("a:\n  mode: 0644", [f"warning 3: {OCTAL}"]),
        ("a: {b: [1, 012345]}", [f"warning 2: {OCTAL}"]),
        ("a: 22:22", ["warning 2: is a number of base 60 to YAML 1.1; quote it"]),
        ("a: '22:22'\nb: \"0644\"\nc: 0o644\nd: 10.0.0.1", []),
        ("a: !hunter2 x", [f"fault 2: {UNLOADED}{TAG}"]),
        ("a: 2024-13-45", [f"fault 2: {UNLOADED}this is no date, or no number; quote it"]),
        ("a: !!binary ä", [f"fault 2: {UNLOADED}{TAG}"]),
    ],
)
def test_yaml_that_is_not_what_it_seems_is_told_with_its_line(lines: str, sentences: list[str]) -> None:
    assert remarks(f"#cloud-config\n{lines}\n".encode()) == sentences


def test_ssh_keys_in_it_are_read(cloud_init: CloudInit) -> None:
    data = f"""\
#cloud-config
ssh_authorized_keys:
  - {ED25519}
  - ssh-rsa {SECRET}
users:
  - default
  - name: admin
    ssh_authorized_keys: [{ED25519[:40]}]
"""
    told = [line for line in remarks(data.encode(), cloud_init) if line.startswith("fault")]
    assert told == [
        "fault 4 ssh_authorized_keys[1]: is not whole base64: it was cut, or broken over two lines;"
        " copy the whole line again",
        "fault 8 users[1].ssh_authorized_keys[0]: ends in its middle: it was cut; copy the whole line again",
    ]


def test_cloud_init_s_schema_is_a_warning_with_its_release(cloud_init: CloudInit) -> None:
    data = b"#cloud-config\npackages:\n  - nginx\n  - [a, '1']\n\npakages: [vim]\npower_state:\n  mode: 1\n"
    of_schema = "(schema of cloud-init 25.1.4)"
    assert remarks(data, cloud_init) == [
        f"warning 6 …: is not a known key; did you mean packages? {of_schema}",
        f"warning 4 packages[1]: is not text {of_schema}",
        f"warning 8 power_state.mode: is not poweroff or reboot {of_schema}",
    ]
    assert remarks(data) == []


def test_of_what_is_not_what_it_seems_the_schema_has_nothing_to_add(cloud_init: CloudInit) -> None:
    data = b"#cloud-config\npackages: [0644, 7]\n"
    assert remarks(data, cloud_init) == [
        f"warning 2 packages[0]: {OCTAL}",
        "warning 2 packages[1]: is not text (schema of cloud-init 25.1.4)",
    ]
    assert remarks(b"#cloud-config\n0644\n", cloud_init) == [f"warning 2: {OCTAL}", f"fault 2: {NO_MAPPING}"]


def test_bytes_are_text_to_cloud_init_and_to_its_schema(cloud_init: CloudInit) -> None:
    data = b"#cloud-config\npackages: [!!binary bmdpbng=]\npower_state: {message: !!binary bmdpbng=}\n"
    assert remarks(data, cloud_init) == [
        "warning 3 power_state.message: does not fit the pattern ^[A-Z] (schema of cloud-init 25.1.4)"
    ]


def test_what_an_alias_repeats_is_told_where_it_stands_and_where_it_is_repeated() -> None:
    data = b"#cloud-config\nbootcmd: &x\n  - 010\nruncmd: *x\n"
    assert remarks(data) == [f"warning 3: {OCTAL}", f"warning 3: {OCTAL}"]


def test_what_repeats_itself_or_nests_without_end_is_not_expanded() -> None:
    laughs = textwrap.dedent("""\
        #cloud-config
        a: &a [x, x, x, x, x, x, x, x, x, x]
        """) + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
        for before, name in zip("abcdefg", "bcdefgh", strict=True)
    )
    for data in (laughs, "#cloud-config\na: " + "[" * 100_000):
        (line,) = remarks(data.encode())
        assert line.startswith("fault ")
