"""Links: one client's connection to a broker as two streams of frames, with filters in between."""
