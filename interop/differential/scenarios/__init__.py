"""The conversations, one file an AMQP noun."""
