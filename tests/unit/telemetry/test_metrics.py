"""The page that Prometheus reads: names, labels, values."""

from collections.abc import Iterable

import pytest
from prometheus_client import Metric, generate_latest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from unit.telemetry.sample_events import EVENT_TYPES, answered, failed, sample

from edgeclient.core.cache import CacheStats, StoreStats
from edgeclient.core.events import (
    AttemptFinished,
    CallShed,
    DefectFound,
    KeyChanged,
    ProtocolNegotiated,
    RetryScheduled,
    RpcFinished,
    Uplink,
    UplinkChanged,
)
from edgeclient.core.half_price import OpenBatches
from edgeclient.core.jobs import JobState, SpoolStats
from edgeclient.core.node_events import CertificateUnreadable, NodeDraining, NodeStarted
from edgeclient.core.quota_events import BatchAnswered
from edgeclient.core.route_events import CallMoved
from edgeclient.policy.budget import NANOS, BudgetState
from edgeclient.policy.quota import Standing
from edgeclient.telemetry.dispatch_metrics import DispatchView
from edgeclient.telemetry.gauges import Gauges
from edgeclient.telemetry.metrics import UNMEASURED, Metrics
from edgeclient.telemetry.quota_metrics import QuotaView

CHAT = {
    "gen_ai_operation_name": "chat",
    "gen_ai_provider_name": "dashscope",
    "gen_ai_request_model": "qwen-plus",
}


@pytest.fixture
def metrics() -> Metrics:
    return made()


def made(stability_opt_in: str = "") -> Metrics:
    return Metrics(
        node_id="box-1",
        version="1.2.3",
        models=["qwen-plus"],
        targets=["dashscope"],
        stability_opt_in=stability_opt_in,
    )


def tell(metrics: Metrics, *events: object) -> None:
    for event in events:
        metrics.table[type(event)](event)  # type: ignore[index]  # the test gives events only


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def family_names(metrics: Metrics) -> set[str]:
    return {family.name for family in metrics.registry.collect() if family.samples}


def quota_view() -> QuotaView:
    standing = Standing(kind="model", name="qwen-plus", limit="requests_per_minute", used=7, most=60)
    budget = BudgetState(
        caller="a",
        path="callers[0].budget_per_day",
        limit_nanos=2 * NANOS,
        spent_nanos=NANOS,
        reserved_nanos=NANOS // 2,
        currency="CNY",
        day=20_000,
        refused=True,
    )
    return QuotaView(standings=[standing], budgets=[budget], refusals={"callers[0].budget_per_day": 3})


def everything(metrics: Metrics) -> Metrics:
    for kind in EVENT_TYPES:
        if kind not in UNMEASURED:
            tell(metrics, sample(kind))
    tell(metrics, answered(), sample(CallMoved, model_after="another"), sample(BatchAnswered, full_cost_nanos=9))
    metrics.subscriber_failed("logs", "CallShed", OSError())
    metrics.read_at_scrape(
        Gauges(
            active_calls=lambda: 3,
            upstream_in_flight=lambda: {"dashscope": 2},
            certificate_expires_at_s=lambda: 1_900_000_000,
            spool=lambda: SpoolStats(by_state={JobState.QUEUED: 2}, accepted_total=5, purged_total=3),
            half_price=lambda: {"submitted": OpenBatches(batch_count=1, line_count=5)},
            cache=lambda: CacheStats(stores={"memory": StoreStats(entries=1)}),
            quota=quota_view,
            dispatch=lambda: [DispatchView(target="dashscope", width=50, waiting={"low": 3})],
        )
    )
    return metrics


