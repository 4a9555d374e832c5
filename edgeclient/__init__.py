"""edgeclient: a gRPC gateway that brings the chats of edge devices to the Qwen API over HTTP/2."""

__version__ = "0.1.0"
