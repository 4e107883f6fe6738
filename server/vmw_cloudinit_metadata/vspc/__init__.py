"""The virtual serial port concentrator: a sans-IO core under a thin asyncio shell."""
