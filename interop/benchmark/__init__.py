"""Measure our broker beside RabbitMQ and garagemq, in one run, with one and the same load.

    python -m interop.benchmark                      every case, every broker found on this machine
    python -m interop.benchmark --quick              one short round of everything
    python -m interop.benchmark --only ack-confirm   some cases
    python -m interop.benchmark.profile ack-each     where our broker's time goes

The brokers take turns (A, B, C, A, B, C, ...) and medians are reported, because machines have slow phases. The load is
made of frames encoded beforehand and of byte counting, so that what is measured is the broker. The figure to trust is
the broker's own CPU time per message: it depends little on who shares the machine.
"""
