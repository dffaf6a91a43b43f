# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""The Control Panel's API: one login, JSON in and out, and errors that say what to do.

What the product's documentation leaves open (the login body, where an answer holds its token) is an option with a
default and JMESPath. Certificates are always verified. Redirects are not followed and ~/.netrc is not read: either
would hand a password or a token to somebody who was not asked for.
"""

from __future__ import annotations

import base64
import email.utils
import functools
import html
import http.client
import ipaddress
import json
import re
import socket
import ssl
import time
import traceback
import urllib.error
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

from ansible.module_utils.basic import missing_required_lib
from ansible.module_utils.urls import Request

from .._core import totp
from .._core.errors import ApiError
from .._core.registry import describe

try:
    import jmespath
    import jmespath.exceptions

    HAS_JMESPATH = True
    JMESPATH_ERROR = ""
except ImportError:
    HAS_JMESPATH = False
    JMESPATH_ERROR = traceback.format_exc()

_CREDENTIAL_OPTIONS: dict[str, Any] = {
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "totp_secret": {"type": "str", "no_log": True},
    "bearer_token": {"type": "str", "no_log": True},
    "login_body": {"type": "dict", "no_log": True},
}

ARGUMENT_SPEC: dict[str, Any] = {
    "api_url": {"type": "str"},
    "api_ca": {"type": "path"},
    **_CREDENTIAL_OPTIONS,
    "credentials": {
        "type": "list",
        "elements": "dict",
        "no_log": True,
        "options": {"tenant": {"type": "str", "default": ""}, **_CREDENTIAL_OPTIONS},
    },
    "login_token_query": {"type": "str", "default": "access_token", "no_log": False},
    "timeout": {"type": "float", "default": 30.0},
    "retry_max_wait": {"type": "float", "default": 60.0},
}

DEFAULT_LOGIN_BODY: Mapping[str, Any] = {"username": "{username}", "password": "{password}"}

_LOGIN_PATH = "auth/login"
_TOTP_PATH = "auth/totp/verify"
_BODY_LIMIT = 64 * 1024 * 1024
_SERVER_TEXT_LIMIT = 200
_SHORTEST_SECRET = 4
_TOTP_STEP = 30
_BACKOFF_START = 1.0
_BACKOFF_MAX = 15.0
_RECONNECTS = 2

# JSON may hold half a character, which no encoding takes.
_SURROGATE = re.compile(r"[\ud800-\udfff]")

_RETRIED = frozenset({429, 502, 503, 504})
_ADVICE: Mapping[int, str] = {
    400: "The request does not have the shape this Control Panel expects: compare the body options with its API.",
    401: "Check the credentials (username and password, or bearer_token); a bearer token may have expired.",
    402: "The licence or plan does not allow this: look at the plan's limit of nodes in the Control Panel.",
    403: "The account is not allowed to do this: use one with the role Admin, or of the right tenant.",
    404: "There is nothing at this address: check api_url, including its path prefix (usually /api/).",
    405: "There is something else at this address: check api_url, including its path prefix (usually /api/).",
    409: "The Control Panel says that this is in conflict with what exists: look there before trying again.",
    422: "The request does not have the shape this Control Panel expects: compare the body options with its API.",
    429: "Too many requests: try again later, or raise retry_max_wait.",
    500: "The Control Panel failed: its own log says why.",
    502: "A proxy in front could not reach the Control Panel: is it running, or being rolled?",
    503: "The Control Panel is not ready: is it running, or being rolled? Try again, or raise retry_max_wait.",
    504: "A proxy in front got no answer from the Control Panel in time: is it running?",
}


class HttpError(ApiError):
    """The Control Panel answered with a status that is not a success."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class TransportError(ApiError):
    """No usable answer. ``sent``: the request may have been carried out. ``passing``: it may work later."""

    def __init__(self, message: str, *, sent: bool, passing: bool = False) -> None:
        super().__init__(message)
        self.sent = sent
        self.passing = passing


