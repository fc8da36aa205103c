"""The Python clients: a pytest suite that drives the broker through each of them."""
