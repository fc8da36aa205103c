"""`python -m amqpy_broker` is the command `amqpy-broker`."""

from amqpy_broker.cli import main

if __name__ == "__main__":
    main()
