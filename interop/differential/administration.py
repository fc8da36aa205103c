"""What operators do beside the conversation, the same for both brokers: they set and clear policies."""

from __future__ import annotations

import base64
import html
import json
import re
import time
import urllib.error
import urllib.request
from threading import Lock
from typing import Protocol
from urllib.parse import quote

from amqpy_broker.core.policies import Policies, Policy, PolicyRefused
from amqpy_broker.testing import BrokerThread

VHOST = "/"
TIMEOUT_S = 20
_NOT_FOUND = 404
_AUTHORIZATION = "Basic " + base64.b64encode(b"guest:guest").decode()
_BREAK = re.compile(r"\n +")
_HEADING = "Validation failed\n\n"


class Administration(Protocol):
    """An operator of the vhost `/`."""

    def set_policy(self, policy: Policy, *, operators: bool) -> str:
        """Set a policy or an operator policy; return the complaint, or nothing."""
        ...

    def clear_policy(self, name: str, *, operators: bool) -> str:
        """Clear a policy or an operator policy; return the complaint, or nothing."""
        ...


class ByHttp:
    """By RabbitMQ's management API, one request at a time.

    Of two requests at the same time one may do what the other was asked to, which is then answered too early.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = Lock()

    def set_policy(self, policy: Policy, *, operators: bool) -> str:
        """PUT it."""
        body = {"pattern": policy.pattern, "definition": policy.definition, "priority": policy.priority}
        return self._ask("PUT", policy.name, operators, body | {"apply-to": policy.apply_to})

    def clear_policy(self, name: str, *, operators: bool) -> str:
        """DELETE it."""
        return self._ask("DELETE", name, operators, None)

    def _ask(self, method: str, name: str, operators: bool, body: object) -> str:
        noun = "operator-policies" if operators else "policies"
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/api/{noun}/{quote(VHOST, safe='')}/{quote(name, safe='')}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": _AUTHORIZATION, "content-type": "application/json"},
        )
        with self._lock:
            return _complaint(request)


def _complaint(request: urllib.request.Request) -> str:
    """Make a request and return what is wrong with it, or nothing. A broker that has just started is waited for."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            urllib.request.urlopen(request, timeout=TIMEOUT_S).close()
            return ""
        except urllib.error.HTTPError as error:
            with error:
                return "not found" if error.code == _NOT_FOUND else _reason(error.read())
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _reason(answer: bytes) -> str:
    """Return what is wrong, a line for each thing; the plugin writes some of it for a browser."""
    if not answer:
        return "the broker cannot say why"
    text: str = html.unescape(json.loads(answer)["reason"])
    # Long terms go on in the next line, which begins with blanks.
    return _BREAK.sub("", text.removeprefix(_HEADING).rstrip("\n"))


class InThread:
    """In a broker of ours in this process."""

    def __init__(self, broker: BrokerThread) -> None:
        self._broker = broker

    def set_policy(self, policy: Policy, *, operators: bool) -> str:
        """Set it between two steps of the broker."""
        return self._broker.run_in_broker(lambda: set_policy(self._policies, policy, operators=operators))

    def clear_policy(self, name: str, *, operators: bool) -> str:
        """Clear it between two steps of the broker."""
        return self._broker.run_in_broker(lambda: clear_policy(self._policies, name, operators=operators))

    @property
    def _policies(self) -> Policies:
        return self._broker.core.vhosts[VHOST].policies


def set_policy(policies: Policies, policy: Policy, *, operators: bool) -> str:
    """Set a policy of ours; return the complaint, or nothing."""
    try:
        (policies.set_operator if operators else policies.set)(policy, by="guest")
    except PolicyRefused as refusal:
        return str(refusal)
    return ""


def clear_policy(policies: Policies, name: str, *, operators: bool) -> str:
    """Clear a policy of ours; return the complaint, or nothing."""
    try:
        (policies.clear_operator if operators else policies.clear)(name, by="guest")
    except KeyError:
        return "not found"
    return ""
