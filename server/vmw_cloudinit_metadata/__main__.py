"""``python -m vmw_cloudinit_metadata``: the same as the command."""

from vmw_cloudinit_metadata.cli.main import main

main()
