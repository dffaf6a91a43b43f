# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import socket
import typing as t
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import ApiError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import cp_api
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.panel_double import JWT, PASSWORD, Panel, Reply, Seen

TOTP_SECRET = "JBSWY3DPEHPK3PXP"


@pytest.fixture
def panel(tmp_path: pathlib.Path) -> t.Iterator[Panel]:
    double = Panel(tmp_path)
    double.on("GET", "fleet/summary", Reply(data={"total": 3}))
    yield double
    double.stop()


class Patience:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def monotonic(self) -> float:
        return sum(self.slept)


def client(panel: Panel, patience: Patience | None = None, **options: t.Any) -> cp_api.Client:
    given_options = panel.options(**options)
    waiting = patience or Patience()
    credential = cp_api.credentials_from(given_options)[0]
    return cp_api.Client(given_options, credential, sleep=waiting.sleep, monotonic=waiting.monotonic)


def refused(call: t.Callable[[], t.Any]) -> str:
    with pytest.raises(ApiError) as caught:
        call()
    message = str(caught.value)
    assert PASSWORD not in message and JWT not in message and TOTP_SECRET not in message
    return message


def test_logs_in_once_and_sends_the_token(panel: Panel) -> None:
    session = client(panel)
    assert session.get("fleet/summary").data == {"total": 3}
    session.get("fleet/summary")
    assert panel.paths() == ["POST auth/login", "GET fleet/summary", "GET fleet/summary"]
    assert panel.requests[0].body == {"username": "ann", "password": PASSWORD}
    assert panel.requests[1].headers["Authorization"] == f"Bearer {JWT}"
    assert "Authorization" not in panel.requests[0].headers


def test_login_body_and_token_query_are_the_operators(panel: Panel) -> None:
    panel.on("POST", "auth/login", Reply(data={"session": {"jwt": JWT}}))
    body = {
        "user": {"email": "{username}@example.com"},
        "secret": "{password}",
        "realm": "{tenant}",
        "n": 1,
        "x": "{y}",
    }
    session = client(panel, login_body=body, login_token_query="session.jwt")
    session.get("fleet/summary")
    assert panel.requests[0].body == {
        "user": {"email": "ann@example.com"}, "secret": PASSWORD, "realm": "", "n": 1, "x": "{y}",
    }  # fmt: skip


def test_a_ready_made_bearer_token_needs_no_login(panel: Panel) -> None:
    session = client(panel, bearer_token="ready-made-token", username=None, password=None)
    session.get("fleet/summary")
    assert panel.paths() == ["GET fleet/summary"]
    assert panel.requests[0].headers["Authorization"] == "Bearer ready-made-token"


