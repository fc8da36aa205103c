"""The test kit: a broker inside the test, a clock to turn, faults on demand, and a report of the client's mistakes."""
