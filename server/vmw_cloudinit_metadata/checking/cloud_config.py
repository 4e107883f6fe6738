"""What is wrong with a cloud-config: YAML that cloud-init does not load, or not as it looks; and its content.

cloud-init loads it with PyYAML, which is YAML 1.1. So is it here, once its size and depth are known to be
harmless.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from vmw_cloudinit_metadata.checking.cloudinit import CloudInit
from vmw_cloudinit_metadata.checking.remarks import Remark
from vmw_cloudinit_metadata.checking.ssh_keys import ssh_key_fault
from vmw_cloudinit_metadata.checks import Path
from vmw_cloudinit_metadata.definition import Source
from vmw_cloudinit_metadata.definition.strict_yaml import TAG, compose, place_of

# Numbers that YAML 1.1 does not read as people do: 0644 is 420 to it, and 12:30 is 750.
_TRAPS = (
    (re.compile("[-+]?0[0-7_]+"), "is octal to YAML 1.1, since it begins with 0; quote it"),
    (re.compile("[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+"), "is a number of base 60 to YAML 1.1; quote it"),
)

_SSH_KEYS = ("ssh_authorized_keys", "ssh-authorized-keys")


def check_cloud_config(text: bytes, cloud_init: CloudInit | None) -> Iterator[Remark]:
    """Yield what is wrong with a cloud-config, with its header."""
    root, faults = compose(Source("", text))
    if root is None:
        fault = faults[-1]
        if fault.text != "the file is empty":  # as the header alone is, which cloud-init takes
            yield Remark(f"cloud-init does not load it: {fault.text}", serious=True, line=fault.line)
        return
    for fault in faults:
        # A definition may not hold the others either; cloud-init takes them.
        if fault.text.startswith("is given twice"):
            yield Remark(f"a key {fault.text}; the last one counts", line=fault.line)
    loader = _Loader()
    document = loader.load(root)
    # What is not what it seems is said once: that a number is no text follows.
    remarked = {remark.path for remark in loader.remarks}
    for remark in (*loader.remarks, *_check_document(document, cloud_init)):
        if remark.origin and remark.path in remarked:
            continue
        shown = cloud_init.shown(remark.path) if cloud_init else ""
        yield remark._replace(shown=shown, line=loader.line_of(remark.path))


class _Loader:
    """Makes values of nodes, and notes where each key stands and what is not what it seems."""

    def __init__(self) -> None:
        self.remarks: list[Remark] = []
        self._lines: dict[Path, int] = {}
        self._constructor = yaml.constructor.SafeConstructor()

    def load(self, node: yaml.Node, path: Path = ()) -> Any:
        """Return the value of a node; keys are text, as JSON has them."""
        self._lines.setdefault(path, place_of(node).line)
        if isinstance(node, yaml.MappingNode):
            return {key.value: self._value(key, value, path) for key, value in node.value}
        if isinstance(node, yaml.SequenceNode):
            return [self.load(value, (*path, number)) for number, value in enumerate(node.value)]
        return self._scalar(node, path) if isinstance(node, yaml.ScalarNode) else None

    def _value(self, key: yaml.ScalarNode, value: yaml.Node, path: Path) -> Any:
        self._lines[*path, key.value] = place_of(key).line
        return self.load(value, (*path, key.value))

    def line_of(self, path: Path) -> int:
        """Return the line of a value, or of what it is missing in."""
        while path not in self._lines and path:
            path = path[:-1]
        return self._lines.get(path, 0)

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        if node.tag == TAG + "str":
            return node.value
        if node.tag == TAG + "int":
            self.remarks += [Remark(text, path=path) for form, text in _TRAPS if form.fullmatch(node.value)]
        try:
            value = self._constructor.construct_object(node)
            # `content: !!binary …`; cloud-init takes it for text.
            return value.decode("latin-1") if isinstance(value, bytes) else value
        except yaml.YAMLError:
            text = (
                "cloud-init does not load it: a YAML tag (!…) that it does not know, or a value that is none"
            )
        except (ValueError, OverflowError):
            text = "cloud-init does not load it: this is no date, or no number; quote it"
        self.remarks.append(Remark(text, serious=True, path=path))
        return None


def _check_document(document: Any, cloud_init: CloudInit | None) -> Iterator[Remark]:
    if document is None:
        return
    if not isinstance(document, dict):
        yield Remark("is no mapping of keys and values, which #cloud-config has to be", serious=True)
        return
    yield from _check_ssh_keys(document, ())
    users = document.get("users")
    for number, user in enumerate(users if isinstance(users, list) else ()):
        if isinstance(user, dict):
            yield from _check_ssh_keys(user, ("users", number))
    if cloud_init is not None:
        for objection in cloud_init.check_cloud_config(document):
            yield Remark(objection.text, path=objection.path, origin=cloud_init.name)


def _check_ssh_keys(mapping: dict[str, Any], path: Path) -> Iterator[Remark]:
    for name in _SSH_KEYS:
        keys = mapping.get(name)
        for number, key in enumerate(keys if isinstance(keys, list) else ()):
            if isinstance(key, str) and (fault := ssh_key_fault(key)):
                yield Remark(fault, serious=True, path=(*path, name, number))
