"""Serve cloud-init metadata to virtual machines over their virtual serial ports (VMware vSPC)."""

import importlib.metadata

__version__ = importlib.metadata.version("vmw-cloudinit-metadata")
