"""Language models of transformers: loaded, prompted, read token by token, exported; and their sizes, without torch."""

import warnings

# Transformers loads tqdm, which in a notebook asks for widgets; no bar of tqdm is ever shown here.
warnings.filterwarnings("ignore", message="IProgress not found")
