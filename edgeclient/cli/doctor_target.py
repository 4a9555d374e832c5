"""Checks one target, from the name to the answer, each step on what the one before found."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from edgeclient.cli.doctor_connect import TCP_S, Dial, Handshake, Road, dial_all, shake_hands
from edgeclient.cli.doctor_course import Course
from edgeclient.cli.doctor_kernel import clock_is_kept
from edgeclient.cli.doctor_lookup import LOOKUP_S, Lookup, look_up
from edgeclient.cli.doctor_provider import judge_clock, judge_key, judge_latency, judge_models
from edgeclient.cli.doctor_settings import judge_key_facts, key_of, models_named
from edgeclient.cli.doctor_tls import judge_alpn, judge_handshake
from edgeclient.cli.doctor_verdict import Verdict, failing, fine, skipped
from edgeclient.cli.doctor_way import judge_dials, judge_lookup
from edgeclient.config.credentials import VARIABLE
from edgeclient.config.load import Loaded
from edgeclient.config.schema import UpstreamConfig
from edgeclient.config.setting import SettingError
from edgeclient.config.targets import TargetSettings
from edgeclient.core.ports import KeySource
from edgeclient.runtime import SystemClock
from edgeclient.upstream.connection_fault import Peer
from edgeclient.upstream.diagnosis import FreeAnswer, FreeCalls
from edgeclient.upstream.proxy import proxy_url
from edgeclient.upstream.trust import trusted

_KEY_S = 1.0
_TLS_S = 4.0
_ANSWER_S = 6.0
_LATENCY_S = 4.0
_CALLS = 10
_FRESH_CALLS = 3
_SLACK_S = 0.5
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is checked.

    Attributes:
        settings: The target.
        default_model: What the model for requests that name none is called there; "" if it is not served.
        models: For what each other model is called there, the setting that names it.
        is_one_of_several: There are rows of targets, and this is one of them.
    """

    settings: TargetSettings
    default_model: str
    models: Mapping[str, str]
    is_one_of_several: bool = False

    @classmethod
    def of(cls, settings: TargetSettings, loaded: Loaded) -> "Target":
        """A target of the configuration."""
        default, named = models_named(loaded)
        there = {name: path for model, path in named.items() if (name := settings.serves(model))}
        first = settings.serves(default) or ""
        there.pop(first, None)
        return cls(settings=settings, default_model=first, models=there, is_one_of_several=bool(loaded.config.targets))

    @property
    def config(self) -> UpstreamConfig:
        """The endpoint and how it is reached."""
        return self.settings.upstream

    @property
    def key_from(self) -> str:
        """Where the key comes from, in words; "": none is wanted."""
        return "" if self.config.keyless else self.config.api_key_file or VARIABLE

    def in_words(self) -> str:
        """What it is, in one line."""
        settings = self.settings
        few = settings.only or (settings.names if settings.others is None else ())
        served = f"{len(few)} model{'s' if len(few) > 1 else ''}" if few else "all models"
        place = ["local" if settings.local else f"tier {settings.tier}", f"account {settings.account}", served]
        return f"{settings.name} at {self.config.base_url}: {', '.join(place)}"


