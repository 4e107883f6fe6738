"""Values -> the text of a definition, which reads as these values again, and as people write it.

Who calls this holds the result against ``parse_definition``: what it may hold is decided there.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any

import yaml

# What a literal block (``|``) gives back unchanged: no line end but \n, and nothing that YAML refuses.
_LITERAL = re.compile(
    "[\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]+"
)

# As base64(1) writes it.
_BASE64_COLUMNS = 76

_DOCUMENTS = ("userdata", "vendordata")


def definition_text(definition: Mapping[str, Any]) -> str:
    """Return a definition as YAML: its keys in their order, with an empty line between them.

    Values are what JSON has; ``userdata`` and ``vendordata`` are bytes.
    """
    text = ""
    for key, value in definition.items():
        # An empty line behind a document that ends in empty lines would be one more of them.
        text += "\n" if text and not text.endswith("\n\n") else ""
        text += document_text(key, value) if key in _DOCUMENTS else _dump({key: value})
    return text


def document_text(key: str, content: bytes) -> str:
    """Return the lines of a key whose value is a document, byte for byte.

    Text is a literal block, or where YAML cannot have that, in double quotes. What is no UTF-8 is base64.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        encoded = base64.b64encode(content).decode()
        lines = [encoded[at : at + _BASE64_COLUMNS] for at in range(0, len(encoded), _BASE64_COLUMNS)]
        return f"{key}:\n  encoding: base64\n  content: |\n" + "".join(f"    {line}\n" for line in lines)
    if not _LITERAL.fullmatch(text):
        return _dump({key: text}, default_style='"').replace(f'"{key}":', f"{key}:", 1)
    return f"{key}: |{_header(text)}\n{indented(text)}"


def inline(value: Any) -> str:
    """Return a value on one line, as it stands behind a key; quoted where YAML would take it for another."""
    return _dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")


def indented(text: str) -> str:
    """Return the lines of a text, each but the empty ones two spaces farther in."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return "".join(f"  {line}\n" if line else "\n" for line in lines)


def _header(text: str) -> str:
    """Return what stands behind ``|``: the indentation where a text hides it, and what becomes of its end."""
    # YAML finds the indentation by the first line: that must not begin with white space of its own.
    hidden = "2" if text[0] in " \t\n" else ""
    if not text.endswith("\n"):
        return f"{hidden}-"
    return f"{hidden}+" if text.endswith("\n\n") or text == "\n" else hidden


def _dump(value: Any, **options: Any) -> str:
    settings = {"allow_unicode": True, "sort_keys": False, "width": 10_000, "indent": 2, **options}
    text: str = yaml.dump(value, Dumper=_Dumper, **settings)
    return text


class _Dumper(yaml.SafeDumper):
    """Writes lists one step farther in than their key, and no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True
