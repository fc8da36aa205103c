"""What the pytest plugin does once a test uses a broker. `pytest_plugin.py` is all that is loaded before."""
