"""Judges what the provider says to a free call: the key, the models, the time it takes, the clock."""

import math
from collections.abc import Iterable, Mapping, Sequence

from edgeclient.cli.doctor_verdict import Verdict, failing, fine, skipped, span, warning
from edgeclient.upstream.diagnosis import FreeAnswer

_NO_SUCH_PATH = (404, 405)
_UNAUTHORIZED = 401
_SLOW_S = 1.0
_SKEW_S = 60.0
_MOST_SHOWN = 5
_ONLY_PAID = "only a paid call would show whether this key may use it"


def judge_key(answer: FreeAnswer, *, key_from: str) -> Verdict:
    """Whether the provider takes the key. `key_from` says where the key comes from; "": none is wanted."""
    line = f"GET /models: HTTP {answer.status}"
    if not answer.reason:
        outcome = "the provider takes the key" if key_from else "the endpoint answers without a key"
        return fine(f"{outcome} ({line} over {answer.protocol}, {span(answer.duration_s)})")
    seen = f"{answer.problem}" + ("" if not answer.status or "HTTP" in answer.problem else f" ({line})")
    if answer.status in _NO_SUCH_PATH:
        return warning(
            f"the endpoint has no list of models ({line}), so the key is not proved",
            seen=seen,
            means="relays need not have one; with the provider's own hosts the path of base_url is wrong",
            do=["check the path of upstream.base_url; for the provider it ends with /compatible-mode/v1"],
        )
    verdict = _REFUSALS.get(answer.reason)
    if verdict is not None:
        return verdict(seen, answer.status, key_from)
    return failing(
        "the provider does not answer as it should" if answer.status else "there is no answer",
        seen=seen,
        means="the way works up to TLS, and what is behind it fails",
        do=["wait and try again; the daemon does so by itself", "look at the provider's status page"],
    )


def _refused(seen: str, status: int, key_from: str) -> Verdict:
    if status == _UNAUTHORIZED:
        return failing(
            "the provider does not know the key (401)",
            seen=seen,
            means="the key is mistyped or revoked, or belongs to another region than the host of upstream.base_url",
            do=[
                f"compare the key ({key_from}) with the provider's console; make a new one if in doubt",
                "a key belongs to a region: check upstream.base_url (Beijing, Singapore, ... have hosts of their own)",
            ],
        )
    return failing(
        "the provider knows the key and refuses it (403)" if status else "there is no key to send",
        seen=seen,
        means="the key has no right to this workspace or interface, or the account is not activated or in debt",
        do=["in the provider's console: check the rights of the key, its workspace, and the account"],
    )


def _portal(seen: str, status: int, key_from: str) -> Verdict:
    del key_from
    if not status:
        return failing(
            "there is no answer",
            seen=seen,
            means="the engine of the daemon finds no way",
            do=["see the sentence above"],
        )
    return failing(
        "a web page answered instead of the provider",
        seen=seen,
        means="the network wants a sign-in (captive portal), or base_url leads to a web site",
        do=[
            "sign in to the network with a browser, or ask whoever runs it to let this node through",
            "check upstream.base_url; for the provider its path ends with /compatible-mode/v1",
        ],
    )


def _money(seen: str, status: int, key_from: str) -> Verdict:
    del status, key_from
    return failing(
        "the provider's account has no money left, or is not activated",
        seen=seen,
        means="the key is right; the account behind it may not be used",
        do=["in the provider's console: pay, or activate the service"],
    )


def _throttled(seen: str, status: int, key_from: str) -> Verdict:
    del status, key_from
    return warning(
        "the provider limits the rate just now",
        seen=seen,
        means="the key is known; too much is asked with it, perhaps by other nodes",
        do=["wait a minute; set [[limits]] to what the account has"],
    )


_REFUSALS = {
    "UPSTREAM_CREDENTIALS": _refused,
    "UPLINK_OFFLINE": _portal,
    "UPSTREAM_QUOTA_EXHAUSTED": _money,
    "UPSTREAM_RATE_LIMITED": _throttled,
}


