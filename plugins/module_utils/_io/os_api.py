# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The API of the OS on a node (contract.md, OS API), called by the node itself or by the controller.

By the node: the exchange is a shell script (scripts.HTTP), so that login, register and wait take one round trip and the
session token never leaves the node. By the controller: class Client. Both give the same Reply, and the same sentences.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import socket
import ssl
import time
import typing as t
import urllib.error
import urllib.parse
from datetime import datetime

from ansible.module_utils.urls import open_url

from .._core import totp
from .._core.errors import ApiError, InputError
from .cp_api import decoded, fill, http_date, is_loopback, search
from .host import Answer, redact, whole

ARGUMENT_SPEC: dict[str, t.Any] = {
    "os_url": {"type": "str", "default": "http://localhost:8080"},
    "os_ca": {"type": "str"},
    "os_api_key": {"type": "str", "no_log": True},
    "os_username": {"type": "str"},
    "os_password": {"type": "str", "no_log": True},
    "os_totp_secret": {"type": "str", "no_log": True},
    "os_timeout": {"type": "int", "default": 15},
}

LOGIN_PATH = "/api/auth/login"
TOTP_PATH = "/api/auth/totp/verify"
MAX_BODY = 262144


@dataclasses.dataclass(frozen=True)
class Address:
    """An os_url taken apart. C(authority) is what the Host header says."""

    scheme: str
    host: str
    port: int
    prefix: str
    authority: str

    @property
    def base(self) -> str:
        return f"{self.scheme}://{self.authority}{self.prefix}"

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


def address(os_url: str) -> Address:
    """Raises InputError. A path of C(/api) at the end is taken off: the paths of this API begin with it."""
    text = os_url.strip()
    try:
        parts = urllib.parse.urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InputError(f"os_url is not an address ({error}), expected something like http://localhost:8080") from None
    if "@" in parts.netloc:
        raise InputError("os_url must not hold a user name or password: use os_username and os_password, or os_api_key")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise InputError(
            f"os_url is {text!r}, expected something like http://localhost:8080 or https://node.example.com"
        )
    if set("\"\\'\r\n\t ") & set(text):
        raise InputError(
            "os_url has a quote, a backslash or a blank in it, expected something like http://localhost:8080"
        )
    prefix = parts.path.rstrip("/")
    if prefix.endswith("/api"):
        prefix = prefix[: -len("/api")]
    found = Address(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), prefix, parts.netloc)
    if found.scheme == "http" and not found.loopback:
        raise InputError(
            f"os_url must be https unless it is a loopback address, found {text}:"
            " tokens and passwords would travel readable"
        )
    return found


@dataclasses.dataclass(frozen=True)
class Reply:
    """One answer. C(status) None: there was none. C(sent) False: the request cannot have reached the server."""

    status: int | None
    said: str = ""
    body: bytes = b""
    retry_after: int | None = None
    sent: bool = True
    error: str = ""


_EXPLAINED = {
    401: "the credentials were refused (os_api_key, or os_username and os_password)",
    402: "the licence does not allow it",
    403: "the account's role does not allow it (an Admin or Operator is needed)",
    404: "there is no such path: an older OS, or another os_url or path",
    409: "it contradicts the state of the node",
    429: "too many requests, and waiting as long as allowed did not help",
    500: "the OS failed inside",
    502: "a proxy in front of the OS got no answer",
    503: "the OS is not available",
    504: "a proxy in front of the OS waited in vain",
}


def complaint(what: str, url: str, reply: Reply, hide: t.Iterable[str] = ()) -> str:
    """A sentence for an answer that is not a success. The server's words are quoted, secrets in them blotted out."""
    if reply.status is None:
        if not reply.sent:
            return f"{what} at {url}: not sent, {reply.error or 'no connection'}"
        return f"{what} at {url}: no answer, {reply.error or 'the connection ended'}; whether it was taken is not known"
    text = f"{what} at {url}: HTTP {reply.status}, " + _EXPLAINED.get(reply.status, "not expected")
    return text + _quoted(redact(reply.said, hide))


