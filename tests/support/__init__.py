"""What tests share: real servers and loopback ends of the world. Fixtures live in conftest.py."""
