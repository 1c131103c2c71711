"""Generated problems, a file for each kind; ``dunwu.registry`` names them."""
