"""Serves a model file with the real llama.cpp server until its standard input ends: `python llama_server.py FILE`.

It runs in the servers' environment. The first line on its standard output is the address, as JSON.
"""

import json
import os
import sys

import xllamacpp


def main(path: str) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = 4
    params.n_ctx = 4 * 32768
    params.use_jinja = True
    params.endpoint_slots = True
    params.endpoint_metrics = True
    params.warmup = False
    # A random model ends at random and begins with half a character now and then, upon which this server forgets its
    # message_start. So the tests end answers by max_tokens, and whoever wants noise asks for a temperature.
    params.sampling.ignore_eos = True
    params.sampling.temp = 0.0
    server = xllamacpp.Server(params)
    # llama.cpp logs to standard output too; the address is told on a line of its own that starts like no log line.
    sys.stdout.write("\n" + json.dumps({"address": str(server.listening_address)}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    # Its own shutdown waits for requests in progress; nobody needs them now.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