def judge_models(listed: Iterable[str] | None, *, default: str, named: Mapping[str, str]) -> Verdict:
    """Whether the provider has the models of the configuration.

    Args:
        listed: Ids that the provider lists; None: it gave no list.
        default: Id of the default model.
        named: For the id of each other model, the setting that names it.
    """
    if listed is None:
        return skipped(f"the endpoint lists no models; {_ONLY_PAID}")
    known = set(listed)
    missing = {name: path for name, path in named.items() if name not in known and name != default}
    others = ", ".join(f"{name} ({path})" for name, path in list(missing.items())[:_MOST_SHOWN])
    seen = f"{len(known)} models are listed" + (f"; also missing: {others}" if others else "")
    if default not in known:
        return failing(
            f"the provider does not list the default model {default}",
            seen=seen,
            means=f"calls that name no model will fail, unless the list is not complete; {_ONLY_PAID}",
            do=["set chat.default_model to a model of this region", "check that upstream.base_url is the right region"],
        )
    if missing:
        return warning(
            f"{default} is listed, {len(missing)} of {len(named)} other models are not",
            seen=f"not listed: {others}",
            means=f"calls that name them will fail, unless the list is not complete; {_ONLY_PAID}",
            do=["correct the settings in brackets, or choose a region that has these models"],
        )
    others_too = f" and the {len(named)} others of the configuration are" if named else " is"
    return fine(f"{default}{others_too} listed ({len(known)} in all); {_ONLY_PAID}")


def judge_latency(calls: Sequence[FreeAnswer], fresh: Sequence[FreeAnswer], *, wanted: int) -> Verdict:
    """How fast free calls are over one connection, and over a new one each."""
    good = sorted(call.duration_s for call in calls if call.status)
    if not good:
        problem = next((call.problem for call in calls if call.problem), "there was no time left")
        return warning(
            "no call was answered", seen=problem, means="the line comes and goes", do=["try again in a minute"]
        )
    p50_s, p99_s = quantile(good, 0.5), quantile(good, 0.99)
    anew = sorted(call.duration_s for call in fresh if call.status)
    more = f"; a new connection costs {span(max(0.0, quantile(anew, 0.5) - p50_s))} more" if anew else ""
    line = f"p50 {span(p50_s)}, p99 {span(p99_s)} of {len(good)} free calls on one connection{more}"
    lost = [call for call in calls if not call.status]
    if lost or len(calls) < wanted:
        return warning(
            line,
            seen=f"{wanted - len(good)} of {wanted} calls got no answer in time"
            + (f": {lost[0].problem}" if lost else ""),
            means="the line is slow, or comes and goes",
            do=["look at the radio link or the load of this site's uplink"],
        )
    if p50_s > _SLOW_S:
        return warning(
            line,
            means="the way to the provider is slow before any model has begun to think",
            do=["choose the provider's region next to this node", "look at the radio link or the load of the uplink"],
        )
    return fine(line)


def quantile(ordered: Sequence[float], part: float) -> float:
    """The value that this part of the ordered values does not exceed."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def judge_clock(ahead_s: float | None, *, kept: bool | None) -> Verdict:
    """Whether the clock is right.

    Args:
        ahead_s: By how much it is ahead of the provider's; None: unknown.
        kept: The kernel says that somebody synchronises it; None: it does not say.
    """
    keeper = {True: "synchronised", False: "not synchronised", None: "whether it is synchronised cannot be seen"}[kept]
    advice = ["start an NTP service (chrony, systemd-timesyncd, or busybox ntpd); does the box have a battery?"]
    if ahead_s is None:
        if kept is False:
            return warning(
                "nobody synchronises the clock, and no answer of the provider to compare it with",
                means="a wrong clock makes certificates look expired, and jobs end too early or too late",
                do=advice,
            )
        return fine(f"no answer of the provider to compare with; {keeper}")
    if abs(ahead_s) > _SKEW_S:
        way = "ahead of" if ahead_s > 0 else "behind"
        return warning(
            f"{abs(ahead_s):.0f} s {way} the provider's clock; {keeper}",
            means="certificates look expired or not yet valid, and times in logs and usage are wrong",
            do=["set the clock", *advice],
        )
    seconds = "within a second of" if abs(ahead_s) < 1 else f"{ahead_s:+.0f} s from"
    return fine(f"{seconds} the provider's; {keeper}")
