import pytest

from vmw_cloudinit_metadata.checking.metadata import check_metadata
from vmw_cloudinit_metadata.instance import InstanceMetadata


def found(**metadata: object) -> list[str]:
    raw = {"hostname": "web-01", **{key.replace("__", " "): value for key, value in metadata.items()}}
    return [f"{path[1]}: {text}" for path, text in check_metadata(InstanceMetadata(raw))]


@pytest.mark.parametrize(
    "name", ["web-01", "WEB-01.example.org", "1", "a." * 30 + "b", "web-01.example.org."]
)
def test_a_host_name_as_dns_has_them_is_no_matter(name: str) -> None:
    assert found(hostname=name) == []


@pytest.mark.parametrize("name", ["büro/1", "web_01", "-web", "web-", "a..b", "12:30", "a" * 64, "web!"])
def test_any_other_is_doubtful(name: str) -> None:
    (warning,) = found(hostname=name)
    assert warning.startswith("hostname: is no name as DNS has them: letters, digits and -")
    assert name not in warning


def test_a_key_that_looks_like_a_known_one_is_doubtful() -> None:
    text = "reaches the guest as it stands; did you mean"
    given = {"public_key": [], "instance-idd": "x", "Hostname": "y", "host-name": "z", "Tag": "t"}
    assert found(**given) == [
        f"public_key: {text} public-keys?",
        f"instance-idd: {text} instance-id?",
        f"Hostname: {text} hostname?",
        f"host-name: {text} hostname?",
        f"Tag: {text} tags?",
    ]


def test_other_keys_are_meant() -> None:
    keys = (
        "instance-type",
        "public-hostname",
        "public-ipv4",
        "owner",
        "ami",
        "role",
        "zone",
        "name",
        "local-ipv4",
    )
    assert found(**dict.fromkeys(keys, "x")) == []
