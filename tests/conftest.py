"""What holds for all tests."""

from hypothesis import settings

# How long an example takes tells how busy the machine is, and nothing of the program.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
