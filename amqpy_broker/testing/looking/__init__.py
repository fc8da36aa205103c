"""Looking inside a broker: messages, views of one moment, and why a message goes where it goes."""
