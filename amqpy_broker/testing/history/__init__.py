"""What happened to messages: how it is learned, kept and asked for."""
