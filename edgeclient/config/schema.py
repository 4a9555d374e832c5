"""Every setting of edgeclient.

Sources of numbers: the settings of the gRPC port are measured for devices behind NAT (one ping per 10 s tolerated, dead
links found after about two minutes); the upstream time-outs follow what the provider documents (600 s for a request on
the shared hosts, 3600 s on a workspace's own host). Prices are the operator's: they change too often to live in code.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import combinations
from types import MappingProxyType

from edgeclient.config.address import collide, is_address, is_loopback
from edgeclient.config.cache_schema import CacheConfig, PrepareConfig
from edgeclient.config.dispatch_schema import DispatchConfig
from edgeclient.config.endpoint import endpoint_problems, key_file_problems, proxy_problems
from edgeclient.config.half_price_schema import HalfPriceConfig
from edgeclient.config.quota_schema import QuotaConfig
from edgeclient.config.route_schema import RouteConfig
from edgeclient.config.row_schema import CallerConfig, LimitConfig, PriceConfig
from edgeclient.config.setting import Section, SettingError, default_of, reloadable, setting
from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.config.target_problems import target_problems
from edgeclient.config.target_schema import TargetConfig
from edgeclient.core.models import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig(Section):
    """Who this node is."""

    id: str = setting("", "Name of the node in NodeStatus, logs and metrics. Empty: the host name.")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressConfig(Section):
    """The gRPC port for devices."""

    listen: str = setting("127.0.0.1:50051", "Address and port for devices, such as 0.0.0.0:50051 or [::]:50051.")
    tls_certificate_file: str = setting("", "PEM file with the certificate chain of the port. Empty: plaintext.")
    tls_key_file: str = setting("", "PEM file with the private key of the certificate.")
    tls_client_ca_file: str = setting(
        "", "PEM file with the CA that client certificates have to come from. Empty: none is asked."
    )
    allow_plaintext: bool = setting(False, "Permit plaintext on an address that is not loopback.")
    health_listen: str = setting(
        "", "Address of a plaintext port that answers health checks alone, for probes that cannot do TLS. Empty: none."
    )
    reflection: bool = setting(True, "Serve gRPC reflection (v1 and v1alpha), so that grpcurl needs no .proto files.")
    max_request_bytes: int = setting(4 * 1024 * 1024, "Largest request message.", least=1024, most=64 * 1024 * 1024)
    max_in_flight: int = setting(
        512, "Most chats in progress; more are refused with OVERLOADED.", least=1, most=100_000
    )
    max_batch_items: int = setting(1000, "Most conversations in one BatchChat.", least=1, most=50_000)
    batch_concurrency: int = setting(
        16, "Most conversations of one BatchChat in progress at a time.", least=1, most=1000
    )
    default_timeout_s: float = setting(300.0, "Time budget of a call that names none.", least=0.1, most=3600)
    max_timeout_s: float = setting(600.0, "Longest time budget a call may ask for.", least=0.1, most=3600)
    flush_interval_s: float = setting(
        0.0, "Pieces of a stream that come closer together than this are merged.", least=0, most=10
    )
    heartbeat_s: float = setting(15.0, "A silent stream gets an empty message this often; 0: never.", least=0, most=600)
    drain_s: float = setting(30.0, "How long running calls may take after SIGTERM.", least=0, most=3600)
    keepalive_s: float = setting(120.0, "A silent connection is pinged this often.", least=10, most=7200)
    keepalive_timeout_s: float = setting(
        20.0, "A connection whose ping is not answered in this time is closed.", least=1, most=600
    )
    min_ping_interval_s: float = setting(
        10.0, "Devices that ping more often than this are disconnected.", least=1, most=600
    )
    max_connection_idle_s: float = setting(600.0, "A connection without calls is closed after this time.", least=10)
    max_connection_age_s: float = setting(3600.0, "A connection is closed gracefully after this time.", least=60)
    max_connection_age_grace_s: float = setting(
        300.0, "Time that calls get to finish on a connection that is too old.", least=1
    )
    max_streams_per_connection: int = setting(100, "Most calls at a time on one connection.", least=1, most=10_000)

    def conflicts(self) -> list[str]:
        """TLS files come in pairs, plaintext stays at home, and the default fits the maximum."""
        problems = []
        if not is_address(self.listen):
            problems.append(f"listen: {self.listen!r} is no address with a port, write for instance 0.0.0.0:50051")
        elif not self.tls_certificate_file and not self.allow_plaintext and not is_loopback(self.listen):
            problems.append(
                f"listen: {self.listen} would take plaintext from the network; set tls_certificate_file"
                " and tls_key_file, or allow_plaintext = true if something in front encrypts"
            )
        if self.health_listen and not is_address(self.health_listen):
            problems.append(
                f"health_listen: {self.health_listen!r} is no address with a port, write for instance 0.0.0.0:50052"
            )
        if bool(self.tls_certificate_file) != bool(self.tls_key_file):
            missing = "tls_key_file" if self.tls_certificate_file else "tls_certificate_file"
            problems.append(f"{missing}: is missing; a certificate and its key come together")
        if self.tls_client_ca_file and not self.tls_certificate_file:
            problems.append("tls_client_ca_file: needs tls_certificate_file and tls_key_file as well")
        if self.default_timeout_s > self.max_timeout_s:
            problems.append(
                f"default_timeout_s: {self.default_timeout_s:g} is above max_timeout_s, which is {self.max_timeout_s:g}"
            )
        return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthConfig(Section):
    """Who may call; the callers themselves are rows of the table `callers`."""

    required: bool = reloadable(False, "Refuse callers that show neither a known token nor a certificate.")


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamConfig(Section):
    """The provider, and how it is reached."""

    name: str = setting("dashscope", "Name of the target in answers, logs and metrics.")
    base_url: str = setting(
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "OpenAI-compatible endpoint; a workspace's own host, {WorkspaceId}.{region}.maas.aliyuncs.com, is best.",
    )
    api_key_file: str = setting(
        "", "File with the API key; may be rotated while running. Empty: DASHSCOPE_API_KEY is used."
    )
    keyless: bool = setting(
        False, "The endpoint is a server of your own that wants no API key; none is sent, and it may be http."
    )
    http1: bool = setting(False, "Permit HTTP/1.1 where the endpoint does not speak HTTP/2.")
    ca_file: str = setting("", "PEM file with a private CA to trust beside the public ones.")
    proxy: str = setting(
        "environment", "Proxy: environment (HTTPS_PROXY, NO_PROXY), none, or a URL such as http://proxy:3128."
    )
    max_in_flight: int = setting(100, "Most calls in progress at the provider, probes aside.", least=1, most=10_000)
    max_response_bytes: int = setting(
        16 * 1024 * 1024, "Longest answer that is read.", least=1024, most=256 * 1024 * 1024
    )
    connect_timeout_s: float = setting(10.0, "Time for DNS, TCP and TLS.", least=0.05, most=120)
    headers_timeout_s: float = setting(
        60.0, "Time from the request to the headers of a streamed answer.", least=0.05, most=3600
    )
    first_token_timeout_s: float = setting(
        120.0, "Time from the request to the first piece of a streamed answer.", least=0.05, most=3600
    )
    silence_timeout_s: float = setting(
        60.0, "Longest pause between two pieces of a streamed answer.", least=0.05, most=3600
    )
    total_timeout_s: float = setting(600.0, "Longest time for one request, streamed or not.", least=0.05, most=3600)
    keepalive_s: float = setting(20.0, "A connection is pinged this often, in use or not.", least=1, most=600)
    keepalive_timeout_s: float = setting(
        10.0, "A connection whose ping is not answered in this time is closed.", least=1, most=120
    )
    idle_timeout_s: float = setting(300.0, "An unused connection is closed after this time.", least=1, most=3600)
    probe_interval_s: float = setting(
        15.0, "How often the endpoint is probed, free of charge, while it is not known to work.", least=1, most=3600
    )
    max_attempts: int = setting(3, "Most attempts for one call.", least=1, most=10)
    retry_initial_s: float = setting(
        0.5, "Upper bound of the first pause between attempts; doubles each time, full jitter.", least=0.01, most=60
    )
    retry_max_s: float = setting(30.0, "Upper bound of any pause between attempts.", least=0.01, most=600)
    read_quotas: str = setting(
        "auto",
        "Ask the provider for its limits: always, never, auto: on a workspace's own host.",
        choices=("auto", "always", "never"),
    )

    def conflicts(self) -> list[str]:
        """The endpoint is a URL, plaintext to it stays at home, and nothing here is a secret."""
        problems = [
            *endpoint_problems(self.base_url, may_be_plain=self.keyless),
            *proxy_problems(self.proxy),
            *key_file_problems(self.api_key_file),
        ]
        if self.keyless and self.api_key_file:
            problems.append("keyless: contradicts api_key_file; keep one of them")
        if self.retry_initial_s > self.retry_max_s:
            problems.append(
                f"retry_initial_s: {self.retry_initial_s:g} is above retry_max_s, which is {self.retry_max_s:g}"
            )
        return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatConfig(Section):
    """What callers may ask."""

    default_model: str = reloadable("qwen-plus", "Model for requests that name none.")
    aliases: dict[str, str] = reloadable({}, "Further names for models, alias = model.")
    extra_keys: list[str] = reloadable(
        [
            "enable_search",
            "search_options",
            "top_k",
            "repetition_penalty",
            "vl_high_resolution_images",
            "translation_options",
        ],
        "Keys that ChatRequest.extra_json may hold.",
    )
    max_messages: int = reloadable(1024, "Most messages in one request.", least=1, most=100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminConfig(Section):
    """The HTTP port for operators: /metrics, /livez, /readyz."""

    listen: str = setting("127.0.0.1:9464", "Address and port; empty: none.")

    def conflicts(self) -> list[str]:
        """The address is one."""
        if self.listen and not is_address(self.listen):
            return [f"listen: {self.listen!r} is no address with a port, write for instance 0.0.0.0:9464"]
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig(Section):
    """What the daemon writes to standard error."""

    format: str = reloadable(
        "auto", "json, console, or auto: console on a terminal, else json.", choices=("auto", "json", "console")
    )
    level: str = reloadable("info", "Least important level written.", choices=("debug", "info", "warning", "error"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration.

    Attributes:
        models: The models of this node: the built-in ones and the operator's; rows of the tables `models.<id>`.
        targets, prices, limits, callers: Rows of the tables of these names.
    """

    node: NodeConfig = field(default_factory=NodeConfig)
    ingress: IngressConfig = field(default_factory=IngressConfig)
    auth: AuthConfig = field(default_factory=AuthConfig)
    upstream: UpstreamConfig = field(default_factory=UpstreamConfig)
    route: RouteConfig = field(default_factory=RouteConfig)
    chat: ChatConfig = field(default_factory=ChatConfig)
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    quota: QuotaConfig = field(default_factory=QuotaConfig)
    dispatch: DispatchConfig = field(default_factory=DispatchConfig)
    spool: SpoolConfig = field(default_factory=SpoolConfig)
    half_price: HalfPriceConfig = field(default_factory=HalfPriceConfig)
    admin: AdminConfig = field(default_factory=AdminConfig)
    log: LogConfig = field(default_factory=LogConfig)
    models: tuple[ModelSpec, ...] = ()
    targets: tuple[TargetConfig, ...] = ()
    prices: tuple[PriceConfig, ...] = ()
    limits: tuple[LimitConfig, ...] = ()
    callers: tuple[CallerConfig, ...] = ()

    def __post_init__(self) -> None:
        """Raise `SettingError` if parts contradict each other."""
        problems = [*self._port_problems(), *self._caller_problems(), *target_problems(self)]
        if problems:
            raise SettingError(problems)

    def _port_problems(self) -> Iterator[str]:
        paths = ("ingress.listen", "ingress.health_listen", "admin.listen")
        listens = (self.ingress.listen, self.ingress.health_listen, self.admin.listen)
        for (owner, one), (path, other) in combinations(zip(paths, listens, strict=True), 2):
            if one and other and collide(one, other):
                yield f"{path}: {other} is taken by {owner}; give each a port of its own"

    def _caller_problems(self) -> Iterator[str]:
        owners: dict[str, int] = {}
        for index, row in enumerate(self.callers):
            proofs = [("token_sha256", digest) for digest in row.token_sha256]
            for name, proof in proofs + [("certificates", name) for name in row.certificates]:
                if (owner := owners.setdefault(proof, index)) != index:
                    yield f"callers[{index}].{name}: proves callers[{owner}] already; keep one of them"
        proven = any(row.token_sha256 for row in self.callers) or self.ingress.tls_client_ca_file
        if self.auth.required and not proven:
            cure = "give a row of [[callers]] a token_sha256, or set ingress.tls_client_ca_file"
            yield f"auth.required: nobody could call; {cure}"


SECTIONS: Mapping[str, type[Section]] = MappingProxyType(
    {spec.name: type(section) for spec in fields(Config) if isinstance(section := default_of(spec), Section)}
)
"""The sections by the name of their table in the file."""
