"""llama.cpp's side of ``dunwu bench serve``: a script for an environment that has xllamacpp and need not have Dunwu.

    python llamacpp_server.py GGUF SEQUENCES CONTEXT THREADS

It prints the address of llama.cpp's own server, and serves until stdin ends.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Serve."""
    import xllamacpp

    gguf, sequences, context, threads = sys.argv[1], *map(int, sys.argv[2:5])
    params = xllamacpp.CommonParams()
    params.model.path = gguf
    params.n_parallel, params.n_ctx = sequences, sequences * context
    params.verbosity = 0
    for pool in (params.cpuparams, params.cpuparams_batch):
        pool.n_threads = threads
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