OWN = {
    "edgeclient_accounts_unsaved",
    "edgeclient_active_calls",
    "edgeclient_answers_reused",
    "edgeclient_attempt_duration_seconds",
    "edgeclient_attempt_first_byte_seconds",
    "edgeclient_attempts",
    "edgeclient_batch_saved_cost",
    "edgeclient_budget",
    "edgeclient_budget_used",
    "edgeclient_budget_warnings",
    "edgeclient_build_info",
    "edgeclient_cache_answers",
    "edgeclient_cache_bytes",
    "edgeclient_cache_entries",
    "edgeclient_cache_evictions",
    "edgeclient_cache_lookup_duration_seconds",
    "edgeclient_cache_misses",
    "edgeclient_cache_store_failures",
    "edgeclient_cache_store_usable",
    "edgeclient_cache_writes_dropped",
    "edgeclient_caller_cost",
    "edgeclient_caller_tokens",
    "edgeclient_calls",
    "edgeclient_certificate_expiry_timestamp_seconds",
    "edgeclient_cost",
    "edgeclient_defects",
    "edgeclient_draining",
    "edgeclient_group_calls",
    "edgeclient_limit",
    "edgeclient_half_price_batches",
    "edgeclient_half_price_failures",
    "edgeclient_half_price_lines",
    "edgeclient_half_price_open_batches",
    "edgeclient_half_price_open_lines",
    "edgeclient_half_price_saved_cost",
    "edgeclient_half_price_sent_live",
    "edgeclient_limit_refusals",
    "edgeclient_limit_used",
    "edgeclient_overhead_seconds",
    "edgeclient_possibly_billed",
    "edgeclient_queue_pending",
    "edgeclient_queue_wait_seconds",
    "edgeclient_quota_reads",
    "edgeclient_reloads",
    "edgeclient_retries",
    "edgeclient_retry_delay_seconds",
    "edgeclient_saved_cost",
    "edgeclient_saved_tokens",
    "edgeclient_shared_calls_passed_on",
    "edgeclient_shed",
    "edgeclient_spool_accepted",
    "edgeclient_spool_bytes",
    "edgeclient_spool_free_bytes",
    "edgeclient_spool_job_duration_seconds",
    "edgeclient_spool_jobs_finished",
    "edgeclient_spool_jobs_possibly_billed",
    "edgeclient_spool_lost",
    "edgeclient_spool_pauses",
    "edgeclient_spool_purged",
    "edgeclient_spool_resent",
    "edgeclient_spool_rows",
    "edgeclient_spool_storage_failures",
    "edgeclient_spool_uncertain",
    "edgeclient_spool_wait_seconds",
    "edgeclient_startup_seconds",
    "edgeclient_telemetry_failures",
    "edgeclient_tokens",
    "edgeclient_turned_away",
    "edgeclient_uplink_changes",
    "edgeclient_uplink_state",
    "edgeclient_upstream_in_flight",
    "edgeclient_upstream_protocol_info",
    "edgeclient_width",
    "edgeclient_width_narrowed",
    "rpc_server_call_duration_seconds",
    "target_info",
    "edgeclient_breaker_state",
    "edgeclient_breaker_changes",
    "edgeclient_moves",
    "edgeclient_stand_ins",
    "edgeclient_stream_restarts",
    "edgeclient_set_aside",
    "edgeclient_retries_refused",
    "edgeclient_retry_after_capped",
}
V1_41 = {
    "gen_ai_client_operation_duration_seconds",
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    "gen_ai_client_token_usage",
}
LATEST = {
    "gen_ai_client_inference_duration_seconds",
    "gen_ai_client_inference_time_to_first_chunk_seconds",
    "gen_ai_client_inference_usage_input_tokens",
    "gen_ai_client_inference_usage_output_tokens",
    "gen_ai_client_inference_usage_cache_read_input_tokens",
    "gen_ai_client_inference_usage_reasoning_output_tokens",
    "gen_ai_client_inference_operation_input_tokens",
    "gen_ai_client_inference_operation_output_tokens",
}
FOREIGN = ("process_", "python_")


@pytest.mark.parametrize(
    ("opt_in", "gen_ai"),
    [
        ("", V1_41),
        ("http,rpc", V1_41),
        ("gen_ai_latest_experimental", LATEST),
        ("http, gen_ai_latest_experimental", LATEST),
    ],
)
def test_names_are_exactly_these(opt_in: str, gen_ai: set[str]) -> None:
    names = family_names(everything(made(opt_in)))

    assert OWN | gen_ai == {name for name in names if not name.startswith(FOREIGN)}


def test_every_event_changes_a_metric_or_is_said_not_to() -> None:
    assert set(EVENT_TYPES) == set(made().table) | UNMEASURED
    assert set(made().table).isdisjoint(UNMEASURED)


