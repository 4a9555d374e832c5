"""The endpoint of one target: its key, the connection, what is believed of the way there, and what probes it.

A key is looked at when it is shown. A target that has refused it is not asked for a while, so somebody else has to look
whether it was replaced meanwhile, and try the new one, which is free: `keep_key`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from urllib.parse import urlsplit

from edgeclient.config.credentials import FileKey, key_source
from edgeclient.config.setting import SettingError
from edgeclient.config.targets import TargetSettings
from edgeclient.core.ports import Clock, KeySource, Observe
from edgeclient.upstream.probe import Probe
from edgeclient.upstream.transport import Transport
from edgeclient.upstream.uplink import UplinkWatch

_LOOK_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """See the module.

    Attributes:
        settings: The target.
        key: Gives its API key; None: it wants none.
        transport: Exchanges with it.
        uplink: What is believed of the way there.
        probe: Asks it what costs nothing.
    """

    settings: TargetSettings
    key: KeySource | None
    transport: Transport
    uplink: UplinkWatch
    probe: Probe

    @property
    def name(self) -> str:
        """Name of the target."""
        return self.settings.name

    @property
    def host(self) -> str:
        """Host of its endpoint."""
        return urlsplit(self.settings.upstream.base_url).hostname or ""

    @property
    def problem(self) -> str:
        """What is wrong with the way or the key; "": nothing that is known."""
        return self.uplink.problem or self.probe.credentials_problem

    async def keep_key(self) -> None:
        """Look at the key file every other second. Ends only by cancellation, or at once if the key is in no file."""
        if not isinstance(self.key, FileKey):
            return
        tried = self.key.current()
        while True:
            await self.transport.clock.sleep(_LOOK_S)
            key = self.key.current()
            if key != tried:
                tried = key
                await self.probe.once()


def endpoint_of(
    settings: TargetSettings, *, environ: Mapping[str, str], observe: Observe, clock: Clock, rng: Random
) -> Endpoint:
    """Make and join its parts.

    Raises:
        SettingError: There is no key, or a file or URL that the settings name cannot be used.
    """
    config = settings.upstream
    key: KeySource | None = None
    if not config.keyless:
        key = key_source(
            config.api_key_file, environ, observe=observe, clock=clock, path=settings.path, target=settings.name
        )
    try:
        transport = Transport(config, key, observe=observe, clock=clock, environ=environ, reword=settings.in_own_terms)
    except SettingError as error:
        raise SettingError([settings.in_own_terms(problem) for problem in error.problems]) from error
    uplink = UplinkWatch(config.name, observe=observe, clock=clock)
    probe = Probe(config, transport, uplink, observe=observe, clock=clock, rng=rng)
    return Endpoint(settings=settings, key=key, transport=transport, uplink=uplink, probe=probe)
