"""One client's conversation with a broker: taken apart, shown, recorded."""