def test_answered_chat(metrics: Metrics) -> None:
    tell(metrics, answered())

    ok = {"error_type": "", "fault_domain": ""}
    duration = "gen_ai_client_operation_duration_seconds"
    assert value(metrics, f"{duration}_count", **CHAT, **ok) == 1
    assert value(metrics, f"{duration}_sum", **CHAT, **ok) == 2.5
    assert value(metrics, f"{duration}_bucket", **CHAT, **ok, le="1.28") == 0
    assert value(metrics, f"{duration}_bucket", **CHAT, **ok, le="2.56") == 1
    assert value(metrics, f"{duration}_bucket", **CHAT, **ok, le="+Inf") == 1
    assert value(metrics, "gen_ai_client_operation_time_to_first_chunk_seconds_sum", **CHAT) == 0.5
    assert value(metrics, "gen_ai_client_token_usage_sum", **CHAT, gen_ai_token_type="input") == 100
    assert value(metrics, "gen_ai_client_token_usage_sum", **CHAT, gen_ai_token_type="output") == 40
    assert value(metrics, "edgeclient_overhead_seconds_sum", method="StreamChat") == 0.25
    assert value(metrics, "edgeclient_tokens_total", gen_ai_request_model="qwen-plus", type="cached") == 64
    assert value(metrics, "edgeclient_cost_total", gen_ai_request_model="qwen-plus", currency="CNY") == 0.0015
    assert (
        value(
            metrics,
            "edgeclient_calls_total",
            method="StreamChat",
            gen_ai_request_model="qwen-plus",
            source="upstream",
            finish_reason="stop",
            **ok,
        )
        == 1
    )


def test_failed_chat_says_why_and_whose_fault_it_is(metrics: Metrics) -> None:
    tell(metrics, failed("UPSTREAM_TIMEOUT", possibly_billed=True))

    why = {"error_type": "UPSTREAM_TIMEOUT", "fault_domain": "provider"}
    assert value(metrics, "gen_ai_client_operation_duration_seconds_count", **CHAT, **why) == 1
    assert (
        value(
            metrics, "edgeclient_possibly_billed_total", gen_ai_request_model="qwen-plus", error_type="UPSTREAM_TIMEOUT"
        )
        == 1
    )
    assert {"gen_ai_client_token_usage", "edgeclient_overhead_seconds", "edgeclient_cost"}.isdisjoint(
        family_names(metrics)
    )


def test_chat_that_was_never_sent_is_no_operation_of_the_model(metrics: Metrics) -> None:
    tell(metrics, failed("INVALID_REQUEST", attempt_count=0, model="", target=""))

    assert not V1_41 & family_names(metrics)
    assert "edgeclient_calls" in family_names(metrics)


def test_pause_between_attempts_is_no_overhead(metrics: Metrics) -> None:
    tell(metrics, answered(attempt_count=2))

    assert "edgeclient_overhead_seconds" not in family_names(metrics)


def test_unknown_reason_is_other_and_a_matter_of_the_gateway(metrics: Metrics) -> None:
    tell(metrics, failed("SOMETHING_NEW"))

    why = {"error_type": "_OTHER", "fault_domain": "gateway"}
    assert value(metrics, "gen_ai_client_operation_duration_seconds_count", **CHAT, **why) == 1


def test_invented_snapshots_cannot_fill_the_memory(metrics: Metrics) -> None:
    for number in range(500):
        tell(metrics, answered(model=f"qwen-plus-{number:04}"))
    tell(metrics, answered())

    counts = {
        sample.labels["gen_ai_request_model"]: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "gen_ai_client_operation_duration_seconds_count"
    }
    assert len(counts) == 34  # the catalogue, 32 more, and _OTHER
    assert counts["_OTHER"] == 468
    assert counts["qwen-plus"] == 1


def test_long_answers_have_buckets(metrics: Metrics) -> None:
    tell(metrics, answered(duration_s=599.0))

    ok = {"error_type": "", "fault_domain": ""}
    name = "gen_ai_client_operation_duration_seconds_bucket"
    assert value(metrics, name, **CHAT, **ok, le="327.68") == 0
    assert value(metrics, name, **CHAT, **ok, le="655.36") == 1


