"""Remarks on user-data as lines, for the tests of userdata.py and cloud_config.py."""

from collections.abc import Iterable

from vmw_cloudinit_metadata.checking.remarks import Remark


def lines(remarks: Iterable[Remark]) -> list[str]:
    """Each as ``fault`` or ``warning``, with the part, the line and the key that are named."""
    return [
        ("fault" if remark.serious else "warning")
        + "".join(f" part {number}" for number in remark.part)
        + f" {remark.line}"
        + (f" {remark.shown}" if remark.shown else "")
        + f": {remark.text}"
        + (f" ({remark.origin})" if remark.origin else "")
        for remark in remarks
    ]
