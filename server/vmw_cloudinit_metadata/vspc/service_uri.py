"""The service URI: the operator's word for a server, and behind it what a VM's settings add for it.

``my-metadata?port=2&token=SECRET`` is the service ``my-metadata`` with a label for one of several ports of a
VM, and a shared secret. vSphere passes the text on as it stands.
"""

import re
from urllib.parse import unquote

# It may be as long as a suboption; this much tells an operator whose settings are wrong.
MAX_LOGGED = 100


def parameters(uri: str, ours: str) -> dict[str, str] | None:
    """Return what stands as ``?key=value&key=value`` behind our service URI, None behind another one."""
    if uri == ours:
        return {}
    mark = "&" if "?" in ours else "?"
    if not uri.startswith(ours + mark):
        return None
    pairs = (pair.partition("=") for pair in uri[len(ours) + 1 :].split("&"))
    # A "+" stays one, as in a token: this is no form of the web.
    return {key: unquote(value) for key, _, value in pairs}


def loggable(uri: str) -> str:
    """Return what of a service URI may be logged: up to where a token may begin, even a misplaced one."""
    shown = uri[:MAX_LOGGED]
    if mark := re.search("[?#&;=%]", shown):
        shown = shown[: mark.end()]
    return shown if shown == uri else f"{shown}..."
