"""Whether the tests that can take minutes shall do so: ``LONG_TESTS=1 make test-all``."""

import os

WANTED = bool(os.environ.get("LONG_TESTS"))
