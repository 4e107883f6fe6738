import pytest

from tests.support.definitions import LEAST
from vmw_cloudinit_metadata.checking.places import Places
from vmw_cloudinit_metadata.checking.remarks import Remark
from vmw_cloudinit_metadata.checks import Path
from vmw_cloudinit_metadata.definition import Definition, Place, Source

TOKEN = "token: 12345678\n"


def places(text: str, defaults: str = "") -> tuple[Places, Definition]:
    source, under = Source("a.yaml", text.encode()), Source("_defaults.yaml", defaults.encode())
    definition = Definition(source, [under] if defaults else [])
    return Places(definition.places(), lambda: [source, under] if defaults else [source]), definition


def where(text: str, remark: Remark, defaults: str = "", key: str = "userdata") -> str:
    """The line of a remark on user-data, and the words for the rest of the way."""
    known, definition = places(text, defaults)
    instance = definition.instance()
    data = instance.userdata if key == "userdata" else instance.vendordata
    assert data is not None
    place, way = known.of_remark(key, remark, data if isinstance(data, bytes) else data.encode())
    return f"{place.source}:{place.line}{' ' if way else ''}{way}"


def test_a_value_is_where_it_is_written_or_what_it_would_stand_in() -> None:
    known, _ = places(
        LEAST + "network:\n  dhcp4: true\n  nameservers:\n    - 192.0.2.1\n", "token: 12345678\n"
    )
    assert known.of(("network", "nameservers", 0)) == Place("a.yaml", 5)
    assert known.of(("network", "mac")) == Place("a.yaml", 2)
    assert known.of(("token",)) == Place("_defaults.yaml", 1)
    assert known.of(("serve", "runs")) == Place("a.yaml", 1)
    assert known.of_key("network.nameservers[0]") == Place("a.yaml", 5)
    assert known.of_key("network.nameservers[1]") == Place("a.yaml", 4)
    assert known.of_key("network.routes[1].via") == Place("a.yaml", 2)
    assert known.of_key("serve") == known.of_key("") == Place("a.yaml", 1)
    assert known.spelt(("metadata", "instance_id")) == ("metadata", "instance-id")
    assert known.spelt(("metadata", "local_hostname")) == ("metadata", "hostname")
    assert known.spelt(("metadata", "region", 1)) == ("metadata", "region", 1)
    assert known.spelt(("metadata", "of-my-own")) == ("metadata", "of-my-own")
    assert known.spelt(("network", "mac")) == ("network", "mac")
    assert (known.has("network"), known.has("token"), known.has("serve")) == (True, True, False)


@pytest.mark.parametrize(
    ("userdata", "remark", "place"),
    [
        ("|\n  #cloud-config\n  a: 1\n", Remark("", line=2), "a.yaml:4"),
        ("|\n  #cloud-config\n  a: 1\n", Remark("", line=1), "a.yaml:3"),
        ("|\n  #cloud-config\n  a: 1\n", Remark(""), "a.yaml:2"),
        ("|\n  #cloud-config\n\n  a: 1\n", Remark("", line=2), "a.yaml:2 its line 2"),
        ("|\n  #cloud-config\n  a: 1\n", Remark("", line=9), "a.yaml:2 its line 9"),
        ("|\n  #cloud-config\n  a: 1\n", Remark("", line=2, part=(3,)), "a.yaml:2 its part 3, line 2"),
        (">\n  #cloud-config\n\n  a: 1\n", Remark("", line=2), "a.yaml:2 its line 2"),
        ('"#cloud-config\\na: 1"\n', Remark("", line=2), "a.yaml:2 its line 2"),
        ("\n  a: 1\n  b:\n    - x\n    - c: 2\n", Remark("", line=3, path=("b", 1, "c")), "a.yaml:6"),
        ("\n  a: 1\n  b:\n    - x\n    - c: 2\n", Remark("", line=3, path=("b", 0)), "a.yaml:5"),
        ("\n  <<: {a: 1}\n  b: 2\n", Remark("", line=3, path=("a",)), "a.yaml:3"),
    ],
)
def test_of_user_data_a_line_of_text_or_a_key_of_a_mapping_is_found(
    userdata: str, remark: Remark, place: str
) -> None:
    assert where(LEAST + f"userdata: {userdata}", remark) == place


@pytest.mark.parametrize(
    ("path", "place"), [(("a",), "a.yaml:2"), (("b",), "_defaults.yaml:3"), (("c", 0), "a.yaml:2")]
)
def test_a_key_is_in_the_definition_or_in_the_defaults_that_it_comes_from(path: Path, place: str) -> None:
    assert (
        where(
            LEAST + "vendordata: {a: 1, c: [2]}\n",
            Remark("", path=path),
            "vendordata:\n  a: 2\n  b: 3\n  c: [4]\n",
            "vendordata",
        )
        == place
    )


@pytest.mark.parametrize(
    ("remark", "place"),
    [
        (Remark("", line=1, path=("a",), part=(1,)), "a.yaml:3"),
        (Remark("", line=2, part=(2,)), "a.yaml:4 its line 2"),
        (Remark("", line=2, path=("b",), part=(3,)), "a.yaml:8"),
        (Remark("", line=1, part=(4, 2)), "a.yaml:9 its part 2, line 1"),
        (Remark("", line=1, part=(9,)), "a.yaml:2 its part 9, line 1"),
    ],
)
def test_of_a_list_the_part_is_found(remark: Remark, place: str) -> None:
    text = """\
userdata:
  - a: 1
  - |
    #cloud-config
    b: 2
  - content:
      b: 1
  - content: "#!/bin/sh"
"""
    assert where(LEAST + text, remark) == place


def test_what_is_packed_in_a_mapping_of_its_own_is_found() -> None:
    text = LEAST + "userdata:\n  content: |\n    #cloud-config\n    a: 1\n"
    assert where(text, Remark("", line=2, path=("a",))) == "a.yaml:5"
