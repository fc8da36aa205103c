"""The Node.js client: amqplib, driven by Node's own test runner."""
