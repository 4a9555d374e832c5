"""Python SDK for devices: ask an edge node, see why it failed, know whether a repeat makes sense.

    async with EdgeClient("edge-node.local:50051", token=token) as node:
        response = await node.chat("Is 97 degrees too hot for a boiler?")
        print(response.message.content)

It is asynchronous only; a program without an event loop wraps its calls in `asyncio.run`. It knows the public contract
(`edgeclient.v1`) and gRPC, and nothing of the daemon, so it can be copied to a device without the rest.
"""

from edgeclient.client.assembly import Assembly
from edgeclient.client.edge_client import EdgeClient
from edgeclient.client.edge_error import EdgeError, Violation

__all__ = ["Assembly", "EdgeClient", "EdgeError", "Violation"]