def test_latest_names_count_what_the_old_ones_did() -> None:
    metrics = made("gen_ai_latest_experimental")

    tell(metrics, answered())

    usage = "gen_ai_client_inference_usage"
    assert value(metrics, f"{usage}_input_tokens_total", **CHAT, gen_ai_token_modality="unknown") == 100
    assert value(metrics, f"{usage}_output_tokens_total", **CHAT, gen_ai_token_modality="unknown") == 40
    assert value(metrics, f"{usage}_cache_read_input_tokens_total", **CHAT) == 64
    assert value(metrics, f"{usage}_reasoning_output_tokens_total", **CHAT) == 16
    assert value(metrics, "gen_ai_client_inference_operation_input_tokens_sum", **CHAT) == 100


@pytest.mark.parametrize(
    ("code", "error_type"), [("OK", ""), ("INVALID_ARGUMENT", ""), ("RESOURCE_EXHAUSTED", ""), ("INTERNAL", "INTERNAL")]
)
def test_rpc_counts_as_failed_when_the_server_failed(metrics: Metrics, code: str, error_type: str) -> None:
    tell(metrics, RpcFinished(service="edgeclient.v1.ChatService", method="Chat", code=code, duration_s=0.2))

    assert (
        value(
            metrics,
            "rpc_server_call_duration_seconds_count",
            rpc_system_name="grpc",
            rpc_method="edgeclient.v1.ChatService/Chat",
            rpc_response_status_code=code,
            error_type=error_type,
        )
        == 1
    )


def test_attempts_by_outcome(metrics: Metrics) -> None:
    attempt = {"target": "dashscope", "model": "qwen-plus", "duration_s": 1.0}
    tell(
        metrics,
        sample(AttemptFinished, **attempt, reason="UPSTREAM_RATE_LIMITED", http_status=429, first_byte_s=0.2),
        sample(AttemptFinished, **attempt, reason="UPLINK_OFFLINE", http_status=0, first_byte_s=None),
    )

    target = {"target": "dashscope", "gen_ai_request_model": "qwen-plus", "fault_domain": "provider"}
    name = "edgeclient_attempts_total"
    limited = {"error_type": "UPSTREAM_RATE_LIMITED", "http_response_status_code": "429"}
    assert value(metrics, name, **target, **limited) == 1
    assert value(metrics, name, **target, error_type="UPLINK_OFFLINE", http_response_status_code="") == 1
    assert value(metrics, "edgeclient_attempt_first_byte_seconds_count", target="dashscope") == 1


def test_uplink_is_one_hot_from_the_start(metrics: Metrics) -> None:
    def states() -> dict[str, float | None]:
        return {
            state.value: value(metrics, "edgeclient_uplink_state", target="dashscope", state=state.value)
            for state in Uplink
        }

    before = states()
    tell(metrics, UplinkChanged(target="dashscope", before=Uplink.UNKNOWN, after=Uplink.ONLINE, cause="probe"))

    assert before == {"unknown": 1, "online": 0, "degraded": 0, "offline": 0}
    assert states() == {"unknown": 0, "online": 1, "degraded": 0, "offline": 0}


def test_only_the_present_protocol_is_shown(metrics: Metrics) -> None:
    tell(metrics, ProtocolNegotiated(target="dashscope", protocol="h2"))
    tell(metrics, ProtocolNegotiated(target="dashscope", protocol="http/1.1"))

    name = "edgeclient_upstream_protocol_info"
    assert None is value(metrics, name, target="dashscope", protocol="h2")
    assert value(metrics, name, target="dashscope", protocol="http/1.1") == 1


def test_counters_of_rare_things(metrics: Metrics) -> None:
    tell(
        metrics,
        sample(RetryScheduled, reason="UPSTREAM_UNAVAILABLE", delay_s=0.4),
        CallShed(limit="ingress.max_in_flight", value=512),
        sample(KeyChanged),
        sample(CertificateUnreadable),
        sample(DefectFound, where="ingress"),
    )

    assert value(metrics, "edgeclient_retries_total", error_type="UPSTREAM_UNAVAILABLE") == 1
    assert value(metrics, "edgeclient_retry_delay_seconds_sum") == 0.4
    assert value(metrics, "edgeclient_shed_total", limit="ingress.max_in_flight") == 1
    assert value(metrics, "edgeclient_reloads_total", kind="key", outcome="success") == 1
    assert value(metrics, "edgeclient_reloads_total", kind="key", outcome="failure") == 0
    assert value(metrics, "edgeclient_reloads_total", kind="certificate", outcome="failure") == 1
    assert value(metrics, "edgeclient_defects_total", where="ingress") == 1