def test_netrc_does_not_replace_the_token(
    panel: Panel, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    client(panel).get("fleet/summary")
    assert panel.requests[1].headers["Authorization"] == f"Bearer {JWT}"


def test_loopback_is_asked_without_the_proxy_of_the_environment(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9/")
    assert client(panel).get("fleet/summary").data == {"total": 3}


def test_second_factor(panel: Panel) -> None:
    panel.on("POST", "auth/login", Reply(data={"totp_required": True, "temp_token": "temporary-token"}))
    panel.on("POST", "auth/totp/verify", Reply(data={"access_token": JWT}))
    # 59 s after the epoch is the first test time of RFC 6238; the Control Panel's clock decides, not ours.
    panel.date = "Thu, 01 Jan 1970 00:00:59 GMT"
    session = client(panel, totp_secret="GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    session.get("fleet/summary")
    assert panel.requests[1].body == {"temp_token": "temporary-token", "code": "287082"}


def test_second_factor_without_a_secret_says_so(panel: Panel) -> None:
    panel.on("POST", "auth/login", Reply(data={"totp_required": True, "temp_token": "temporary-token"}))
    assert "totp_secret" in refused(lambda: client(panel).get("fleet/summary"))


def test_refused_second_factor_names_the_clocks(panel: Panel) -> None:
    panel.on("POST", "auth/login", Reply(data={"totp_required": True, "temp_token": "temporary-token"}))
    panel.on("POST", "auth/totp/verify", Reply(401, {"error": "invalid code for temporary-token"}))
    message = refused(lambda: client(panel, totp_secret=TOTP_SECRET).get("fleet/summary"))
    assert "totp_secret and the clocks" in message and "temporary-token" not in message


def test_no_code_is_used_twice(panel: Panel) -> None:
    panel.on("POST", "auth/login", Reply(data={"totp_required": True, "temp_token": "temporary-token"}))
    panel.on("POST", "auth/totp/verify", Reply(data={"access_token": JWT}))
    panel.on("GET", "fleet/summary", Reply(401, {}), Reply(data={"total": 1}))
    panel.date = "Thu, 01 Jan 1970 00:00:59 GMT"
    patience = Patience()
    client(panel, patience, totp_secret="GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").get("fleet/summary")
    codes = [seen.body["code"] for seen in panel.requests if seen.path.endswith("verify")]
    assert len(set(codes)) == 2
    assert patience.slept == [1.0]


def test_a_401_in_the_middle_logs_in_once_more(panel: Panel) -> None:
    panel.on(
        "GET", "fleet/summary", Reply(data={"total": 1}), Reply(401, {"error": "expired"}), Reply(data={"total": 2})
    )
    session = client(panel)
    assert session.get("fleet/summary").data == {"total": 1}
    assert session.get("fleet/summary").data == {"total": 2}
    assert panel.paths().count("POST auth/login") == 2


def test_a_second_401_is_an_answer(panel: Panel) -> None:
    panel.on("GET", "fleet/summary", Reply(401, {"error": "no"}))
    assert "401 (no)" in refused(lambda: client(panel).get("fleet/summary"))
    assert panel.paths() == ["POST auth/login", "GET fleet/summary"] * 2


def test_a_401_for_a_bearer_token_is_final(panel: Panel) -> None:
    panel.on("GET", "fleet/summary", Reply(401, {}))
    session = client(panel, bearer_token="ready-made-token", username=None, password=None)
    message = refused(lambda: session.get("fleet/summary"))
    assert "may have expired" in message and "ready-made-token" not in message


def test_a_refused_login_says_what_to_check(panel: Panel) -> None:
    panel.on("POST", "auth/login", Reply(401, {"error": f"wrong password {PASSWORD}"}))
    message = refused(lambda: client(panel).get("fleet/summary"))
    assert "auth/login" in message and "check username, password and login_body" in message and "********" in message


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "The request does not have the shape this Control Panel expects: compare the body options with its API."),
        (402, "The licence or plan does not allow this: look at the plan's limit of nodes in the Control Panel."),
        (403, "The account is not allowed to do this: use one with the role Admin, or of the right tenant."),
        (404, "There is nothing at this address: check api_url, including its path prefix (usually /api/)."),
        (409, "The Control Panel says that this is in conflict with what exists: look there before trying again."),
        (418, "Its own log says why."),
        (500, "The Control Panel failed: its own log says why."),
        (503, "The Control Panel is not ready: is it running, or being rolled? Try again, or raise retry_max_wait."),
    ],
)
def test_each_status_says_where_and_what_to_do(panel: Panel, status: int, advice: str) -> None:
    panel.on("GET", "fleet/summary", Reply(status, {"error": f"told you\nso {JWT}"}))
    message = refused(lambda: client(panel).get("fleet/summary"))
    assert f"GET {panel.url}fleet/summary" in message
    assert f"answered {status} (told you so ********)" in message
    assert advice in message


def test_retry_after_is_honoured(panel: Panel) -> None:
    panel.on(
        "GET",
        "fleet/summary",
        Reply(429, {}, {"Retry-After": "7"}),
        Reply(503, {}, {"Retry-After": "2"}),
        Reply(data={}),
    )
    patience = Patience()
    client(panel, patience).get("fleet/summary")
    assert patience.slept == [7.0, 2.0]


def test_retry_after_as_a_date_is_by_the_panels_clock(panel: Panel) -> None:
    panel.date = "Thu, 01 Jan 2026 00:00:00 GMT"
    later = Reply(503, {}, {"Retry-After": "Thu, 01 Jan 2026 00:00:09 GMT"})
    panel.on("GET", "fleet/summary", later, Reply(data={}))
    patience = Patience()
    client(panel, patience).get("fleet/summary")
    assert patience.slept == [9.0]


@pytest.mark.parametrize("value", ["soon", "-1", "", "9" * 400, "1 Jan 2026 0:0:0 +9" + 30 * "9"])
def test_an_unreadable_retry_after_backs_off(panel: Panel, value: str) -> None:
    panel.on("GET", "fleet/summary", Reply(503, {}, {"Retry-After": value}), Reply(503, {}), Reply(data={}))
    patience = Patience()
    client(panel, patience).get("fleet/summary")
    assert patience.slept == [1.0, 2.0]


