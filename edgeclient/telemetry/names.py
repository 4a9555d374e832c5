"""Every metric name, label and bucket in one place.

What OpenTelemetry has a name for goes by that name in Prometheus spelling (dots to underscores, the unit appended);
`edgeclient_` is for what it has none for. The conventions for generative AI are not stable: dashboards know the names
of version 1.41, which are the default; who sets OTEL_SEMCONV_STABILITY_OPT_IN to gen_ai_latest_experimental gets their
successors instead. The names of the gRPC side (`rpc.server.call.duration`) are the stable ones.

Buckets follow the conventions up to their last and then go on: theirs end at 82 s for a model and 10 s for an RPC,
while an answer with long reasoning may take the 600 s that the provider allows.
"""

from dataclasses import dataclass
from typing import Final

OPT_IN_LATEST: Final = "gen_ai_latest_experimental"

MODEL_SECONDS = tuple(0.01 * 2**power for power in range(17))  # 0.01 to 655.36, doubling
RPC_SECONDS = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
    30.0,
    60.0,
    300.0,
    600.0,
)
OVERHEAD_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
DELAY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
TOKENS = tuple(4.0**power for power in range(14))  # 1 to 67,108,864


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A metric.

    Attributes:
        name: As exposed; a counter without its `_total`.
        help: What it says, one sentence.
        labels: Names of its labels.
        buckets: Upper bounds of a histogram's buckets without the infinite one; none for other kinds.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSpec:
    """A metric of tokens, fed from one field of `CallFinished`.

    Attributes:
        field: The field.
        metric: A histogram if it has buckets, else a counter. Several rows may share one.
        mark: Value of the metric's last label, which tells the rows apart.
    """

    field: str
    metric: Spec
    mark: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenAiNames:
    """One version of the conventions for generative AI."""

    duration: Spec
    first_chunk: Spec
    tokens: tuple[TokenSpec, ...]


_GEN_AI = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
FAILURE = ("error_type", "fault_domain")
_DURATION_HELP = (
    "Time of a chat for which the provider was asked, from arrival to the end, attempts and pauses included."
)
_FIRST_CHUNK_HELP = "Time from the arrival of a streamed chat to the provider's first piece of the answer."

_TOKEN_USAGE = Spec(
    name="gen_ai_client_token_usage",
    help="Tokens of a chat as billed.",
    labels=(*_GEN_AI, "gen_ai_token_type"),
    buckets=TOKENS,
)

V1_41: Final = GenAiNames(
    duration=Spec(
        name="gen_ai_client_operation_duration_seconds",
        help=_DURATION_HELP,
        labels=(*_GEN_AI, *FAILURE),
        buckets=MODEL_SECONDS,
    ),
    first_chunk=Spec(
        name="gen_ai_client_operation_time_to_first_chunk_seconds",
        help=_FIRST_CHUNK_HELP,
        labels=_GEN_AI,
        buckets=MODEL_SECONDS,
    ),
    tokens=(
        TokenSpec(field="prompt_tokens", metric=_TOKEN_USAGE, mark="input"),
        TokenSpec(field="completion_tokens", metric=_TOKEN_USAGE, mark="output"),
    ),
)


def _usage(name: str, help: str, *more_labels: str) -> Spec:  # noqa: A002  as in Spec
    return Spec(name=f"gen_ai_client_inference_usage_{name}", help=help, labels=(*_GEN_AI, *more_labels))


def _per_call(name: str, help: str) -> Spec:  # noqa: A002  as in Spec
    return Spec(name=f"gen_ai_client_inference_operation_{name}", help=help, labels=_GEN_AI, buckets=TOKENS)


# The provider does not tell the tokens of text from those of images; the conventions want "unknown" then.
LATEST: Final = GenAiNames(
    duration=Spec(
        name="gen_ai_client_inference_duration_seconds",
        help=_DURATION_HELP,
        labels=(*_GEN_AI, *FAILURE),
        buckets=MODEL_SECONDS,
    ),
    first_chunk=Spec(
        name="gen_ai_client_inference_time_to_first_chunk_seconds",
        help=_FIRST_CHUNK_HELP,
        labels=_GEN_AI,
        buckets=MODEL_SECONDS,
    ),
    tokens=(
        TokenSpec(
            field="prompt_tokens",
            metric=_usage("input_tokens", "Input tokens as billed.", "gen_ai_token_modality"),
            mark="unknown",
        ),
        TokenSpec(
            field="completion_tokens",
            metric=_usage("output_tokens", "Output tokens as billed.", "gen_ai_token_modality"),
            mark="unknown",
        ),
        TokenSpec(
            field="cached_tokens",
            metric=_usage("cache_read_input_tokens", "Input tokens that the provider had cached."),
        ),
        TokenSpec(
            field="reasoning_tokens",
            metric=_usage("reasoning_output_tokens", "Output tokens that were reasoning."),
        ),
        TokenSpec(field="prompt_tokens", metric=_per_call("input_tokens", "Input tokens of one chat.")),
        TokenSpec(field="completion_tokens", metric=_per_call("output_tokens", "Output tokens of one chat.")),
    ),
)


def gen_ai_names(stability_opt_in: str) -> GenAiNames:
    """The version that the value of OTEL_SEMCONV_STABILITY_OPT_IN, a list with commas, asks for."""
    return LATEST if OPT_IN_LATEST in [word.strip() for word in stability_opt_in.split(",")] else V1_41


