"""The broker itself: exchanges, bindings, queues and deliveries. No I/O, no await, no bytes of the wire."""
