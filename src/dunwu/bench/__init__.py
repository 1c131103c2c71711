"""``dunwu bench``: parts of Dunwu measured beside their peers, in the same run."""