def test_waiting_is_bounded(panel: Panel) -> None:
    panel.on("GET", "fleet/summary", Reply(429, {}, {"Retry-After": "20"}))
    patience = Patience()
    message = refused(lambda: client(panel, patience, retry_max_wait=50).get("fleet/summary"))
    assert patience.slept == [20.0, 20.0]
    assert "Too many requests: try again later, or raise retry_max_wait." in message
    assert "asks to wait 20 s" in message and "retry_max_wait allows 50 s" in message


def test_asking_for_more_than_the_bound_fails_at_once(panel: Panel) -> None:
    panel.on("GET", "fleet/summary", Reply(503, {}, {"Retry-After": "3600"}))
    patience = Patience()
    refused(lambda: client(panel, patience).get("fleet/summary"))
    assert patience.slept == []


def test_a_post_that_a_gateway_lost_is_not_repeated(panel: Panel) -> None:
    panel.on("POST", "fleet/tokens", Reply(504, {}), Reply(data={"token": "x"}))
    assert "504" in refused(lambda: client(panel).post("fleet/tokens", {}))
    assert panel.paths().count("POST fleet/tokens") == 1


def test_a_post_that_was_put_off_is_repeated(panel: Panel) -> None:
    panel.on("POST", "fleet/tokens", Reply(503, {}), Reply(data={"token": "x"}))
    assert client(panel).post("fleet/tokens", {}).data == {"token": "x"}


def test_a_truncated_answer_is_asked_for_again(panel: Panel) -> None:
    panel.on(
        "GET", "fleet/summary", Reply(data={"total": 3}, cut=5), Reply(raw=b'{"total": '), Reply(data={"total": 3})
    )
    assert client(panel).get("fleet/summary").data == {"total": 3}


def test_an_answer_that_stays_truncated(panel: Panel) -> None:
    panel.on("GET", "fleet/summary", Reply(data={"total": 3}, cut=5))
    message = refused(lambda: client(panel).get("fleet/summary"))
    assert f"GET {panel.url}fleet/summary: the answer broke off after 5 of 12 bytes" in message
    panel.on("GET", "fleet/summary", Reply(raw=b'{"total": '))
    message = refused(lambda: client(panel).get("fleet/summary"))
    assert "found 10 bytes that break off or go wrong at byte 10" in message


def test_a_truncated_answer_to_a_post_is_not_asked_for_again(panel: Panel) -> None:
    panel.on("POST", "fleet/tokens", Reply(data={"token": "abcdef"}, cut=5))
    refused(lambda: client(panel).post("fleet/tokens", {}))
    assert panel.paths().count("POST fleet/tokens") == 1


def test_an_html_page_is_named(panel: Panel) -> None:
    page = Reply(
        raw=b"<!doctype html><title>Sign &amp; in</title>", headers={"Content-Type": "text/html; charset=utf-8"}
    )
    panel.on("GET", "fleet/summary", page)
    message = refused(lambda: client(panel).get("fleet/summary"))
    assert f"GET {panel.url}fleet/summary: expected JSON, found an HTML page titled 'Sign & in'" in message
    assert "api_url lacks its path prefix (usually /api/), or a proxy or login page stands in front." in message


def test_an_html_error_page_is_named(panel: Panel) -> None:
    panel.on(
        "GET",
        "fleet/summary",
        Reply(500, raw=f"<title>nginx trouble {JWT}</title>".encode(), headers={"Content-Type": "text/html"}),
    )
    assert "answered 500 (nginx trouble ********)" in refused(lambda: client(panel).get("fleet/summary"))


def test_a_redirect_is_not_followed(panel: Panel) -> None:
    panel.on("GET", "fleet/summary", Reply(302, {}, {"Location": "https://elsewhere.example/api/?token=abc"}))
    message = refused(lambda: client(panel).get("fleet/summary"))
    assert "https://elsewhere.example/api/" in message and "token=abc" not in message
    assert len(panel.requests) == 2


def test_a_timeout_is_named(panel: Panel) -> None:
    panel.on("GET", "fleet/summary", Reply(data={}, delay=0.6))
    message = refused(lambda: client(panel, timeout=0.2, bearer_token="ready-made-token").get("fleet/summary"))
    assert f"GET {panel.url}fleet/summary: no answer within 0.2 s" in message


def test_verification_uses_api_ca_only(panel: Panel) -> None:
    message = refused(lambda: client(panel, api_ca=None).get("fleet/summary"))
    assert "not trusted by the system's certificate store" in message and "api_ca" in message
    assert panel.requests == []


