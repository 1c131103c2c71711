"""``dunwu chat``: a conversation in the terminal."""
