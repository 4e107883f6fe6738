"""``python -m vmw_cloudinit_guest``: the same as the command ``vmw-cloudinit-guest``."""

import sys

from vmw_cloudinit_guest.cli import main

sys.exit(main())
