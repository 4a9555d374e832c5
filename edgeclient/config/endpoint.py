"""What is wrong with the URL of an endpoint or of a proxy, in sentences that begin with the name of the setting.

The API key and the prompts go to an endpoint, so it is plaintext on this machine only, unless somebody says that the
way there is his own. A user or a password in a URL would be a secret in the configuration, which holds none; it is not
repeated in the sentence either.
"""

from urllib.parse import SplitResult, urlsplit

from edgeclient.config.address import is_loopback

_SCHEMES = ("https", "http")


def endpoint_problems(base_url: str, *, may_be_plain: bool = False) -> list[str]:
    """What is wrong with `base_url`.

    Args:
        base_url: The setting.
        may_be_plain: Plaintext is permitted beyond this machine, because no key is sent and the network is trusted.
    """
    if "@" in base_url:
        return ["base_url: must not hold a user or a password; the API key comes from api_key_file"]
    url = _split(base_url)
    if url is None:
        return [f"base_url: {base_url!r} is no URL, write for instance https://dashscope.aliyuncs.com/..."]
    problems = []
    if url.scheme == "http" and not may_be_plain and not is_loopback(f"{url.hostname}:{url.port or 80}"):
        problems.append(f"base_url: {base_url} would send the API key in plaintext; use https")
    if url.query or url.fragment:
        problems.append("base_url: must not hold a query or a fragment")
    return problems


def proxy_problems(proxy: str) -> list[str]:
    """What is wrong with `proxy`."""
    if proxy in ("environment", "none"):
        return []
    if "@" in proxy:
        return ['proxy: must not hold a user or a password; set HTTPS_PROXY and leave proxy = "environment"']
    if _split(proxy) is None:
        return [f"proxy: {proxy!r} is neither environment nor none nor a URL such as http://proxy:3128"]
    return []


def key_file_problems(api_key_file: str) -> list[str]:
    """What is wrong with `api_key_file`; a key in the place of a path is not repeated."""
    if api_key_file.startswith("sk-"):
        return ["api_key_file: wants the path of a file that holds the key, not the key itself"]
    return []


def _split(text: str) -> SplitResult | None:
    """The parts of an HTTP URL; None if it is none."""
    try:
        url = urlsplit(text)
        is_url = url.scheme in _SCHEMES and bool(url.hostname) and url.port != 0
    except ValueError:  # brackets without an IPv6 address between them, a port that is no number or too large
        return None
    return url if is_url else None
