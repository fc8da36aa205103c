"""What a test asserts of a broker, and what it waits for."""
