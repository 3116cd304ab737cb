"""The same with neither tasks nor an event loop."""

import sys

from websockets.sync.client import connect


def hello(uri):
    with connect(f"{uri}/greeting") as websocket:
        name = "Ada"
        websocket.send(name)
        print(f">>> {name}")
        greeting = websocket.recv()
        print(f"<<< {greeting}")


if __name__ == "__main__":
    hello(sys.argv[1])
