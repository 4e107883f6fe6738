"""Definitions: the YAML files that instances come from. What is not named here is the package's own."""

from vmw_cloudinit_metadata.definition.defaults import MAX_DEFINITION, check_defaults
from vmw_cloudinit_metadata.definition.definition import (
    Definition,
    parse_definition,
)
from vmw_cloudinit_metadata.definition.parts import parse_match, parse_vms
from vmw_cloudinit_metadata.definition.rules import schema
from vmw_cloudinit_metadata.definition.source import Place, ReadFile, Source
from vmw_cloudinit_metadata.definition.vms import VMFacts, VMs

__all__ = [
    "MAX_DEFINITION",
    "Definition",
    "Place",
    "ReadFile",
    "Source",
    "VMFacts",
    "VMs",
    "check_defaults",
    "parse_definition",
    "parse_match",
    "parse_vms",
    "schema",
]
