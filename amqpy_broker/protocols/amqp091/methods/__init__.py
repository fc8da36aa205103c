"""One file an AMQP class: what each of its methods does."""
