"""Wire protocols: bytes in, bytes out. They do not import each other."""
