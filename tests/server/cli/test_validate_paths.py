"""Which definitions ``validate`` reads, and in what form it prints what it has found."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.server.cli.validated import Validated
from tests.support.definitions import LEAST
from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.vspc.vm_client import VMClient

# Which definitions


def test_a_path_is_a_file_or_a_directory(validated: Validated) -> None:
    one = validated.write("web-01.yaml", "x: 1\n")
    other = validated.write("group/web-02.yaml", "x: 1\n")
    validated.write("group/sub/web-03.yaml", "x: 1\n")
    validated.write("group/web-04.YAML", "")
    group = str(validated.path / "group")

    def files(*paths: str) -> list[str]:
        return list(dict.fromkeys(line.partition(":")[0] for line in validated.found(*paths)))

    assert files(one) == ["web-01.yaml"]
    assert files(one, other) == ["group/web-02.yaml", "web-01.yaml"]
    assert files(group) == ["group/sub/web-03.yaml", "group/web-02.yaml", "group/web-04.YAML"]
    assert files(other, group, other) == files(group)
    assert len(files(str(validated.path))) == 4


def test_a_path_alone_is_the_directory_from_which_defaults_count(validated: Validated) -> None:
    validated.write("_defaults.yaml", "metadata: {hostname: web-01}\n")
    path = validated.write("group/web-01.yaml", "metadata: {region: eu-1}\n")
    driver = ("--driver-opts", json.dumps({"directory": str(validated.path)}))
    assert validated.found(path, *driver) == validated.found(str(validated.path)) == []
    alone = [
        "group/web-01.yaml:1: metadata: hostname is missing",
        "_defaults.yaml: warning: is not counted: it lies above the directory that is checked; "
        "say the server's in --driver-opts",
    ]
    assert validated.found(path) == validated.found(str(validated.path / "group")) == alone


def test_the_driver_s_directory_may_stand_in_its_configuration(
    validated: Validated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validated.write("web-01.yaml", "x: 1\n")
    config = tmp_path / "config.toml"
    config.write_text(
        f'uri = "u"\nno-such-key = 1\ndriver = "file"\ndriver-opts.directory = "{validated.path}"\n'
        "driver-opts.require-match = true\n"
    )
    assert len(validated.found("--config", str(config))) == 2
    assert len(validated.found(str(validated.path / "web-01.yaml"), "--config", str(config))) == 2
    monkeypatch.setenv("VMW_CLOUDINIT_METADATA_DRIVER_OPTS", json.dumps({"directory": str(validated.path)}))
    assert len(validated.found("--driver", "file")) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--driver", "file"], "give a PATH, the server's --config, or a directory in --driver-opts"),
        (["SITE/README"], "SITE/README is no definition of the driver's, and has none in it"),
        (["SITE/empty"], "there is no definition in SITE/empty: their names end with .yaml or .yml"),
        (["SITE/gone"], "Path 'SITE/gone' does not exist"),
        (["/", "--driver-opts", '{"directory": "SITE"}'], "/ is not in the driver's directory, SITE"),
        (["SITE", "--driver-opts", '{"dir": "SITE"}'], "FileDriver has no option dir"),
        (
            ["SITE", "--driver", "tests.server.cli.test_validate_paths:OtherDriver"],
            "validate reads the definitions of the driver file;"
            " what tests.server.cli.test_validate_paths:OtherDriver serves, 'show VM' tells",
        ),
    ],
)
def test_what_cannot_be_validated_is_a_sentence_and_exit_code_2(
    arguments: list[str], sentence: str, validated: Validated
) -> None:
    validated.write("web-01.yaml", LEAST)
    validated.write("README", "")
    (validated.path / "empty").mkdir()
    done = validated.validate(
        *(each.replace("SITE", str(validated.path)) for each in arguments or ["--driver", "file"])
    )
    assert (done.exit_code, done.output, done.error.count("\n")) == (2, "", 1)
    assert sentence.replace("SITE", str(validated.path)).replace(f"{validated.path}/", "") in done.error


class OtherDriver(Driver):
    """One that keeps its instances elsewhere."""

    def parse_options(self, opts: dict[str, Any]) -> None:
        """Take any."""

    def get_instance(self, vm_client: VMClient) -> None:
        """Have none."""


# Output


def test_json_is_an_object_with_all_that_was_found(validated: Validated) -> None:
    validated.write("web-01.yaml", "metadata: {hostname: a b}\n")
    validated.write("web-02.yaml", LEAST + "userdata: |\n  #cloud-config\n  packages: 1\n")
    validated.write("db.YAML", "")
    done = validated.validate(str(validated.path), "--format", "json")
    assert (done.exit_code, done.error) == (1, "")
    assert json.loads(done.output) == {
        "definitions": 2,
        "cloud-init": "25.1.4",
        "faults": [
            {
                "file": "web-01.yaml",
                "line": 1,
                "key": "metadata.hostname",
                "text": "'a b' is not a host name (text without spaces, of at most 253 characters)",
            }
        ],
        "warnings": [
            {
                "file": "db.YAML",
                "line": None,
                "key": None,
                "text": "is served to no VM: the names of definitions end with .yaml or .yml,"
                " in small letters",
            },
            {
                "file": "web-02.yaml",
                "line": 4,
                "key": "userdata.packages",
                "text": "is not a list (schema of cloud-init 25.1.4)",
            },
        ],
    }


def test_what_the_driver_logs_is_not_printed_as_well(validated: Validated) -> None:
    validated.write("web-01.yaml", LEAST)
    (validated.path / "others").symlink_to("/")
    assert len(validated.found()) == 1
