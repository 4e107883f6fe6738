import re

from vmw_cloudinit_guest.ids import fresh_id


def test_ids_are_eight_hexadecimal_digits_and_hardly_ever_the_same() -> None:
    ids = {fresh_id() for _ in range(100)}
    assert all(re.fullmatch("[0-9a-f]{8}", each) for each in ids)
    assert len(ids) > 90
