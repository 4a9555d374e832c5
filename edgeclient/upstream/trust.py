"""Whom the node trusts when it connects to a provider."""

import ssl

import certifi

from edgeclient.config.schema import UpstreamConfig


def trusted(config: UpstreamConfig) -> ssl.SSLContext:
    """A context that trusts the platform's CAs, certifi's where the platform has none, and that of `ca_file`.

    Raises:
        OSError: `ca_file` cannot be read, or holds no certificate (`ssl.SSLError`).
    """
    context = ssl.create_default_context()
    platform = ssl.get_default_verify_paths()
    if platform.cafile is None and platform.capath is None:
        context.load_verify_locations(cafile=certifi.where())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python's own idea since 3.13, and many a private CA's undoing
    if config.ca_file:
        context.load_verify_locations(cafile=config.ca_file)
    return context
