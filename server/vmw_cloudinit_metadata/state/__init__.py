"""What the server must still know after a restart: serving windows, and what guests have reported."""
