"""Past sessions as events: native transcripts of clients, recordings, and bare traces."""
