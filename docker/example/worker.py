"""What an application does with its sidecar: wait for a permit, work, give it back. Python's standard library will do."""

import json
import time
import urllib.error
import urllib.request

SIDECAR = "http://127.0.0.1:4280"


def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {} if data is None else {"content-type": "application/json"}
    request = urllib.request.Request(SIDECAR + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


while True:
    try:
        permit = call("POST", "/v1/semaphores/reports/permits", {"slots": 2, "timeout": 60_000, "ttl": 30_000})
    except urllib.error.URLError as error:
        # The sidecar is about to start, or nothing became free in time.
        print("no permit:", error)
        time.sleep(1)
        continue
    try:
        print("at work, in slot", permit["slots"][0])
        # Shorter than the ttl: otherwise renew it, or open a session.
        time.sleep(2)
    finally:
        call("DELETE", "/v1/permits/" + permit["id"])
