import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmw_cloudinit_metadata.vspc.service_uri import MAX_LOGGED, loggable, parameters

OURS = "my-metadata"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("my-metadata", {}),
        ("my-metadata?port=2", {"port": "2"}),
        ("my-metadata?token=a+b/c==&port=b%C3%BCro", {"token": "a+b/c==", "port": "büro"}),
        ("my-metadata?port", {"port": ""}),
        ("my-metadata?port=1&port=2", {"port": "2"}),
        ("my-metadata?token=%ff", {"token": "\ufffd"}),
    ],
)
def test_what_stands_behind_our_uri_is_read(uri: str, expected: dict[str, str]) -> None:
    assert parameters(uri, OURS) == expected


@pytest.mark.parametrize(
    "uri", ["", "other", "my-metadata2", "My-Metadata", "my-metadata&token=x", "x?my-metadata"]
)
def test_another_uri_has_nothing_for_us(uri: str) -> None:
    assert parameters(uri, OURS) is None


def test_our_uri_may_have_a_question_mark_itself() -> None:
    assert parameters("my?x=1", "my?x=1") == {}
    assert parameters("my?x=1&port=2", "my?x=1") == {"port": "2"}
    assert parameters("my?x=2", "my?x=1") is None
    assert parameters("my?x=1?port=2", "my?x=1") is None


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("my-metadata", "my-metadata"),
        ("telnet://192.0.2.1:13370", "telnet://192.0.2.1:13370"),
        ("my-metadata?token=hunter2", "my-metadata?..."),
        ("my-metadata&token=hunter2", "my-metadata&..."),
        ("my-metadata;token=hunter2", "my-metadata;..."),
        ("my-metadata#token=hunter2", "my-metadata#..."),
        ("my-metadata%3Ftoken=hunter2", "my-metadata%..."),
        ("my-metadata token=hunter2", "my-metadata token=..."),
        ("x" * 5000, "x" * MAX_LOGGED + "..."),
    ],
)
def test_what_may_be_a_token_is_not_logged(uri: str, shown: str) -> None:
    assert loggable(uri) == shown


@given(st.text())
def test_any_text_is_read_and_shown(uri: str) -> None:
    assert len(loggable(uri)) <= MAX_LOGGED + 3
    assert parameters(f"{OURS}?{uri}", OURS) is not None