def _quoted(said: str) -> str:
    said = " ".join(said.split())
    if not said:
        return ""
    if said[:1] == "<":
        return "; the answer is an HTML page: is a proxy or a login page in between?"
    try:
        data = json.loads(said)
    except ValueError:
        return f'; it said "{said[:160]}"' if said[:1] not in "{[" else "; the answer is cut-off JSON"
    if isinstance(data, dict) and isinstance(data.get("error"), str):
        return f'; it said "{data["error"][:160]}"'
    return ""


def parse_json(body: bytes, what: str) -> t.Any:
    """Raises ApiError that tells an HTML page from cut-off JSON."""
    try:
        return decoded(body)
    except ValueError:
        pass
    start = body.lstrip()[:1]
    if not start:
        raise ApiError(f"{what}: the answer is empty, expected JSON")
    if start == b"<":
        raise ApiError(f"{what}: the answer is an HTML page, expected JSON: is os_url right, or a proxy in between?")
    raise ApiError(f"{what}: the answer is not JSON, or cut off after {len(body)} bytes")


# --- called by the node -----------------------------------------------------------------------------------------------


def script_variables(options: t.Mapping[str, t.Any], now: datetime) -> tuple[dict[str, str], dict[str, str]]:
    """What scripts.HTTP needs: plain and secret variables. C(now) is for the TOTP code. Raises InputError."""
    place = address(options["os_url"])
    ca = options.get("os_ca") or ""
    plain = {
        "o_os_scheme": place.scheme,
        "o_os_host": place.host,
        "o_os_port": str(place.port),
        "o_os_prefix": place.prefix,
        "o_os_authority": place.authority,
        "o_os_base": place.base,
        "o_os_loopback": "1" if place.loopback else "0",
        "o_os_ca": ca,
        "o_os_ca_q": _curl_quoted(ca),
        "o_os_timeout": str(options.get("os_timeout") or 15),
    }
    body = login_body(options)
    secret = {
        "o_os_api_key": _api_key(options),
        "o_os_login_body": body,
        "o_os_login_body_q": _curl_quoted(body),
        "o_os_totp_code": totp.code(options["os_totp_secret"], now) if body and options.get("os_totp_secret") else "",
    }
    return plain, secret


def body_variables(name: str, data: t.Any) -> dict[str, str]:
    """A JSON body as scripts.HTTP wants it: plain (bash, openssl) and quoted for a configuration of curl."""
    text = json.dumps(data)
    return {name: text, f"{name}_q": _curl_quoted(text)}


def login_body(options: t.Mapping[str, t.Any]) -> str:
    username, password = options.get("os_username"), options.get("os_password")
    if bool(username) != bool(password):
        raise InputError("os_username and os_password belong together: one of them is not set")
    return (
        json.dumps({"username": username, "password": password}) if username and not options.get("os_api_key") else ""
    )


def register_body(template: t.Mapping[str, t.Any] | None, token: str) -> dict[str, t.Any]:
    """The body of a registration: C({token}) in the template is replaced; without one, the field C(token) is added."""
    template = dict(template or {})
    filled: dict[str, t.Any] = fill(template, {"token": token})
    return filled if "{token}" in json.dumps(template) else {"token": token, **filled}


def _api_key(options: t.Mapping[str, t.Any]) -> str:
    key = str(options.get("os_api_key") or "").strip()
    if any(not 33 <= ord(char) <= 126 or char in '"\\' for char in key):
        raise InputError("os_api_key has a character in it that no API key has (blank, quote, backslash or not ASCII)")
    return key


def _curl_quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


_CURL_ERRORS = {
    3: "curl does not take the address",
    5: "the proxy's name cannot be resolved",
    6: "the name cannot be resolved",
    7: "connection refused",
    18: "the answer was cut off",
    28: "no answer in time",
    35: "no TLS connection",
    52: "the connection ended without an answer",
    56: "the connection broke off",
    60: "the server's certificate was not accepted (os_ca)",
    63: "the answer is too long",
    77: "the file os_ca cannot be read",
    124: "no answer in time",
}


