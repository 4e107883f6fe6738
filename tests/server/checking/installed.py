"""A cloud-init that is installed in a directory: its release, and schemas of the size of a page."""

import json
from pathlib import Path
from typing import Any

# Keys that it knows and has no rule for.
OTHERS = ("write_files", "runcmd", "bootcmd", "ssh_authorized_keys")

CLOUD_CONFIG: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "$defs": {
        "texts": {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "string"}},
        "cc_packages": {
            "type": "object",
            "properties": {"packages": {"$ref": "#/$defs/texts"}, "package_update": {"type": "boolean"}},
        },
        "cc_users": {
            "type": "object",
            "properties": {
                "users": {
                    "type": "array",
                    "items": {
                        "oneOf": [
                            {"type": "string"},
                            {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "ssh_authorized_keys": {"type": "array"},
                                    "uid": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
                                    "sudo": {"type": ["string", "null"]},
                                },
                                "additionalProperties": False,
                            },
                        ]
                    },
                },
                "groups": {"type": "object", "patternProperties": {"^.+$": {"$ref": "#/$defs/texts"}}},
            },
        },
        "cc_power": {
            "type": "object",
            "properties": {
                "power_state": {
                    "type": "object",
                    "properties": {
                        "mode": {"enum": ["poweroff", "reboot"]},
                        "delay": {"oneOf": [{"type": "integer", "minimum": 0}, {"enum": ["now"]}]},
                        "message": {"type": "string", "maxLength": 20, "pattern": "^[A-Z]"},
                    },
                }
            },
        },
    },
    "allOf": [{"$ref": "#/$defs/cc_packages"}, {"$ref": "#/$defs/cc_users"}, {"$ref": "#/$defs/cc_power"}],
    "properties": {
        name: {} for name in ("packages", "package_update", "users", "groups", "power_state", *OTHERS)
    },
    "additionalProperties": False,
}

NETWORK_CONFIG: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$defs": {
        "version1": {
            "type": "object",
            "required": ["version", "config"],
            "properties": {
                "version": {"enum": [1]},
                "config": {
                    "type": "array",
                    "items": {
                        "anyOf": [
                            {
                                "type": "object",
                                "required": ["type", "name"],
                                "properties": {
                                    "type": {"enum": ["physical"]},
                                    "name": {"type": "string"},
                                    "mtu": {"type": ["integer", "null"]},
                                },
                            },
                            {
                                "type": "object",
                                "required": ["type"],
                                "properties": {"type": {"enum": ["nameserver"]}},
                            },
                        ]
                    },
                },
            },
        }
    },
    "oneOf": [
        {"$ref": "#/$defs/version1"},
        {"required": ["network"], "properties": {"network": {"$ref": "#/$defs/version1"}}},
    ],
}


def install(directory: Path, release: str = "25.1.4", packaged: str = "@@PACKAGED_VERSION@@") -> str:
    """Install it, with a network schema of version 1; return the directory, as those of Python are named."""
    schemas = directory / "cloudinit/config/schemas"
    schemas.mkdir(parents=True)
    (directory / "cloudinit/version.py").write_text(
        f'__VERSION__ = "{release}"\n_PACKAGED_VERSION = "{packaged}"\n'
    )
    (directory / "cloudinit/__init__.py").write_text("raise RuntimeError('nobody imports it')\n")
    (schemas / "schema-cloud-config-v1.json").write_text(json.dumps(CLOUD_CONFIG))
    (schemas / "schema-network-config-v1.json").write_text(json.dumps(NETWORK_CONFIG))
    return str(directory)
