# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import email.utils
import io
import json
import ssl
import urllib.error
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import ApiError, InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io import os_api
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._io.host import Answer

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("url", "base", "port"),
    [
        ("http://localhost:8080", "http://localhost:8080", 8080),
        ("http://localhost:8080/api/", "http://localhost:8080", 8080),
        ("http://127.31.0.4", "http://127.31.0.4", 80),
        ("http://[::1]:8080/", "http://[::1]:8080", 8080),
        ("https://node.example.com/os/api", "https://node.example.com/os", 443),
        (" https://node.example.com:8443 ", "https://node.example.com:8443", 8443),
    ],
)
def test_addresses(url, base, port):
    found = os_api.address(url)
    assert (found.base, found.port) == (base, port)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8080",
        "ftp://localhost",
        "http://",
        "http://10.0.0.1:8080",
        "http://u:secret@localhost",
        "http://localhost:x",
        "https://a/?q=1",
        'https://a/"',
        "https://a/ b",
        "https://a\\b",
        "https://a/\nb",
        "http://localhost.example.com",
    ],
)
def test_addresses_that_are_refused(url):
    with pytest.raises(InputError) as caught:
        os_api.address(url)
    assert "secret" not in str(caught.value)


@given(st.text(max_size=60))
def test_no_address_breaks_it(text):
    try:
        found = os_api.address(text)
    except InputError:
        return
    assert not set(found.base) & set('"\\\r\n')


@pytest.mark.parametrize(
    ("template", "body"),
    [
        (None, {"token": "T"}),
        ({"region": "eu"}, {"token": "T", "region": "eu"}),
        ({"enrolment_token": "{token}"}, {"enrolment_token": "T"}),
        ({"a": {"b": ["x-{token}"]}}, {"a": {"b": ["x-T"]}}),
    ],
)
def test_the_body_of_a_registration(template, body):
    assert os_api.register_body(template, "T") == body


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.text(max_size=20), st.integers(), st.booleans())))
def test_a_body_survives_the_quoting_of_curl(data):
    variables = os_api.body_variables("b", data)
    quoted = variables["b_q"]
    assert quoted.isascii() and "\n" not in quoted
    # As curl reads a quoted value of a configuration: a backslash takes the next character as it is.
    read, at = "", 0
    while at < len(quoted):
        assert quoted[at] != '"'
        at += quoted[at] == "\\"
        read += quoted[at]
        at += 1
    assert json.loads(read) == data


def answer(**sections):
    return Answer(0, {name.replace("_", ".", 1): value.encode() for name, value in sections.items()}, "", "")


def test_replies_of_the_node():
    reply = os_api.reply_of(answer(x_status="429", x_rc="0", x_sent="1", x_retry_after="7", x_said="slow"), "x")
    assert (reply.status, reply.retry_after, reply.said, reply.sent) == (429, 7, "slow", True)
    lost = os_api.reply_of(answer(x_status="", x_rc="28", x_sent="1"), "x")
    assert lost.status is None and "whether it was taken is not known" in os_api.complaint("it", "u", lost)
    refused = os_api.reply_of(answer(x_status="", x_rc="7", x_sent="0"), "x")
    assert os_api.complaint("it", "u", refused) == "it at u: not sent, connection refused"
    assert os_api.reply_of(answer(y_status="200"), "x") is None
    odd = os_api.reply_of(answer(x_status="²", x_rc="³", x_retry_after="9" * 5000), "x")
    assert (odd.status, odd.retry_after, odd.error) == (None, None, "the connection ended without an answer")


def test_why_no_login():
    options = {"os_url": "http://localhost:8080", "os_password": "sehr-geheim"}
    assert os_api.login_complaint(answer(), options) == ""
    assert "os_totp_secret" in os_api.login_complaint(answer(login_error="totp"), options)
    assert "without an access_token" in os_api.login_complaint(answer(login_error="token"), options)
    said = os_api.login_complaint(answer(login_status="401", login_rc="0", login_said="no sehr-geheim"), options)
    assert "credentials were refused" in said and "sehr-geheim" not in said
    assert "second factor" in os_api.login_complaint(answer(totp_status="401", totp_rc="0"), options)


