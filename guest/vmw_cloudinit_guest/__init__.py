"""The guest's half: ask for metadata over the serial port and write a NoCloud seed. Python 3.6 and later."""

__version__ = "0.1.0"
