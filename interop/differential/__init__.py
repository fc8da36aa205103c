"""Plays the same conversations against RabbitMQ and against our broker and compares what a client sees, frame by frame.

`scenarios/` holds the conversations, one file an AMQP noun; `golden/` what RabbitMQ answered to them;
`interop/deviations.toml` what differs on purpose. `python -m interop.differential --help` says the rest.
"""