def reply_of(answer: Answer, name: str) -> Reply | None:
    """The Reply that scripts.HTTP put under C(name), or None when it put none."""
    if f"{name}.status" not in answer.sections:
        return None
    code = answer.number(f"{name}.rc")
    return Reply(
        status=answer.number(f"{name}.status"),
        said=answer.text(f"{name}.said"),
        body=answer.sections.get(f"{name}.body", b""),
        retry_after=answer.number(f"{name}.retry_after"),
        sent=answer.text(f"{name}.sent") != "0",
        error=_CURL_ERRORS.get(code or 0, f"exit status {code}" if code else "the connection ended without an answer"),
    )


def login_complaint(answer: Answer, options: t.Mapping[str, t.Any]) -> str:
    """Why scripts.HTTP could not log in; empty when it could, or had no need to."""
    base, hide = address(options["os_url"]).base, secrets_of(options)
    reason = answer.text("login.error")
    if reason == "totp":
        return f"the login at {base}{LOGIN_PATH} asks for a second factor: set os_totp_secret, or use os_api_key"
    if reason == "token":
        return f"the login at {base}{LOGIN_PATH} was answered without an access_token: is os_url the OS's own API?"
    for name, path in (("login", LOGIN_PATH), ("totp", TOTP_PATH)):
        reply = reply_of(answer, name)
        if reply is not None:
            return complaint("the login" if name == "login" else "the second factor", base + path, reply, hide)
    return ""


def secrets_of(options: t.Mapping[str, t.Any]) -> list[str]:
    names = ("os_api_key", "os_password", "os_totp_secret", "token")
    return [str(options[name]) for name in names if options.get(name)]


# --- called by the controller -----------------------------------------------------------------------------------------


class Client:
    """The same API from the controller, for nodes whose os_url it can reach. Certificates are always verified."""

    def __init__(
        self,
        options: t.Mapping[str, t.Any],
        *,
        now: t.Callable[[], datetime],
        sleep: t.Callable[[float], None] = time.sleep,
        send: t.Callable[..., t.Any] = open_url,
    ) -> None:
        self._options = options
        self._place = address(options["os_url"])
        self._now, self._sleep, self._send = now, sleep, send
        self._key = _api_key(options)
        self._auth = f"Bearer {self._key}" if self._key else ""
        self._hide = secrets_of(options)

    def post_once(self, path: str, body: t.Any, accepted: t.Collection[int], budget: float) -> Reply:
        """POST, and again only after an answer that says that it was not taken: 429, 503 with Retry-After, one 401."""
        login_again = not self._key
        self._login()
        while True:
            reply = self._exchange("POST", path, body)
            if reply.status in accepted:
                return reply
            if reply.status == 401 and login_again and self._auth:
                login_again, self._auth = False, ""
                self._login()
                continue
            pause = reply.retry_after
            if reply.status == 429 and pause is None:
                pause = 5
            if reply.status not in (429, 503) or pause is None or max(pause, 1) > budget:
                return reply
            budget -= max(pause, 1)
            self._sleep(max(pause, 1))

    def _login(self) -> None:
        if self._auth or not self._options.get("os_username"):
            return
        login_body(self._options)
        what = f"the login at {self._place.base}{LOGIN_PATH}"
        data = {"username": self._options["os_username"], "password": self._options["os_password"]}
        found = self._json(what, self._exchange("POST", LOGIN_PATH, data))
        if found.get("totp_required"):
            if not self._options.get("os_totp_secret"):
                raise ApiError(f"{what} asks for a second factor: set os_totp_secret, or use os_api_key")
            what = f"the second factor at {self._place.base}{TOTP_PATH}"
            data = {
                "temp_token": found.get("temp_token"),
                "code": totp.code(self._options["os_totp_secret"], self._now()),
            }
            found = self._json(what, self._exchange("POST", TOTP_PATH, data))
        token = found.get("access_token")
        if not isinstance(token, str) or not token:
            raise ApiError(f"{what} was answered without an access_token: is os_url the OS's own API?")
        self._hide.append(token)
        self._auth = f"Bearer {token}"

    def _json(self, what: str, reply: Reply) -> dict[str, t.Any]:
        if reply.status is None or not 200 <= reply.status < 300:
            name, _unused, url = what.partition(" at ")
            raise ApiError(complaint(name, url, reply, self._hide))
        data = parse_json(reply.body, what)
        if not isinstance(data, dict):
            raise ApiError(f"{what}: the answer is a {type(data).__name__}, expected an object")
        return data

    def _exchange(self, method: str, path: str, body: t.Any = None) -> Reply:
        headers = {"Accept": "application/json", "Connection": "close"}
        if self._auth:
            headers["Authorization"] = self._auth
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = self._send(
                self._place.base + path,
                method=method,
                data=None if body is None else json.dumps(body),
                headers=headers,
                timeout=int(self._options.get("os_timeout") or 15),
                ca_path=self._options.get("os_ca") or None,
                use_proxy=not self._place.loopback,
                follow_redirects="none",
                use_netrc=False,
                http_agent="quazzar.ca_rotation",
            )
            status = int(answer.status if hasattr(answer, "status") else answer.getcode())
            return Reply(status, body=self._body(answer))
        except urllib.error.HTTPError as error:
            said = self._body(error)[:400].decode("utf-8", "replace")
            return Reply(error.code, said=said, retry_after=_retry_after(error.headers, self._now()))
        except urllib.error.URLError as error:
            reason = error.reason
            unsent = isinstance(reason, (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError))
            return Reply(None, sent=not unsent, error=redact(str(reason), self._hide))
        except (OSError, http.client.HTTPException) as error:
            return Reply(None, error=redact(str(error) or type(error).__name__, self._hide))

    @staticmethod
    def _body(answer: t.Any) -> bytes:
        # A body that breaks off does not undo the status: what was taken, was taken.
        try:
            return bytes(answer.read(MAX_BODY))
        except http.client.IncompleteRead as error:
            return bytes(error.partial)
        except OSError:
            return b""


