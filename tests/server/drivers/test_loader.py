import sys
from pathlib import Path
from typing import Any

import pytest

from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.drivers.loader import driver_names, load_driver
from vmw_cloudinit_metadata.errors import DriverLoadError

CONTRACT = "vmw_cloudinit_metadata.drivers.driver:Driver"

MODULES = {
    "good_driver": """
        from vmw_cloudinit_metadata.drivers.driver import Driver
        class Good(Driver):
            def parse_options(self, opts):
                if "password" not in opts:
                    raise ValueError("the option password\\n  is needed")
                return opts
            def get_instance(self, vm_client):
                return None
        class Raises(Good):
            def parse_options(self, opts):
                return opts["directory"]
        class Half(Driver):
            def parse_options(self, opts):
                return opts
        class NoDriver:
            pass
        def function(opts):
            return None
        """,
    "broken_driver": "raise RuntimeError('no database\\nhere')",
    "misspelt_driver": "def x(:",
    "leaving_driver": "import sys; sys.exit()",
    "needy_driver": "import no_such_library.client",
}


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, source in MODULES.items():
        lines = source.splitlines()
        (tmp_path / f"{name}.py").write_text("\n".join(line.removeprefix(" " * 8) for line in lines))
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))


def refusal(spec: str, opts: Any = None) -> str:
    with pytest.raises(DriverLoadError) as caught:
        load_driver(spec, {} if opts is None else opts)
    return str(caught.value)


def test_a_driver_is_found_by_module_and_class() -> None:
    driver = load_driver("good_driver:Good", {"password": "x"})
    assert isinstance(driver, Driver)
    assert driver.options == {"password": "x"}


@pytest.mark.parametrize("spec", ["file", "vmw_cloudinit_metadata.drivers.file:FileDriver"])
def test_the_file_driver_is_found_by_its_entry_point_and_by_the_name_it_had_in_0_0_8(
    spec: str, tmp_path: Path
) -> None:
    driver = load_driver(spec, {"directory": str(tmp_path)})
    assert type(driver) is FileDriver
    assert driver.options.directory == str(tmp_path)


def test_an_unknown_entry_point_is_answered_with_those_that_exist() -> None:
    sentence = refusal("files")
    assert sentence.startswith("no driver is called 'files' (installed: ")
    assert "file" in sentence.split("installed: ")[1]
    assert sentence.endswith("or name one as module:Class")


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (
            "no_such_module:Driver",
            "driver no_such_module:Driver: there is no module no_such_module; "
            "is its directory in PYTHONPATH?",
        ),
        (
            "good_driver.sub.module:Driver",
            "driver good_driver.sub.module:Driver: there is no module good_driver.sub",
        ),
        ("good_driver:Missing", "driver good_driver:Missing: module good_driver has no class 'Missing'"),
        ("good_driver:", "driver good_driver:: module good_driver has no class ''"),
        (
            "good_driver:NoDriver",
            f"driver good_driver:NoDriver: NoDriver is not a subclass of {CONTRACT}",
        ),
        (
            "good_driver:function",
            f"driver good_driver:function: function is not a subclass of {CONTRACT}",
        ),
        ("good_driver:Half", "driver good_driver:Half: Half lacks get_instance"),
        (
            CONTRACT,
            f"driver {CONTRACT}: Driver lacks get_instance and parse_options",
        ),
        (
            "broken_driver:Driver",
            "driver broken_driver:Driver: its module cannot be imported: RuntimeError: no database here",
        ),
        ("leaving_driver:Driver", "driver leaving_driver:Driver: its module cannot be imported: SystemExit"),
        (
            "needy_driver:Driver",
            "driver needy_driver:Driver needs the module no_such_library, which is not installed",
        ),
        (":Driver", "driver :Driver: its module cannot be imported: ValueError: Empty module name"),
    ],
)
def test_a_driver_that_cannot_be_used_is_one_sentence(spec: str, sentence: str) -> None:
    assert refusal(spec) == sentence


def test_a_module_with_a_syntax_error_is_one_sentence() -> None:
    sentence = refusal("misspelt_driver:Driver")
    assert sentence.startswith("driver misspelt_driver:Driver: its module cannot be imported: SyntaxError: ")
    assert "misspelt_driver.py, line 1" in sentence
    assert "\n" not in sentence


def test_options_that_a_driver_refuses_are_one_sentence() -> None:
    assert refusal("good_driver:Good") == (
        "driver good_driver:Good refuses its options: ValueError: the option password is needed"
    )
    assert refusal("good_driver:Raises") == (
        "driver good_driver:Raises refuses its options: KeyError: 'directory'"
    )
    assert refusal("file") == ('FileDriver needs the option directory, as in {"directory": "/srv/instances"}')


@pytest.mark.parametrize("opts", [[], "x", 5])
def test_options_are_a_mapping(opts: Any) -> None:
    assert refusal("file", opts) == (
        'the options of driver file are not a mapping such as {"directory": "/srv"}'
    )


def test_a_driver_gets_its_own_copy_of_the_options() -> None:
    given = {"password": "x"}
    load_driver("good_driver:Good", given).options["password"] = "changed"
    assert given == {"password": "x"}


def test_the_names_of_installed_drivers_are_known() -> None:
    assert "file" in driver_names()
