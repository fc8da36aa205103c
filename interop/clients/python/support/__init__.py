"""What the client tests share: a broker in its own process, a breakable network, an inbox to await."""