RPC_DURATION: Final = Spec(
    name="rpc_server_call_duration_seconds",
    help="Time of an RPC from a device, from its arrival to its last byte.",
    labels=("rpc_system_name", "rpc_method", "rpc_response_status_code", "error_type"),
    buckets=RPC_SECONDS,
)
CALLS: Final = Spec(
    name="edgeclient_calls",
    help="Chats that have ended; error_type is empty for those that were answered.",
    labels=("method", "gen_ai_request_model", *FAILURE, "source", "finish_reason"),
)
OVERHEAD: Final = Spec(
    name="edgeclient_overhead_seconds",
    help="Part of an answered chat that was not spent waiting for the provider; only chats with one attempt.",
    labels=("method",),
    buckets=OVERHEAD_SECONDS,
)
TOKEN_COUNT: Final = Spec(
    name="edgeclient_tokens",
    help="Tokens as billed; cached ones are part of the input, reasoning is part of the output.",
    labels=("gen_ai_request_model", "type"),
)
COST: Final = Spec(
    name="edgeclient_cost",
    help="Price of the answered chats in units of the currency, for models with a known price.",
    labels=("gen_ai_request_model", "currency"),
)
POSSIBLY_BILLED: Final = Spec(
    name="edgeclient_possibly_billed",
    help="Chats that failed and may have been billed all the same.",
    labels=("gen_ai_request_model", "error_type"),
)
ATTEMPTS: Final = Spec(
    name="edgeclient_attempts",
    help="Requests to the provider that have ended.",
    labels=("target", "gen_ai_request_model", *FAILURE, "http_response_status_code"),
)
ATTEMPT_DURATION: Final = Spec(
    name="edgeclient_attempt_duration_seconds",
    help="Time of a request to the provider, from its first byte to the last one of the answer.",
    labels=("target", *FAILURE),
    buckets=MODEL_SECONDS,
)
FIRST_BYTE: Final = Spec(
    name="edgeclient_attempt_first_byte_seconds",
    help="Time from a request to the headers of the provider's answer.",
    labels=("target",),
    buckets=MODEL_SECONDS,
)
RETRIES: Final = Spec(name="edgeclient_retries", help="Further attempts that were decided on.", labels=("error_type",))
RETRY_DELAY: Final = Spec(
    name="edgeclient_retry_delay_seconds", help="Pause before a further attempt.", buckets=DELAY_SECONDS
)
SHED: Final = Spec(name="edgeclient_shed", help="Chats refused for lack of room, by the setting.", labels=("limit",))
RELOADS: Final = Spec(
    name="edgeclient_reloads",
    help="Files that changed while running and were taken over or found unusable.",
    labels=("kind", "outcome"),
)
CONFIG_INFO: Final = Spec(
    name="edgeclient_config_info", help="The configuration in force, by a digest of it.", labels=("digest",)
)
CONFIG_LOOKED: Final = Spec(
    name="edgeclient_config_last_reload_timestamp_seconds",
    help="When the configuration was last read, in seconds since 1970.",
)
CONFIG_SUCCEEDED: Final = Spec(
    name="edgeclient_config_last_reload_successful", help="1 if what was read last could be used."
)
CONFIG_WAITING: Final = Spec(
    name="edgeclient_config_waiting", help="Settings that differ in the file from those in force and want a restart."
)
UPLINK_CHANGES: Final = Spec(
    name="edgeclient_uplink_changes", help="Changes of the uplink, by the new state.", labels=("target", "state")
)
DEFECTS: Final = Spec(
    name="edgeclient_defects", help="Exceptions that the code does not expect; each is a bug.", labels=("where",)
)
SUBSCRIBER_FAILURES: Final = Spec(
    name="edgeclient_telemetry_failures",
    help="Facts that metrics or logs could not take.",
    labels=("subscriber", "event"),
)

TARGET_INFO: Final = Spec(
    name="target_info",
    help="The node as a resource of OpenTelemetry.",
    labels=("service_name", "service_version", "service_instance_id"),
)
BUILD_INFO: Final = Spec(name="edgeclient_build_info", help="The version that runs.", labels=("version",))
UPLINK_STATE: Final = Spec(
    name="edgeclient_uplink_state", help="1 for the state that the uplink is in.", labels=("target", "state")
)
PROTOCOL_INFO: Final = Spec(
    name="edgeclient_upstream_protocol_info",
    help="The application protocol that the provider answers over.",
    labels=("target", "protocol"),
)
DRAINING: Final = Spec(name="edgeclient_draining", help="1 once the node was told to stop.")
STARTUP: Final = Spec(
    name="edgeclient_startup_seconds", help="Time from the start of the process to the first call it could take."
)
ACTIVE_CALLS: Final = Spec(name="edgeclient_active_calls", help="Chats in progress.")
UPSTREAM_IN_FLIGHT: Final = Spec(
    name="edgeclient_upstream_in_flight",
    help="Requests in progress at the target, probes included.",
    labels=("target",),
)
CERTIFICATE_EXPIRY: Final = Spec(
    name="edgeclient_certificate_expiry_timestamp_seconds",
    help="When the certificate of the port for devices expires, in seconds since 1970.",
)
