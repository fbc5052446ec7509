"""A worker in Python, with nothing but the standard library, that takes its turns through the sidecar.

    nats-semaphore serve &
    python3 examples/sidecar/worker.py http://127.0.0.1:4280 reports 3 25

The arguments: the sidecar, the semaphore, its number of slots, how many pieces of work to do. For each piece it writes a line
"<monotonic time> enter|leave <slot> <fencing token>". All workers of a machine read the same clock.
"""

import json
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


class Sidecar:
    def __init__(self, url):
        self.url = url

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or "null")


class Permit:
    """A permit for as long as a `with` block lasts. Work longer than the ttl needs `renew`, or a session."""

    def __init__(self, sidecar, name, **terms):
        self.sidecar = sidecar
        self.path = "/v1/semaphores/" + urllib.parse.quote(name, safe="") + "/permits"
        self.terms = terms

    def __enter__(self):
        self.held = self.sidecar.call("POST", self.path, self.terms)
        return self

    def renew(self):
        self.held = self.sidecar.call("POST", f"/v1/permits/{self.held['id']}/renew", {})

    def __exit__(self, *_):
        self.sidecar.call("DELETE", f"/v1/permits/{self.held['id']}")


def main(url, name, slots, pieces):
    sidecar = Sidecar(url)
    for _ in range(int(pieces)):
        with Permit(sidecar, name, slots=int(slots), ttl=30_000, timeout=120_000) as permit:
            mark = f"{permit.held['slots'][0]} {permit.held['fencingToken']}"
            print(f"{time.monotonic():.6f} enter {mark}", flush=True)
            time.sleep(random.uniform(0.001, 0.01))
            print(f"{time.monotonic():.6f} leave {mark}", flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except urllib.error.HTTPError as refused:
        sys.exit(f"{refused.code}: {refused.read().decode()}")