def test_life_of_the_node(metrics: Metrics) -> None:
    before = value(metrics, "edgeclient_draining")
    tell(metrics, sample(NodeStarted, startup_s=0.8), sample(NodeDraining))

    assert before == 0
    assert value(metrics, "edgeclient_draining") == 1
    assert value(metrics, "edgeclient_startup_seconds") == 0.8
    assert value(metrics, "edgeclient_build_info", version="1.2.3") == 1
    assert (
        value(metrics, "target_info", service_name="edgeclient", service_version="1.2.3", service_instance_id="box-1")
        == 1
    )


def test_gauges_are_asked_at_the_scrape(metrics: Metrics) -> None:
    active: list[int] = []
    metrics.read_at_scrape(Gauges(active_calls=lambda: len(active)))
    before = value(metrics, "edgeclient_active_calls")
    active.append(1)

    assert (before, value(metrics, "edgeclient_active_calls")) == (0, 1)
    assert None is value(metrics, "edgeclient_upstream_in_flight", target="dashscope")


def test_broken_gauge_is_counted_and_hides_no_other(metrics: Metrics) -> None:
    metrics.read_at_scrape(Gauges(active_calls=lambda: 1 / 0, upstream_in_flight=lambda: {"here": 2}))
    metrics.page("")

    failure = {"subscriber": "gauges", "event": "edgeclient_active_calls"}
    assert value(metrics, "edgeclient_upstream_in_flight", target="here") == 2
    assert (value(metrics, "edgeclient_telemetry_failures_total", **failure) or 0) >= 1


def test_process_is_measured(metrics: Metrics) -> None:
    names = family_names(metrics)

    assert {"python_info", "python_gc_collections", "process_resident_memory_bytes", "process_open_fds"} <= names
    assert "process_start_time_seconds" in names


def test_text_format_is_readable_by_prometheus(metrics: Metrics) -> None:
    content_type, page = everything(metrics).page("text/plain;version=0.0.4")

    families = {family.name: family.type for family in text_string_to_metric_families(page.decode())}
    assert content_type.startswith("text/plain; version=0.0.4")
    assert families["gen_ai_client_token_usage"] == "histogram"
    assert families["edgeclient_calls"] == "counter"
    assert b"_created" not in page


def test_openmetrics_is_readable(metrics: Metrics) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3"

    content_type, page = everything(metrics).page(accept)

    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert page.endswith(b"# EOF\n")
    assert {family.name for family in openmetrics.text_string_to_metric_families(page.decode())} >= OWN  # type: ignore[no-untyped-call]  # theirs


def numbers(families: Iterable[Metric]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith(("edgeclient_", "gen_ai_", "rpc_"))
    }


@pytest.mark.parametrize("opt_in", ["", "gen_ai_latest_experimental"])
def test_pages_say_exactly_what_the_library_would(opt_in: str) -> None:
    metrics = everything(made(opt_in))
    tell(metrics, answered(duration_s=1 / 3, prompt_tokens=123_456_789), sample(DefectFound, where='a"b\\c\nd'))

    plain, opened = metrics.page("")[1].decode(), metrics.page("application/openmetrics-text")[1].decode()

    expected = numbers(text_string_to_metric_families(generate_latest(metrics.registry).decode()))
    assert len(expected) > 100
    assert numbers(text_string_to_metric_families(plain)) == expected
    assert numbers(openmetrics.text_string_to_metric_families(opened)) == expected  # type: ignore[no-untyped-call]  # theirs


@pytest.mark.parametrize(
    "accept", ["", "*/*", "nonsense", "text/plain;version=x", "application/openmetrics-text;version=x"]
)
def test_any_wish_for_a_format_is_answered(metrics: Metrics, accept: str) -> None:
    _, page = metrics.page(accept)

    assert b"# TYPE edgeclient_draining gauge" in page


def test_label_values_cannot_break_the_format(metrics: Metrics) -> None:
    evil = 'a"b\\c\nd'
    tell(metrics, sample(DefectFound, where=evil))

    _, page = metrics.page("")

    families = {family.name: family for family in text_string_to_metric_families(page.decode())}
    assert [evil] == [found.labels["where"] for found in families["edgeclient_defects"].samples]


def test_registries_are_independent() -> None:
    first, second = made(), made()

    tell(first, answered())

    assert "edgeclient_calls" not in family_names(second)
