"""An ESXi host with VMs, simulated: the other half of the protocol, for people and tests without vSphere.

    telnet.py      framing and options                        sans-IO
    host.py        HostPort: the dialogue of one connection   sans-IO
    connection.py  HostPort on a TCP or TLS connection
    vm.py          SimulatedVM: one serial line over changing connections; reconnects, migrates
    port.py        the serial line as a pty or a Unix socket
    run.py         many VMs in the foreground: the command ``simulate``

It shares the codec of suboptions with the server, ``vspc/vmware_ext.py``, and nothing else: a bug in one half
must show in the other.
"""

from vmw_cloudinit_metadata.simulator.host import HostPort, Identity, Phase, VMotion
from vmw_cloudinit_metadata.simulator.vm import DEFAULT_PORT, RefusedError, SimulatedVM

__all__ = ["DEFAULT_PORT", "HostPort", "Identity", "Phase", "RefusedError", "SimulatedVM", "VMotion"]