class TargetCheck:
    """The checks of a target, in their order.

    Args:
        target: What is checked.
        environ: Where the proxy is looked up.
    """

    def __init__(self, target: Target, *, environ: Mapping[str, str]) -> None:
        self._target = target
        self._key: KeySource | None = None
        self._environ = environ
        self._proxy_url = proxy_url(target.config, environ)
        url = urlsplit(target.config.base_url)
        self._is_plain = url.scheme == "http"
        self._host, self._port = url.hostname or "", url.port or _PORTS[url.scheme]
        proxy = urlsplit(self._proxy_url)
        self._end_host = proxy.hostname or "" if self._proxy_url else self._host
        self._end_port = (proxy.port or _PORTS.get(proxy.scheme, 1080)) if self._proxy_url else self._port
        self._peer = Peer.at(target.config.base_url, proxy_url=self._proxy_url, connect_timeout_s=0)
        self._lookup: Lookup | None = None
        self._dials: tuple[Dial, ...] = ()
        self._handshake: Handshake | None = None
        self._answer: FreeAnswer | None = None
        self._calls: FreeCalls | None = None
        self._within: Callable[[float], float] = float

    async def run(self, course: Course) -> None:
        """Make them."""
        self._within = course.within
        try:
            if self._target.is_one_of_several:
                await course.take("target", self._itself, limit_s=_SLACK_S)
            await course.take("key", self._of_key, limit_s=_KEY_S)
            await course.take("DNS", self._dns, needs=["config"], limit_s=LOOKUP_S + _SLACK_S)
            await course.take("TCP", self._tcp, needs=["DNS"], limit_s=TCP_S + _SLACK_S)
            await course.take("TLS", self._tls, needs=["TCP"], limit_s=_TLS_S + _SLACK_S)
            await course.take("HTTP/2", self._http2, needs=["TLS"], limit_s=_SLACK_S)
            await course.take("credentials", self._credentials, needs=["key", "HTTP/2"], limit_s=_ANSWER_S + _SLACK_S)
            await course.take("models", self._models, needs=["credentials"], limit_s=_SLACK_S)
            await course.take("latency", self._latency, needs=["credentials"], limit_s=_LATENCY_S + _SLACK_S)
            await course.take("clock", self._clock, limit_s=_SLACK_S)
        finally:
            if self._calls is not None:
                await self._calls.close()

    async def _itself(self) -> Verdict:
        return fine(self._target.in_words())

    async def _of_key(self) -> Verdict:
        config = self._target.config
        if config.keyless:
            return skipped("the endpoint wants none")
        self._key, facts = key_of(config, self._environ, path=self._target.settings.path)
        return judge_key_facts(facts)

    async def _dns(self) -> Verdict:
        self._lookup = await look_up(self._end_host, limit_s=self._within(LOOKUP_S))
        return judge_lookup(self._lookup, of_proxy=bool(self._proxy_url))

    async def _tcp(self) -> Verdict:
        addresses = self._lookup.addresses if self._lookup else ()
        self._dials = await dial_all(addresses, self._end_port, limit_s=self._within(TCP_S))
        end = f"the proxy {self._peer.proxy_name}" if self._proxy_url else self._peer.name
        return judge_dials(self._dials, end=end, of_proxy=bool(self._proxy_url))

    async def _tls(self) -> Verdict:
        config = self._target.config
        if self._is_plain:
            return skipped("upstream.base_url is http: nothing is encrypted")
        if self._proxy_url and not self._proxy_url.startswith("http://"):
            return skipped("only the daemon's engine speaks to this kind of proxy; see credentials")
        try:
            context = trusted(config)
        except OSError as error:
            return failing(
                "upstream.ca_file cannot be used",
                seen=f"{config.ca_file}: {error.strerror or error}",
                means="the daemon does not start with it",
                do=["give the path of a file with certificates in PEM form that this user may read"],
            )
        best = min((dial for dial in self._dials if dial.outcome == "connected"), key=lambda dial: dial.duration_s)
        road = Road(
            host=self._host,
            port=self._port,
            address=best.address,
            address_port=self._end_port,
            proxy_url=self._proxy_url,
        )
        self._handshake = await shake_hands(road, context, limit_s=self._within(_TLS_S))
        return judge_handshake(
            self._handshake,
            peer=self._peer.name,
            ca_file=config.ca_file,
            now=datetime.now(UTC),
            clock_kept=clock_is_kept(),
            through=self._peer.proxy_name,
        )

    async def _http2(self) -> Verdict:
        if self._handshake is None:
            return skipped("nothing is negotiated without TLS; see credentials")
        return judge_alpn(self._handshake, peer=self._peer.name, http1=self._target.config.http1)

    async def _credentials(self) -> Verdict:
        try:
            self._calls = FreeCalls(self._target.config, self._key, clock=SystemClock(), environ=self._environ)
        except SettingError as error:
            return failing(
                "the engine of the daemon refuses the settings",
                seen="; ".join(error.problems),
                means="the daemon does not start with them",
                do=["correct the setting"],
            )
        self._answer = await self._calls.ask(limit_s=self._within(_ANSWER_S))
        return judge_key(self._answer, key_from=self._target.key_from)

    async def _models(self) -> Verdict:
        listed = self._answer.models if self._answer else None
        if not self._target.default_model and not self._target.models:
            return skipped("no model that the configuration names is asked here")
        return judge_models(listed, default=self._target.default_model, named=self._target.models)

    async def _latency(self) -> Verdict:
        if self._calls is None:
            return skipped("there is no key")
        ends_s = time.monotonic() + self._within(_LATENCY_S)
        calls: list[FreeAnswer] = []
        fresh: list[FreeAnswer] = []
        while len(calls) < _CALLS and (left_s := ends_s - time.monotonic()) > 0:
            calls.append(await self._calls.ask(limit_s=left_s))
        while len(fresh) < _FRESH_CALLS and (left_s := ends_s - time.monotonic()) > 0:
            fresh.append(await self._calls.ask_anew(limit_s=left_s))
        return judge_latency(calls, fresh, wanted=_CALLS)

    async def _clock(self) -> Verdict:
        return judge_clock(self._answer.clock_ahead_s if self._answer else None, kept=clock_is_kept())
