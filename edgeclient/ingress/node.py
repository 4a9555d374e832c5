"""NodeService: what this node is, can and has to do. Answered from memory, so it works offline."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeclient.config.schema import IngressConfig
from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.callers import Callers
from edgeclient.core.errors import Rejected, Violation
from edgeclient.core.events import Uplink
from edgeclient.core.models import Catalogue, ModelSpec, Thinking
from edgeclient.core.ports import Clock
from edgeclient.core.route_events import Breaker
from edgeclient.core.spool import Spool
from edgeclient.ingress.inbound import Inbound
from edgeclient.policy.uplink import PREFERENCE
from edgeclient.v1 import error_pb2, node_pb2

_PAGE_DEFAULT = 50
_PAGE_MOST = 100

_UPLINK = {
    Uplink.UNKNOWN: node_pb2.UPLINK_STATE_UNSPECIFIED,
    Uplink.ONLINE: node_pb2.UPLINK_STATE_ONLINE,
    Uplink.DEGRADED: node_pb2.UPLINK_STATE_DEGRADED,
    Uplink.OFFLINE: node_pb2.UPLINK_STATE_OFFLINE,
}
_BREAKER = {
    Breaker.CLOSED: node_pb2.BREAKER_STATE_CLOSED,
    Breaker.OPEN: node_pb2.BREAKER_STATE_OPEN,
    Breaker.HALF_OPEN: node_pb2.BREAKER_STATE_HALF_OPEN,
}
_MODALITY = {
    "image": node_pb2.MODALITY_IMAGE,
    "audio": node_pb2.MODALITY_AUDIO,
    "video": node_pb2.MODALITY_VIDEO,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """What is known of a target.

    Attributes:
        name: From the configuration.
        host: Host of its endpoint.
        protocol: ALPN id of the last exchange; "" if there was none.
        uplink: State of the connection.
        since_s: Since when, seconds since the Unix epoch.
        account: Whose limits it uses.
        local: It is on this node or site.
        problem: What is wrong with it, for people; "": nothing that is known.
        tier: Lower tiers are asked first.
        breaker: Whether it is asked.
    """

    name: str
    host: str
    protocol: str
    uplink: Uplink
    since_s: float
    account: str = ""
    local: bool = False
    problem: str = ""
    tier: int = 0
    breaker: Breaker = Breaker.CLOSED


class NodeService:
    """Serves `edgeclient.v1.NodeService`.

    Args:
        node_id: Name of the node.
        version: Version of the software.
        config: Limits that clients have to know.
        catalogue: The models.
        callers: Which of them each caller may ask.
        clock: Time.
        active_calls: Chats in progress.
        targets: Where requests go, in the order of preference.
        spool: The durable queue and its configuration; None: there is none.
        cached_responses: Answers in the cache.
        serves: Whether some target serves the model with an id.
    """

    def __init__(
        self,
        *,
        node_id: str,
        version: str,
        config: IngressConfig,
        catalogue: Catalogue,
        callers: Callers,
        clock: Clock,
        active_calls: Callable[[], int],
        targets: Callable[[], Sequence[TargetView]],
        spool: tuple[Spool, SpoolConfig] | None = None,
        cached_responses: Callable[[], int] = lambda: 0,
        serves: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._node_id = node_id
        self._version = version
        self._config = config
        self._clock = clock
        self._active_calls = active_calls
        self._targets = targets
        self._spool = spool
        self._cached_responses = cached_responses
        self._serves = serves
        self._started_s = clock.wall_s()
        self._catalogue = catalogue
        self._callers = callers

    async def get_node_status(
        self, _request: node_pb2.GetNodeStatusRequest, _inbound: Inbound
    ) -> node_pb2.GetNodeStatusResponse:
        """State, load and limits."""
        targets = self._targets()
        uplink, since_s = _best(targets)
        status = node_pb2.NodeStatus(
            node_id=self._node_id,
            version=self._version,
            uplink=_UPLINK[uplink],
            active_call_count=self._active_calls(),
            cached_response_count=self._cached_responses(),
            limits=node_pb2.Limits(
                max_request_bytes=self._config.max_request_bytes,
                max_batch_item_count=self._config.max_batch_items,
            ),
            targets=map(_target, targets),
        )
        status.limits.max_timeout.FromMilliseconds(round(self._config.max_timeout_s * 1000))
        status.uplink_change_time.FromMilliseconds(round(since_s * 1000))
        status.current_time.FromMilliseconds(round(self._clock.wall_s() * 1000))
        status.start_time.FromMilliseconds(round(self._started_s * 1000))
        self._add_jobs(status)
        return node_pb2.GetNodeStatusResponse(status=status)

    def _add_jobs(self, status: node_pb2.NodeStatus) -> None:
        if self._spool is None:
            return
        spool, config = self._spool
        stats = spool.stats()
        status.pending_job_count = stats.pending_jobs
        status.running_job_count = stats.running_jobs
        status.free_storage_bytes = stats.free_bytes
        status.limits.max_wait.FromMilliseconds(round(self._config.max_timeout_s * 1000))
        status.limits.idempotency_window.FromMilliseconds(round(config.idempotency_window_s * 1000))
        status.limits.job_retention.FromMilliseconds(round(config.retention_s * 1000))

    async def list_models(self, request: node_pb2.ListModelsRequest, inbound: Inbound) -> node_pb2.ListModelsResponse:
        """The models that are served and open to the caller, the default one first, a page at a time."""
        caller = self._callers.rules(inbound.caller)
        default = self._catalogue.default
        ordered = (default, *(spec for spec in self._catalogue.models if spec is not default))
        models = [
            _model(spec, is_default=spec is default)
            for spec in ordered
            if caller.may_ask(spec.id) and self._serves(spec.id)
        ]
        start = _position(request.page_token, most=len(models))
        size = request.page_size
        if size < 0:
            _refuse("page_size", f"is {size}; give 1 to {_PAGE_MOST}, or 0 for {_PAGE_DEFAULT}")
        end = start + min(size or _PAGE_DEFAULT, _PAGE_MOST)
        token = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(models) else ""
        return node_pb2.ListModelsResponse(models=models[start:end], next_page_token=token)


def _best(targets: Sequence[TargetView]) -> tuple[Uplink, float]:
    """Best state of all, and since when there is no better and no worse one."""
    best = min((target.uplink for target in targets), key=PREFERENCE.index)
    if best is Uplink.OFFLINE:
        return best, max(target.since_s for target in targets)
    return best, min(target.since_s for target in targets if target.uplink is best)


def _target(view: TargetView) -> node_pb2.TargetStatus:
    status = node_pb2.TargetStatus(
        name=view.name,
        host=view.host,
        protocol=view.protocol,
        uplink=_UPLINK[view.uplink],
        account=view.account,
        local=view.local,
        problem=view.problem,
        tier=view.tier,
        breaker=_BREAKER[view.breaker],
    )
    status.uplink_change_time.FromMilliseconds(round(view.since_s * 1000))
    return status


def _model(spec: ModelSpec, *, is_default: bool) -> node_pb2.Model:
    return node_pb2.Model(
        id=spec.id,
        aliases=spec.aliases,
        is_default=is_default,
        input_modalities=[_MODALITY[modality] for modality in spec.modalities],
        supports_tools=spec.tools,
        supports_thinking=spec.thinking is not Thinking.NEVER,
        supports_json=spec.json_mode,
        context_window_tokens=spec.context_window_tokens,
        max_output_tokens=spec.max_output_tokens,
    )


def _position(token: str, *, most: int) -> int:
    if not token:
        return 0
    try:
        position = int(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, UnicodeEncodeError):
        position = -1
    if not 0 <= position <= most:
        _refuse("page_token", "is none of this node's; give the next_page_token of the page before")
    return position


def _refuse(field: str, description: str) -> None:
    problem = Violation(field=field, description=description)
    raise Rejected(error_pb2.ERROR_REASON_INVALID_REQUEST, f"{field}: {description}", violations=[problem])
