"""gRPC in: what a device sees of the node. The only room that knows gRPC on the server side."""