def is_passing(error: ApiError) -> bool:
    """Whether the same request may well work a little later."""
    if isinstance(error, HttpError):
        return error.status in _RETRIED
    return isinstance(error, TransportError) and error.passing


@dataclass(frozen=True)
class Answer:
    """A decoded answer. ``date`` is the Control Panel's clock (aware UTC, whole seconds), None when it told none."""

    status: int
    data: Any
    date: datetime | None
    url: str


@dataclass(frozen=True)
class Credential:
    """One way to be somebody in one tenant. Nothing but the tenant's label is ever shown."""

    tenant: str = ""
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    totp_secret: str = field(default="", repr=False)
    bearer_token: str = field(default="", repr=False)
    login_body: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def can_log_in(self) -> bool:
        return bool(self.password or self.login_body)

    def secrets(self) -> tuple[str, ...]:
        texts = [self.password, self.totp_secret, self.bearer_token]
        texts.extend(text for text in _strings(self.login_body) if not re.fullmatch(r"\{\w+\}", text))
        return tuple(text for text in texts if text)


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)


def credentials_from(options: Mapping[str, Any]) -> tuple[Credential, ...]:
    """The credentials to use: ``credentials`` when given, else the single one of the plain options.

    An empty login_body of an entry means the common one. Raises ApiError when there is nothing to log in with.
    """
    entries: Sequence[Mapping[str, Any]] = options.get("credentials") or [options]
    found = tuple(_credential(entry, options) for entry in entries)
    for number, credential in enumerate(found):
        if not credential.bearer_token and not credential.can_log_in:
            where = f"credentials[{number}]" if options.get("credentials") else "the options"
            raise ApiError(
                f"No way to log in at {options.get('api_url')}: {where} should have bearer_token, "
                "or username and password, or a login_body."
            )
    return found


def _credential(entry: Mapping[str, Any], options: Mapping[str, Any]) -> Credential:
    # str(): a templated option may be a tagged subclass, and those do not belong into a hash or a thread.
    texts = {
        key: str(entry.get(key) or "") for key in ("tenant", "username", "password", "totp_secret", "bearer_token")
    }
    return Credential(login_body=entry.get("login_body") or options.get("login_body") or None, **texts)


@functools.lru_cache(maxsize=64)
def _compiled(expression: str, variable: str) -> Any:
    try:
        return jmespath.compile(expression)
    except (jmespath.exceptions.JMESPathError, ValueError) as exc:
        first = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise ApiError(f"{variable} is not a JMESPath expression: {first}. It is: {expression}") from None


def search(expression: str, data: Any, variable: str) -> Any:
    """The result of a JMESPath expression; ``variable`` is the option it came from, for the error message."""
    if not HAS_JMESPATH:
        raise ApiError(missing_required_lib("jmespath", reason=f"to read the Control Panel's answers ({variable})"))
    try:
        return _compiled(str(expression), variable).search(data)
    except jmespath.exceptions.JMESPathError as exc:
        first = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise ApiError(
            f"{variable}: the JMESPath expression {expression} does not fit {describe(data)}: {first}"
        ) from None


def search_text(expression: str, data: Any, variable: str, url: str) -> str:
    """Like search(), for an expression that must yield a text that is not empty, and can be sent back."""
    found = search(expression, data, variable)
    if isinstance(found, str) and found.strip() and not _SURROGATE.search(found):
        return found.strip()
    raise ApiError(
        f"{variable} ({expression}) should find a text in the answer of {url}, but it found {describe(found)}; "
        f"the answer is {describe(data)}. Set {variable} to where it is."
    )