@pytest.mark.parametrize(
    ("value", "yes"), [("true", True), ("Connected ", True), ("no", False), (0, False), (["x"], True)]
)
def test_truth(value, yes):
    assert os_api.truth(value) is yes


@given(st.binary(max_size=200))
def test_json_or_a_sentence(body):
    try:
        os_api.parse_json(body, "x")
    except ApiError as error:
        text = str(error)
    else:
        text = "x: "
    assert text.startswith("x: ")


class Sent:
    """Stands where open_url stands."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.calls = []

    def __call__(self, url, **kwargs):
        self.calls.append((url, kwargs))
        item = self.answers.pop(0)
        if isinstance(item, Exception):
            raise item
        status, headers, body = item
        if status >= 400:
            raise urllib.error.HTTPError(url, status, "x", headers, io.BytesIO(body))
        found = io.BytesIO(body)
        found.status = status
        return found


def client(sent, **options):
    waits = []
    made = os_api.Client(
        {"os_url": "https://node.example.com", "os_timeout": 3, **options},
        now=lambda: NOW,
        sleep=waits.append,
        send=sent,
    )
    return made, waits


OK = (200, {}, b"{}")


def test_try_again_later_is_bounded():
    date = email.utils.format_datetime(NOW + timedelta(seconds=9), usegmt=True)
    sent = Sent((429, {"Retry-After": "4"}, b""), (503, {"Retry-After": date}, b""), (429, {}, b""), OK)
    made, waits = client(sent, os_api_key="qzr_x")
    assert made.post_once("/p", {"token": "T"}, {200}, 18).status == 200
    assert waits == [4, 9, 5]
    sent = Sent((429, {"Retry-After": "4"}, b""))
    made, waits = client(sent, os_api_key="qzr_x")
    assert made.post_once("/p", {}, {200}, 3).status == 429 and waits == []


@pytest.mark.parametrize("value", ["²", "9" * 5000, "1 Jan 2026 0:0:0 +9" + 30 * "9"])
def test_a_retry_after_that_is_none(value):
    made, waits = client(Sent((503, {"Retry-After": value}, b"")), os_api_key="qzr_x")
    assert made.post_once("/p", {}, {200}, 60).status == 503 and waits == []


def test_silence_is_not_repeated():
    for error, was_sent in (
        (urllib.error.URLError(ConnectionRefusedError(111, "refused")), False),
        (urllib.error.URLError(ssl.SSLCertVerificationError(1, "verify failed")), False),
        (urllib.error.URLError(TimeoutError("timed out")), True),
        (ConnectionResetError(104, "reset"), True),
    ):
        sent = Sent(error)
        made, _waits = client(sent, os_api_key="qzr_x")
        reply = made.post_once("/p", {}, {200}, 60)
        assert reply.status is None and reply.sent is was_sent and len(sent.calls) == 1


def test_certificates_are_verified_and_redirects_not_followed():
    sent = Sent(OK)
    made, _waits = client(sent, os_api_key="qzr_x", os_ca="/ca.pem")
    made.post_once("/p", {}, {200}, 0)
    url, options = sent.calls[0]
    assert url == "https://node.example.com/p" and options["headers"]["Authorization"] == "Bearer qzr_x"
    assert options.get("validate_certs", True) is True and options["ca_path"] == "/ca.pem"
    assert options["follow_redirects"] == "none" and options["use_netrc"] is False


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([(200, {}, b"<html>")], "HTML page"),
        ([(200, {}, b'{"access')], "cut off"),
        ([(200, {}, b"[" * 100_000)], "not JSON"),
        ([(200, {}, b"[]")], "expected an object"),
        ([(200, {}, b"{}")], "without an access_token"),
        ([(200, {}, b'{"totp_required": true, "temp_token": "t"}')], "second factor"),
        ([(401, {}, b'{"error": "no pw-geheim"}')], "credentials were refused"),
    ],
)
def test_a_login_that_fails(answers, words):
    made, _waits = client(Sent(*answers), os_username="u", os_password="pw-geheim")
    with pytest.raises(ApiError, match=words) as caught:
        made.post_once("/p", {}, {200}, 0)
    assert "pw-geheim" not in str(caught.value)