def test_another_ca_is_refused(panel: Panel, tmp_path: pathlib.Path) -> None:
    (tmp_path / "other").mkdir()
    other = Panel(tmp_path / "other")
    other.stop()
    message = refused(lambda: client(panel, api_ca=str(other.ca_file)).get("fleet/summary"))
    assert f"not trusted by the certificates in {other.ca_file}" in message


def test_the_host_name_is_verified(panel: Panel) -> None:
    message = refused(lambda: client(panel, api_url=panel.url.replace("127.0.0.1", "localhost")).get("fleet/summary"))
    assert "not trusted" in message and panel.requests == []


@pytest.mark.parametrize(("content", "words"), [(None, "does not exist"), ("", "not a PEM"), ("nonsense", "not a PEM")])
def test_an_unusable_api_ca_is_named(panel: Panel, tmp_path: pathlib.Path, content: str | None, words: str) -> None:
    path = tmp_path / "broken.pem"
    if content is not None:
        path.write_text(content)
    message = refused(lambda: client(panel, api_ca=str(path)).get("fleet/summary"))
    assert f"api_ca {path}" in message and words in message


def test_nobody_listens() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    options = {"api_url": f"https://127.0.0.1:{port}", "bearer_token": "ready-made-token"}
    patience = Patience()
    session = cp_api.Client(
        options, cp_api.credentials_from(options)[0], sleep=patience.sleep, monotonic=patience.monotonic
    )
    message = refused(lambda: session.get("fleet/summary"))
    assert f"GET https://127.0.0.1:{port}/api/fleet/summary: the connection was refused" in message
    assert patience.slept == [1.0, 2.0]


def test_plain_http_on_the_port(tmp_path: pathlib.Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        import threading

        def talk() -> None:
            connection, _unused = sock.accept()
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        threading.Thread(target=talk, daemon=True).start()
        options = {"api_url": f"https://127.0.0.1:{sock.getsockname()[1]}", "bearer_token": "ready-made-token"}
        session = cp_api.Client(options, cp_api.credentials_from(options)[0])
        assert "Is this an HTTPS port?" in refused(lambda: session.get("fleet/summary"))


def test_the_clock_is_the_date_header(panel: Panel) -> None:
    panel.date = "Sun, 03 May 2026 10:20:30 GMT"
    answer = client(panel).get("fleet/summary")
    assert answer.date == datetime(2026, 5, 3, 10, 20, 30, tzinfo=timezone.utc)


ODD_DATES = (
    "nonsense",
    "Sun, 99 May 2026 10:20:30 GMT",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "1 Jan 2026 0:0:0 +9" + 30 * "9",
)


@pytest.mark.parametrize("date", ODD_DATES)
def test_an_unreadable_date_is_no_clock(panel: Panel, date: str) -> None:
    panel.date = date
    assert client(panel).get("fleet/summary").date is None
    panel.on("GET", "fleet/summary", Reply(404, {}))
    assert "404" in refused(lambda: client(panel).get("fleet/summary"))


DEEP = b"[" * 100_000


def test_an_answer_that_is_nested_too_deeply_is_no_json(panel: Panel) -> None:
    panel.on("GET", "fleet/summary", Reply(raw=DEEP))
    assert "expected JSON" in refused(lambda: client(panel).get("fleet/summary"))
    panel.on("GET", "fleet/summary", Reply(500, raw=DEEP))
    assert "answered 500" in refused(lambda: client(panel).get("fleet/summary"))


def test_a_token_with_half_a_character_is_none(panel: Panel) -> None:
    panel.on("POST", "auth/login", Reply(raw=b'{"access_token": "a\\ud800b"}'))
    assert "should find a text" in refused(lambda: client(panel).get("fleet/summary"))


def test_wrong_shapes_name_the_variable_and_what_was_found(panel: Panel) -> None:
    panel.on("POST", "auth/login", Reply(data={"token": JWT, "user": "ann"}))
    message = refused(lambda: client(panel).get("fleet/summary"))
    assert "login_token_query (access_token)" in message
    assert "found nothing (null)" in message and "a mapping with the keys: token, user" in message


def test_a_broken_expression_names_the_variable(panel: Panel) -> None:
    message = refused(lambda: client(panel, login_token_query="a[").get("fleet/summary"))
    assert "login_token_query is not a JMESPath expression" in message and "a[" in message


def test_an_expression_that_does_not_fit_names_the_variable() -> None:
    assert "sum_query" in refused(lambda: cp_api.search("length(total)", {"total": 3}, "sum_query"))


def test_without_jmespath_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cp_api, "HAS_JMESPATH", False)
    message = refused(lambda: cp_api.search("a", {}, "some_query"))
    assert "jmespath" in message and "some_query" in message