def decoded(content: bytes) -> Any:
    """The JSON in ``content``. Raises ValueError for everything that is wrong with it, nested too deeply included."""
    try:
        return json.loads(content.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """``template`` with each ``{name}`` replaced, in every text at any depth.

    A text that is nothing but one placeholder becomes the value itself, so that a number stays a number.
    Unknown names stay as they are: a brace may be the product's own.
    """
    if isinstance(template, str):
        whole = re.fullmatch(r"\{(\w+)\}", template)
        if whole and whole.group(1) in values:
            return values[whole.group(1)]
        return re.sub(r"\{(\w+)\}", lambda m: str(values[m.group(1)]) if m.group(1) in values else m.group(0), template)
    if isinstance(template, Mapping):
        return {key: fill(value, values) for key, value in template.items()}
    if isinstance(template, (list, tuple)):
        return [fill(value, values) for value in template]
    return template


def normalise_url(api_url: str | None) -> str:
    """The base with exactly one slash at its end; an address without any path gets the documented ``/api/``.

    Plain HTTP is for loopback only (a port-forward, say): a password would travel readable.
    """
    text = str(api_url or "").strip()
    if not text:
        raise ApiError("api_url is needed: the base of the Control Panel's API, such as https://panel.example.com/api/")
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError as exc:
        raise ApiError(f"api_url is no address ({exc}): it should look like https://panel.example.com/api/") from None
    if parts.username or parts.password or "@" in parts.netloc:
        raise ApiError("api_url must not hold a user name or password: use username and password, or bearer_token")
    if parts.query or parts.fragment:
        raise ApiError(
            "api_url must end with its path: no ? or # part, it should look like https://panel.example.com/api/"
        )
    if parts.scheme not in ("https", "http") or not host:
        raise ApiError(f"api_url should look like https://panel.example.com/api/, found {text}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ApiError(f"api_url must be https, found {text}: passwords and tokens would travel readable")
    path = parts.path.rstrip("/") or "/api"
    return f"{parts.scheme}://{parts.netloc}{path}/"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Client:
    """One credential's session. Logs in at the first request and once more when a request meets a 401."""

    def __init__(
        self,
        options: Mapping[str, Any],
        credential: Credential,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base = normalise_url(options.get("api_url"))
        self.credential = credential
        self._ca = options.get("api_ca") or None
        self._token_query = str(options.get("login_token_query") or "access_token")
        patience = options.get("retry_max_wait")
        self._timeout = float(options.get("timeout") or ARGUMENT_SPEC["timeout"]["default"])
        self._patience = float(ARGUMENT_SPEC["retry_max_wait"]["default"] if patience is None else patience)
        self._sleep = sleep
        self._monotonic = monotonic
        self._secrets: set[str] = set(credential.secrets())
        self._token = credential.bearer_token
        self._totp_step: int | None = None
        self.clock: datetime | None = None

    def hide(self, *secrets: str) -> None:
        """Never let these texts into a message, whatever the server sends back."""
        self._secrets.update(secret for secret in secrets if secret)

    def now(self) -> datetime:
        """The Control Panel's clock; with a ready-made token and before the first answer the controller's own."""
        if self.clock is None and not self._token:
            self._log_in()
        return self._moment()

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, path: str, body: Any) -> Answer:
        return self.request("POST", path, body)

    def request(
        self, method: str, path: str, body: Any = None, *, expected: Iterable[int] = (), shown: str = ""
    ) -> Answer:
        """One request with the session's token, as ``Answer``.

        ``expected`` are statuses besides 2xx to give back as they are; ``shown`` is the path for messages when the real
        one holds a secret. Raises HttpError and TransportError.
        """
        if not self._token:
            self._log_in()
        try:
            return self._patient(method, path, body, expected=expected, shown=shown)
        except HttpError as exc:
            # Once: tokens expire in the middle of a long run. A second 401 is an answer, not an accident.
            if exc.status != 401 or not self.credential.can_log_in:
                raise
        self._log_in()
        return self._patient(method, path, body, expected=expected, shown=shown)

    def _log_in(self) -> None:
        self._token = ""
        values = {
            "username": self.credential.username,
            "password": self.credential.password,
            "tenant": self.credential.tenant,
        }
        template = self.credential.login_body or DEFAULT_LOGIN_BODY
        if _has_placeholder(template, "totp"):
            values["totp"] = self._totp_code()
        answer = self._patient("POST", _LOGIN_PATH, fill(template, values))
        if isinstance(answer.data, Mapping) and answer.data.get("totp_required"):
            answer = self._second_factor(answer)
        token = search_text(self._token_query, answer.data, "login_token_query", answer.url)
        self.hide(token)
        self._token = token

    def _second_factor(self, answer: Answer) -> Answer:
        if not self.credential.totp_secret:
            raise ApiError(f"{answer.url} asks for a second factor: give totp_secret for this account, or bearer_token")
        temporary = search_text("temp_token", answer.data, "temp_token", answer.url)
        self.hide(temporary)
        return self._patient("POST", _TOTP_PATH, {"temp_token": temporary, "code": self._totp_code()})

    def _totp_code(self) -> str:
        """A code by the Control Panel's clock (the controller's may be wrong), never the same one twice: a server that
        remembers used codes would refuse it, so a second login within one step waits for the next."""
        now = self._moment()
        step = int(now.timestamp()) // _TOTP_STEP
        if self._totp_step is not None and step <= self._totp_step:
            self._sleep((self._totp_step + 1) * _TOTP_STEP - now.timestamp())
            step = self._totp_step + 1
            now = datetime.fromtimestamp(step * _TOTP_STEP, timezone.utc)
        self._totp_step = step
        code = totp.code(self.credential.totp_secret, now)
        self.hide(code)
        return code

    def _moment(self) -> datetime:
        return self.clock or datetime.now(timezone.utc)

    def _patient(
        self, method: str, path: str, body: Any = None, *, expected: Iterable[int] = (), shown: str = ""
    ) -> Answer:
        """Tries again while the Control Panel says "later" (429, 502, 503, 504), for retry_max_wait seconds at most.

        A connection that fails gets two more attempts. A request that may have been carried out is only repeated when
        that changes nothing (GET, and the login).
        """
        harmless = method == "GET" or path in (_LOGIN_PATH, _TOTP_PATH)
        end = self._monotonic() + self._patience
        pause = _BACKOFF_START
        reconnects = _RECONNECTS
        while True:
            asked: float | None = None
            try:
                return self._once(method, path, body, expected=frozenset(expected), shown=shown)
            except _Later as later:
                failure: ApiError = later.error
                asked = later.wait
                if not harmless and later.error.status in (502, 504):
                    raise failure from None
            except TransportError as exc:
                if not exc.passing or not reconnects or (exc.sent and not harmless):
                    raise
                reconnects -= 1
                failure = exc
            wait = asked if asked is not None else pause
            left = end - self._monotonic()
            if wait > left:
                raise _impatient(failure, asked, self._patience) from None
            self._sleep(wait)
            pause = min(pause * 2, _BACKOFF_MAX)

    def _once(self, method: str, path: str, body: Any, *, expected: frozenset[int], shown: str) -> Answer:
        url = self.base + path.lstrip("/")
        visible = self.base + (shown or path).lstrip("/")
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode("utf-8")
        try:
            response = Request().open(
                method,
                url,
                data=data,
                headers=headers,
                timeout=self._timeout,
                use_proxy=not is_loopback(urlsplit(url).hostname or ""),
                use_netrc=False,
                validate_certs=True,
                ca_path=self._ca,
                follow_redirects="none",
                http_agent="quazzar.ca_rotation",
            )
            with response:
                return self._decode(response.status, response.headers, _read(response), method, visible)
        except urllib.error.HTTPError as exc:
            with exc:
                return self._refusal(exc, method, visible, expected)
        except Exception as exc:
            self._no_answer(exc, method, visible)

    def _decode(self, status: int, headers: Any, content: bytes, method: str, url: str) -> Answer:
        self.clock = _date(headers) or self.clock
        if not content.strip():
            return Answer(status, None, self.clock, url)
        try:
            return Answer(status, decoded(content), self.clock, url)
        except ValueError as exc:
            cut = content.lstrip()[:1] in (b"{", b"[")
            raise TransportError(
                f"{method} {url}: expected JSON, {_not_json(content, headers, exc)}", sent=True, passing=cut
            ) from None

    def _refusal(self, exc: urllib.error.HTTPError, method: str, url: str, expected: frozenset[int]) -> Answer:
        self.clock = _date(exc.headers) or self.clock
        try:
            content = _read(exc)
        except (OSError, http.client.HTTPException):
            content = b""
        if exc.code in expected:
            return Answer(exc.code, None, self.clock, url)
        said = self._server_text(content)
        error = HttpError(
            f"{method} {url}: the Control Panel answered {exc.code}{' (' + said + ')' if said else ''}. "
            + self._advice(exc, url),
            exc.code,
        )
        if exc.code in _RETRIED:
            raise _Later(error, _retry_after(exc.headers, self._moment()))
        raise error from None

    def _advice(self, exc: urllib.error.HTTPError, url: str) -> str:
        if 300 <= exc.code < 400:
            target = urlsplit(str(exc.headers.get("Location") or ""))
            where = f"{target.scheme}://{target.hostname}{target.path}" if target.hostname else target.path
            return f"It redirects to {where or 'nowhere'}, which is not followed: set api_url to where the API is."
        if exc.code == 401 and url.endswith(_TOTP_PATH):
            return "The code was refused: check totp_secret and the clocks."
        if exc.code == 401 and url.endswith(_LOGIN_PATH):
            return "The login was refused: check username, password and login_body."
        return _ADVICE.get(exc.code, "Its own log says why.")

    def _server_text(self, content: bytes) -> str:
        """The server's ``{"error": ...}``, short, on one line and without anything secret."""
        try:
            data = decoded(content)
        except ValueError:
            return self._redact(_title(content))
        if isinstance(data, Mapping):
            text = next((data[key] for key in ("error", "message", "detail") if isinstance(data.get(key), str)), "")
            return self._redact(" ".join(text.split()))[:_SERVER_TEXT_LIMIT]
        return ""

    def _redact(self, text: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            for form in _forms(secret):
                if len(form) >= _SHORTEST_SECRET:
                    text = text.replace(form, "********")
                elif form in text:
                    # Too short to be cut out without leaving a riddle: say nothing at all.
                    return ""
        return text

    def _no_answer(self, exc: Exception, method: str, url: str) -> NoReturn:
        if isinstance(exc, (ApiError, _Later)):
            raise exc
        reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
        raise _transport_error(reason, f"{method} {url}", self._timeout, self._ca) from None


class _Later(Exception):
    """An answer that asks to come back. ``wait`` in seconds, None when the server does not say."""

    def __init__(self, error: HttpError, wait: float | None) -> None:
        super().__init__()
        self.error = error
        self.wait = wait


def _impatient(failure: ApiError, asked: float | None, patience: float) -> ApiError:
    if asked is not None and isinstance(failure, HttpError):
        return HttpError(
            f"{failure} It asks to wait {asked:.0f} s, and retry_max_wait allows {patience:.0f} s altogether.",
            failure.status,
        )
    return failure


def _has_placeholder(template: Any, name: str) -> bool:
    return any("{" + name + "}" in text for text in _strings(template))


def uses_placeholder(template: Any, *names: str) -> bool:
    """Whether any text of ``template`` mentions one of the placeholders."""
    return any(_has_placeholder(template, name) for name in names)


def _forms(secret: str) -> set[str]:
    """A secret as it may come back: plain, in a URL, in JSON, in HTML, in Basic authentication."""
    encoded = base64.b64encode(secret.encode("utf-8")).decode("ascii")
    return {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], html.escape(secret), encoded}


def _read(response: Any) -> bytes:
    """The whole body; http.client raises IncompleteRead when it is shorter than announced."""
    content = response.read(_BODY_LIMIT + 1)
    if len(content) > _BODY_LIMIT:
        raise http.client.HTTPException(f"the answer is larger than {_BODY_LIMIT // 1024 // 1024} MiB")
    missing = getattr(response, "length", None)
    if missing:
        raise http.client.IncompleteRead(content, missing)
    return bytes(content)


def _date(headers: Any) -> datetime | None:
    return http_date(headers.get("Date")) if headers is not None else None


def http_date(value: Any) -> datetime | None:
    """The time in a header, aware UTC; None for what is no time, or none that a calendar has."""
    try:
        moment = email.utils.parsedate_to_datetime(str(value or ""))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (TypeError, ValueError, OverflowError):
        return None


def _retry_after(headers: Any, now: datetime) -> float | None:
    """Seconds to wait out of Retry-After, a number or an HTTP date (RFC 9110, 10.2.3); None when it says nothing."""
    text = str(headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"\d{1,9}", text):
        return float(text)
    moment = http_date(text)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def _title(content: bytes) -> str:
    """The title of an HTML error page: it names the proxy that wrote it."""
    match = re.search(rb"<title[^>]*>([^<]{1,100})</title>", content[:20000], re.IGNORECASE)
    return html.unescape(match.group(1).decode("utf-8", "replace")).strip() if match else ""


def _not_json(content: bytes, headers: Any, exc: ValueError) -> str:
    kind = str(headers.get("Content-Type") or "no content type").split(";", maxsplit=1)[0]
    if "html" in kind or content.lstrip()[:1] == b"<":
        title = _title(content)
        called = f" titled {title!r}" if title else ""
        return (
            f"found an HTML page{called}. Either api_url lacks its path prefix (usually /api/), "
            "or a proxy or login page stands in front."
        )
    if isinstance(exc, json.JSONDecodeError) and content.lstrip()[:1] in (b"{", b"["):
        return f"found {len(content)} bytes that break off or go wrong at byte {exc.pos}. Is a proxy cutting it?"
    return f"found {len(content)} bytes of {kind}. Check api_url."


def _transport_error(reason: Any, what: str, timeout: float, api_ca: str | None) -> TransportError:
    """A connection that failed, in words that name the option to look at."""
    if isinstance(reason, ssl.SSLCertVerificationError):
        store = f"the certificates in {api_ca}" if api_ca else "the system's certificate store"
        return TransportError(
            f"{what}: the server's certificate is not trusted by {store} ({reason.verify_message}). Set api_ca to the "
            "CA certificate of the API's own server; verification cannot be switched off.",
            sent=False,
        )
    if isinstance(reason, FileNotFoundError) and api_ca:
        return TransportError(f"{what}: api_ca {api_ca} does not exist on the controller", sent=False)
    if isinstance(reason, ssl.SSLError) and api_ca and re.search("PEM|NO_CERTIFICATE", str(reason)):
        return TransportError(f"{what}: api_ca {api_ca} is not a PEM certificate file", sent=False)
    if isinstance(reason, http.client.IncompleteRead):
        whole = len(reason.partial) + (reason.expected or 0)
        return TransportError(
            f"{what}: the answer broke off after {len(reason.partial)} of {whole} bytes. Is a proxy cutting it?",
            sent=True,
            passing=True,
        )
    if isinstance(reason, (socket.timeout, TimeoutError)):
        return TransportError(
            f"{what}: no answer within {timeout:g} s. Is the address right and a firewall open? timeout can be raised.",
            sent=True,
            passing=True,
        )
    if isinstance(reason, socket.gaierror):
        return TransportError(f"{what}: the name cannot be resolved ({reason.strerror}). Check api_url.", sent=False)
    if isinstance(reason, ConnectionRefusedError):
        return TransportError(
            f"{what}: the connection was refused. Is the Control Panel running there?", sent=False, passing=True
        )
    if isinstance(reason, ssl.SSLError):
        return TransportError(
            f"{what}: no TLS connection ({reason.reason or type(reason).__name__}). Is this an HTTPS port?", sent=False
        )
    # Only the kind and the system's words: an exception's text may quote a header, and a header holds the token.
    words = reason.strerror if isinstance(reason, OSError) and reason.strerror else type(reason).__name__
    return TransportError(
        f"{what}: the connection failed ({words}). Is the Control Panel running there?", sent=True, passing=True
    )
