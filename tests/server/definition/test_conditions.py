"""What a definition says of the VM it is for, and for how long."""

import textwrap
import uuid
from datetime import UTC, datetime

from tests.support.definitions import LEAST, parse
from vmw_cloudinit_metadata.instance import InstanceMatch, ServingWindow


def test_vendor_data_is_read_as_user_data_is() -> None:
    assert parse(LEAST).vendordata is None
    assert parse(LEAST + "vendordata: ~\n").vendordata is None
    assert parse(LEAST + "vendordata: |\n  #!/bin/sh\n").vendordata == "#!/bin/sh\n"
    assert parse(LEAST + "vendordata:\n  mode: 0644\n").vendordata == "#cloud-config\nmode: 0644\n"


def test_a_definition_says_for_which_vm_it_is_and_how_long_its_secrets_are_served() -> None:
    instance = parse(
        LEAST
        + textwrap.dedent(
            """\
            match:
              vc-uuid: 50 12 ab 34 cd 56 4e 78-90 12 34 56 78 9a bc de
              bios-uuid: 42124e78902345678901234567890123
            token: 0123456789
            serve: {runs: 3, until: 2030-12-31T18:00:00Z, until-reported: true}
            """
        )
    )
    instance.validate()
    assert instance.match == InstanceMatch(
        uuid.UUID("5012ab34-cd56-4e78-9012-3456789abcde"), uuid.UUID("42124e78-9023-4567-8901-234567890123")
    )
    assert instance.token == "0123456789"
    assert instance.serve == ServingWindow(3, datetime(2030, 12, 31, 18, tzinfo=UTC), until_reported=True)
    assert parse(LEAST + "serve: {runs: 1}\n").serve == ServingWindow(runs=1)