def _retry_after(headers: t.Any, now: datetime) -> int | None:
    value = str((headers or {}).get("Retry-After") or "").strip()
    seconds = whole(value)
    if seconds is not None:
        return seconds
    moment = http_date(value)
    return None if moment is None else max(0, round((moment - now).total_seconds()))


def agent_view(answer: Answer, options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The agent's own view: {"status", "needs_registration", "detail"}. Never raises: it is a hint."""
    unknown: dict[str, t.Any] = {"status": "unknown", "needs_registration": None, "detail": ""}
    path = str(options.get("os_status_path") or "")
    if not path:
        return {**unknown, "detail": "not asked"}
    if answer.text("agent.tool") == "none":
        return {**unknown, "detail": "no curl there, nor bash (http) or openssl (https)"}
    failed = login_complaint(answer, options)
    if failed:
        return {**unknown, "detail": failed}
    reply = reply_of(answer, "agent")
    url = address(options["os_url"]).base + path
    if reply is None:
        return {**unknown, "detail": f"{url} was not asked"}
    if reply.status == 404:
        return {**unknown, "detail": f"{url}: HTTP 404, an older OS"}
    if reply.status is None or not 200 <= reply.status < 300:
        return {**unknown, "detail": complaint("the status", url, reply, secrets_of(options))}
    try:
        data = parse_json(reply.body, url)
        connected = search(options["os_status_query"], data, "os_status_query")
        query = options.get("os_needs_registration_query")
        needs = search(query, data, "os_needs_registration_query") if query else None
    except ApiError as error:
        return {**unknown, "detail": str(error)}
    return {
        "status": "unknown" if connected is None else "connected" if truth(connected) else "disconnected",
        "needs_registration": None if needs is None else truth(needs),
        "detail": f"{options['os_status_query']} found nothing" if connected is None else "",
    }


def truth(value: t.Any) -> bool:
    """What a query found, as yes or no. A status may be a word."""
    if isinstance(value, str):
        return value.strip().lower() in ("true", "yes", "1", "connected", "online", "up", "active")
    return bool(value)
