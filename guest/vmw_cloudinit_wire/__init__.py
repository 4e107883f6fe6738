"""The packet codec that server and guest share. Standard library only, Python 3.6 and later."""

from vmw_cloudinit_wire.packet import LineBuffer, Packet, PacketError, decode, encode

__all__ = ["LineBuffer", "Packet", "PacketError", "decode", "encode"]
