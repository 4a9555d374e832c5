"""The methods of the port: which name is served by what, with which messages.

One table; the server registers it, reflection and health name its services, and a test holds it against `protos/`.
Requests are decoded by us rather than by the library, because the library answers what it cannot decode with INTERNAL.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from edgeclient.ingress.chat import ChatService
from edgeclient.ingress.inbound import Inbound, Send
from edgeclient.ingress.jobs import JobService, NoJobs
from edgeclient.ingress.node import NodeService
from edgeclient.v1 import chat_pb2, job_pb2, node_pb2

CHAT_SERVICE = "edgeclient.v1.ChatService"
JOB_SERVICE = "edgeclient.v1.JobService"
NODE_SERVICE = "edgeclient.v1.NodeService"

ServeUnary = Callable[[Any, Inbound], Coroutine[Any, Any, Message]]
ServeStream = Callable[[Any, Inbound, Send], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One RPC.

    Attributes:
        service: Full name of the service.
        name: Name of the method.
        request_type: Class of the request message.
        unary: Serves it with one reply, or None.
        stream: Serves it with a stream, or None.
    """

    service: str
    name: str
    request_type: type[Message]
    unary: ServeUnary | None = None
    stream: ServeStream | None = None


def methods(*, chat: ChatService, node: NodeService, jobs: JobService | NoJobs) -> list[Method]:
    """All methods of the port."""
    return [
        *_job_methods(jobs),
        Method(service=CHAT_SERVICE, name="Chat", request_type=chat_pb2.ChatRequest, unary=chat.chat),
        Method(service=CHAT_SERVICE, name="StreamChat", request_type=chat_pb2.ChatRequest, stream=chat.stream_chat),
        Method(service=CHAT_SERVICE, name="BatchChat", request_type=chat_pb2.BatchChatRequest, stream=chat.batch_chat),
        Method(
            service=NODE_SERVICE,
            name="GetNodeStatus",
            request_type=node_pb2.GetNodeStatusRequest,
            unary=node.get_node_status,
        ),
        Method(
            service=NODE_SERVICE, name="ListModels", request_type=node_pb2.ListModelsRequest, unary=node.list_models
        ),
    ]


_JOB_REQUESTS: dict[str, type[Message]] = {
    "SubmitJob": job_pb2.SubmitJobRequest,
    "GetJob": job_pb2.GetJobRequest,
    "WaitJob": job_pb2.WaitJobRequest,
    "CancelJob": job_pb2.CancelJobRequest,
    "DeleteJob": job_pb2.DeleteJobRequest,
    "ListJobs": job_pb2.ListJobsRequest,
}


def _job_methods(jobs: JobService | NoJobs) -> list[Method]:
    """The methods of JobService; without a queue they are there too, and say that there is none."""
    if isinstance(jobs, NoJobs):
        serve: dict[str, ServeUnary] = dict.fromkeys(_JOB_REQUESTS, jobs.refuse)
        watch: ServeStream = jobs.refuse_stream
    else:
        serve = {
            "SubmitJob": jobs.submit_job,
            "GetJob": jobs.get_job,
            "WaitJob": jobs.wait_job,
            "CancelJob": jobs.cancel_job,
            "DeleteJob": jobs.delete_job,
            "ListJobs": jobs.list_jobs,
        }
        watch = jobs.watch_jobs
    unary = [
        Method(service=JOB_SERVICE, name=name, request_type=kind, unary=serve[name])
        for name, kind in _JOB_REQUESTS.items()
    ]
    return [
        *unary,
        Method(service=JOB_SERVICE, name="WatchJobs", request_type=job_pb2.WatchJobsRequest, stream=watch),
    ]
