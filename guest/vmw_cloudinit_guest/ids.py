"""Ids that tell attempts and runs apart: random, but no secrets."""

import binascii


def fresh_id() -> str:
    """Return eight hexadecimal digits.

    Not os.urandom: early at boot it may wait for entropy, on older kernels for minutes. The device never
    does, and another id than the last boot's is all that is needed.
    """
    with open("/dev/urandom", "rb", buffering=0) as file:
        return binascii.hexlify(file.read(4)).decode()
