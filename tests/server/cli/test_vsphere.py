import hashlib
import shlex
import ssl
from pathlib import Path

import pytest

from tests.support import command, tls

SECRET = "correct-horse"
NEEDED = ("--host", "vspc.example.org", "--uri", "my-metadata")


def printed(*arguments: str) -> list[str]:
    done = command.server("vsphere", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def refused(*arguments: str) -> str:
    done = command.server("vsphere", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def fingerprint(pem: Path) -> str:
    """Return what ``openssl x509 -sha1 -fingerprint`` prints of the certificate in a file."""
    text = pem.read_text()
    first = text[text.index("-----BEGIN CERTIFICATE") : text.index("-----END CERTIFICATE")]
    digest = hashlib.sha1(ssl.PEM_cert_to_DER_cert(first + "-----END CERTIFICATE-----")).hexdigest().upper()
    return ":".join(digest[place : place + 2] for place in range(0, 40, 2))


def test_it_prints_the_fields_of_vsphere_and_a_command_of_govc() -> None:
    assert printed(*NEEDED) == [
        "In the settings of the VM, a serial port that uses the network:",
        "",
        "  Direction   Client",
        "  Port URI    my-metadata",
        "  vSPC URI    telnet://vspc.example.org:13370",
        "",
        "With govc, for the VM NAME:",
        "",
        "  govc device.serial.connect -vm NAME -device serialport-9000 -client \\",
        "      -vspc-proxy telnet://vspc.example.org:13370 my-metadata",
    ]


def test_with_tls_it_prints_the_thumbprint_of_the_servers_own_certificate(tmp_path: Path) -> None:
    certificate = tls.write_certificate(tmp_path)
    lines = printed(*NEEDED, "--tls-listen", "192.0.2.1", "--tls-cert", str(certificate))
    assert f"  vSPC URI    telnets://vspc.example.org:13371#thumbprint={fingerprint(certificate)}" in lines
    assert not any("telnet://" in line for line in lines)


def test_the_words_for_a_shell_are_quoted(tmp_path: Path) -> None:
    certificate = str(tls.write_certificate(tmp_path))
    lines = printed(*NEEDED, "--tls-listen", ":0", "--tls-cert", certificate, "--token-file", "tokens")
    proxy, service = shlex.split(lines[-1])[1:]
    assert proxy.startswith("telnets://vspc.example.org:0#thumbprint=")
    assert service == "my-metadata?token=TOKEN"


def test_every_port_that_is_listened_on_is_there_once(tmp_path: Path) -> None:
    certificate = str(tls.write_certificate(tmp_path))
    addresses = ["--tls-listen", ":2", "--tls-cert", certificate, "--listen", "a:1", "--listen", "b:1"]
    rows = [line.split() for line in printed(*NEEDED, *addresses)[2:6]]
    assert [row[0] for row in rows] == ["Direction", "Port", "vSPC", "or"]
    assert rows[3] == ["or", "telnet://vspc.example.org:1"]


@pytest.mark.parametrize("host", ["2001:db8::1", "[2001:db8::1]"])
def test_an_ipv6_address_stands_in_brackets(host: str) -> None:
    assert "  vSPC URI    telnet://[2001:db8::1]:13370" in printed("--host", host, "--uri", "u")


def test_the_settings_of_the_server_are_taken_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        'uri = "my-metadata"\ndriver = "file"\ndriver-opts.directory = "/srv"\n'
        f'listen = [":13999"]\ntoken = "{SECRET}"\nmax-line = 2000\n'
    )
    lines = printed("--host", "vspc", "--config", str(file))
    assert lines[3:5] == ["  Port URI    my-metadata?token=TOKEN", "  vSPC URI    telnet://vspc:13999"]
    assert SECRET not in "".join(lines)
    assert lines != printed("--host", "vspc", "--config", str(file), "--listen", ":1")


def test_a_token_is_printed_only_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"{SECRET}-new\n{SECRET}-old\n")
    assert "  Port URI    my-metadata?token=TOKEN" in printed(*NEEDED, "--token-file", str(file))
    lines = printed(*NEEDED, "--token-file", str(file), "--show-token")
    assert f"  Port URI    my-metadata?token={SECRET}-new" in lines
    monkeypatch.setenv("VMW_CLOUDINIT_METADATA_TOKEN", SECRET)
    lines = printed("--host", "h", "--uri", "u?x=1", "--show-token")
    assert f"  Port URI    u?x=1&token={SECRET}" in lines


def test_without_a_token_there_is_none_to_show() -> None:
    assert "  Port URI    my-metadata" in printed(*NEEDED, "--show-token")


def test_what_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    assert "'--host': it is no name or address of a host" in refused("--host", "vspc:13370", "--uri", "u")
    assert "Missing option '--uri'" in refused("--host", "vspc")
    assert "TLS needs a certificate: give --tls-cert FILE" in refused(*NEEDED, "--tls-listen", ":0")
    missing = str(tmp_path / "missing")
    assert f"cannot read {missing}" in refused(*NEEDED, "--tls-listen", ":0", "--tls-cert", missing)
    assert f"cannot read {missing}" in refused(*NEEDED, "--token-file", missing, "--show-token")
    file = tmp_path / "config.toml"
    file.write_text("uri = 5")
    assert "config.toml: uri: must be a string" in refused("--host", "vspc", "--config", str(file))


def test_a_token_is_refused_on_the_command_line_and_not_quoted() -> None:
    error = refused(*NEEDED, "--token", SECRET)
    assert "every user of a machine can read its command lines; use --token-file" in error
    assert SECRET not in error