@pytest.mark.parametrize(
    ("given_url", "base"),
    [
        ("https://panel.example.com", "https://panel.example.com/api/"),
        ("https://panel.example.com/", "https://panel.example.com/api/"),
        ("https://panel.example.com:8444/api", "https://panel.example.com:8444/api/"),
        ("https://panel.example.com/quazzar/v1/", "https://panel.example.com/quazzar/v1/"),
        ("http://localhost:8080/api/", "http://localhost:8080/api/"),
        ("http://[::1]:8080", "http://[::1]:8080/api/"),
    ],
)
def test_api_url(given_url: str, base: str) -> None:
    assert cp_api.normalise_url(given_url) == base


@pytest.mark.parametrize(
    "given_url",
    [
        None,
        "",
        "panel.example.com",
        "http://panel.example.com/api/",
        "ftp://x/",
        "https://",
        "https://[::1",
        "https://a:b/",
    ],
)
def test_api_url_that_cannot_be_used(given_url: str | None) -> None:
    assert "api_url" in refused(lambda: cp_api.normalise_url(given_url))


def test_a_password_in_api_url_is_refused_without_showing_it() -> None:
    message = refused(lambda: cp_api.normalise_url("https://ann:hunter22@panel.example.com/api/"))
    assert "hunter22" not in message


def test_several_credentials_share_the_common_login_body() -> None:
    options = {
        "api_url": "https://panel.example.com",
        "login_body": {"email": "{username}"},
        "credentials": [
            {"tenant": "a", "username": "ann", "password": PASSWORD},
            {"tenant": "b", "bearer_token": "ready-made-token", "login_body": {"own": "{username}"}},
        ],
    }
    first, second = cp_api.credentials_from(options)
    assert (first.tenant, first.login_body) == ("a", {"email": "{username}"})
    assert (second.tenant, second.login_body) == ("b", {"own": "{username}"})
    assert PASSWORD not in repr(first) and "ready-made" not in repr(second)


def test_no_credentials_at_all_names_the_options() -> None:
    options = {"api_url": "https://panel.example.com", "username": "ann"}
    assert "bearer_token, or username and password" in refused(lambda: cp_api.credentials_from(options))
    options = {"api_url": "https://panel.example.com", "credentials": [{"bearer_token": "x"}, {"tenant": "b"}]}
    assert "credentials[1]" in refused(lambda: cp_api.credentials_from(options))


def test_an_expected_status_comes_back_as_it_is(panel: Panel) -> None:
    panel.on("DELETE", "fleet/tokens/secret-token", Reply(404, {}))
    answer = client(panel).request("DELETE", "fleet/tokens/secret-token", expected=(404,))
    assert answer.status == 404


def test_a_secret_in_a_path_is_not_shown(panel: Panel) -> None:
    session = client(panel)
    session.hide("secret-token")
    message = refused(lambda: session.request("DELETE", "fleet/tokens/secret-token", shown="fleet/tokens/{token}"))
    assert "secret-token" not in message and "fleet/tokens/{token}" in message


def test_secrets_are_hidden_in_every_usual_form(panel: Panel) -> None:
    password = 'p"a/s s+word'
    import base64
    import json
    import urllib.parse

    forms = [json.dumps(password), urllib.parse.quote(password, safe=""), base64.b64encode(password.encode()).decode()]

    def echo(seen: Seen) -> Reply:
        return Reply(400, {"error": " ".join([password, *forms])})

    panel.on("POST", "auth/login", echo)
    message = refused(lambda: client(panel, password=password).get("fleet/summary"))
    assert not any(form.strip('"') in message for form in [password, *forms])


def test_a_very_short_secret_silences_the_server(panel: Panel) -> None:
    panel.on("POST", "auth/login", Reply(400, {"error": "bad password abc"}))
    assert "abc" not in refused(lambda: client(panel, password="abc").get("fleet/summary"))


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.text(max_size=8) | st.integers() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=6,
    )
)
def test_fill_leaves_what_it_does_not_know(template: t.Any) -> None:
    assert cp_api.fill(template, {}) == template


def test_fill_keeps_the_type_of_a_whole_value() -> None:
    assert cp_api.fill({"n": "{uses}", "t": "x{uses}y", "l": ["{uses}"]}, {"uses": 3}) == {"n": 3, "t": "x3y", "l": [3]}
