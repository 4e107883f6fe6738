"""Drivers: where the instances come from."""
