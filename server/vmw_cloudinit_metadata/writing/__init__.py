"""Definitions as text: what ``init`` and ``import`` write. Pure; files and options are the commands'."""
