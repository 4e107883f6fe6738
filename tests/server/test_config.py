import pytest

from vmw_cloudinit_metadata.config import Settings, parse_address, parse_driver_options
from vmw_cloudinit_metadata.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1:4000", ("192.0.2.1", 4000)),
        ("vspc.example.org:4000", ("vspc.example.org", 4000)),
        ("[2001:db8::1]:4000", ("2001:db8::1", 4000)),
        ("192.0.2.1", ("192.0.2.1", 13370)),
        ("[::1]", ("::1", 13370)),
        (":4000", ("", 4000)),
        ("*:4000", ("", 4000)),
    ],
)
def test_an_address_is_a_host_and_a_port_either_of_which_may_be_left_out(
    text: str, address: tuple[str, int]
) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["host:", "host:port", "host:65536", "host:-1", "host:\u0661", "::1", "::1:4000", "13370"]
)
def test_what_is_no_address_is_said_in_one_sentence(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not HOST:PORT") as caught:
        parse_address(text)
    assert "\n" not in str(caught.value)


def test_driver_options_are_a_json_object() -> None:
    assert parse_driver_options('{"directory": "/srv"}') == {"directory": "/srv"}


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, "directory=/srv", '["hunter2"]', '"hunter2"', '{"password": "hunter2"']
)
def test_driver_options_that_are_none_are_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"the driver's options are") as caught:
        parse_driver_options(text)
    assert "hunter2" not in str(caught.value)


def test_driver_options_do_not_show_in_a_repr() -> None:
    settings = Settings(uri="u", driver="file", driver_options={"password": "hunter2"})
    assert "hunter2" not in repr(settings)
