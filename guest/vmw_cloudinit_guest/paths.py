"""Where things are in a VM, and below another root: an image that is being built, or a test's directory."""

import os

CONFIG = "/etc/vmw-cloudinit-guest.conf"
# Where every release of cloud-init looks without being told.
SEED_DIRECTORY = "/var/lib/cloud/seed/nocloud"
# A link of cloud-init's own: there once an instance has been provisioned.
INSTANCE = "/var/lib/cloud/instance"

# While it is there, cloud-init does not run, and neither does our unit.
CLOUD_INIT_DISABLED = "/etc/cloud/cloud-init.disabled"
CLOUD_CONFIG = "/etc/cloud/cloud.cfg"
CLOUD_CONFIG_DIRECTORY = "/etc/cloud/cloud.cfg.d"
# The drop-in as it is shipped, and the link that makes it count. Its name sorts last: Ubuntu's installer
# leaves a 99-installer.cfg.
DROP_IN = "/usr/share/vmw-cloudinit-guest/zz-vmw-cloudinit-guest.cfg"
DROP_IN_LINK = "/etc/cloud/cloud.cfg.d/zz-vmw-cloudinit-guest.cfg"

UNIT = "vmw-cloudinit-guest.service"
REPORT_UNIT = "vmw-cloudinit-guest-report.service"


def under(root: str, path: str) -> str:
    """Return the place of an absolute path below a root."""
    return os.path.join(root, path.lstrip("/"))
