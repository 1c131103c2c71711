"""Language models of transformers: loaded, prompted, read token by token, exported; and their sizes, without torch."""
