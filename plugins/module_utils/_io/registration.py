# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Register a node again, once, and let a proof say whether it worked.

The token may be good for one use. So the request is sent again only after an answer that says that it was not taken;
after silence the certificates on the node's disk and a handshake decide.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import time
import typing as t

from .._core.certificates import Certificate
from .._core.errors import ApiError, HostError, InputError, RotationError, Unreachable
from . import node, os_api, scripts
from .action import utc_now
from .files import refuse_failed_restart
from .host import Answer, Host, redact

ARGUMENT_SPEC: dict[str, t.Any] = {
    **node.ARGUMENT_SPEC,
    "token": {"type": "str", "no_log": True},
    "active_ca": {"type": "str", "required": True},
    "register_path": {"type": "str", "default": "/api/cc/register"},
    "register_body": {"type": "dict", "default": {}},
    "register_status": {"type": "list", "elements": "int", "default": [200, 201, 202, 204]},
    "register_from": {"type": "str", "choices": ["node", "controller"], "default": "node"},
    "pin_certificates": {"type": "list", "elements": "str", "default": []},
    "restart_command": {"type": "str"},
    "wait": {"type": "int", "default": 30},
    "retry_max_wait": {"type": "int", "default": 60},
    "force": {"type": "bool", "default": False},
}

_SCRIPT = scripts.HTTP + scripts.REPLACE + scripts.REGISTER + "qz_register\n"

# A CP that is being rolled refuses for a moment. The proof may look this often.
_PROOFS = 3


@dataclasses.dataclass(frozen=True)
class Attempt:
    """What is known of the request: C(sentence) why it did not work, empty when it was accepted."""

    sentence: str = ""
    touched: bool = False
    pin_written: bool = False
    pin_error: str = ""
    restart_error: str = ""


class Registration:
    """One node. C(before) is its evidence before anything was done."""

    def __init__(self, host: Host, options: t.Mapping[str, t.Any]) -> None:
        cas = node.certificates_of([options["active_ca"]], "active_ca")
        if len(cas) != 1:
            raise InputError(f"active_ca holds {len(cas)} certificates, expected the one active CA")
        self._host = host
        self._active: Certificate = cas[0]
        # The node's evidence must say whether the active CA signed the leaf.
        self._options = {**options, "cas": [*options["cas"], options["active_ca"]]}
        pins = node.certificates_of(options["pin_certificates"], "pin_certificates")
        if pins and self._active.sha256 not in {pin.sha256 for pin in pins}:
            raise InputError("pin_certificates lacks the active CA: the node would no longer accept it")
        self._pin = "".join(pin.pem() for pin in pins)
        if not re.fullmatch(r"/[!#-\[\]-~]*", options["register_path"]):
            raise InputError(f"register_path is {options['register_path']!r}, expected a path such as /api/cc/register")
        self.before, answer = node.look(host, self._options)
        if not self.before["reachable"]:
            raise HostError(f"{host.name}: {self.before['error']}")
        # Digests of the files as they are now: the node waits for them to change.
        self._files = {name: _digest(answer.sections.get(name)) for name in ("leaf", "pin")}

    def proven(self, evidence: t.Mapping[str, t.Any]) -> bool:
        """Leaf by the active CA, the active CA in the pin, a handshake accepted both ways."""
        return not self._unproven(evidence)

    def _unproven(self, evidence: t.Mapping[str, t.Any]) -> str:
        leaf, pin, shake = evidence["leaf"], evidence["pin"], evidence["handshake"]
        signers, pins = set(leaf["signed_by"]), set(pin["sha256"])
        if leaf["error"] or self._active.sha256 not in signers:
            return leaf["error"] or f"the leaf on disk is not by the active CA (its issuer is {leaf['issuer']})"
        # A pin that signed the same leaf as the active CA has its name and key: a same-key renewal, which is not drift.
        if self._active.sha256 not in pins and not pins & signers:
            return pin["error"] or "the pin does not hold the active CA"
        if shake["to_cp"] != "ok":
            return f"the node does not accept the Control Panel at {shake['address']}: {shake['to_cp_detail']}"
        if shake["to_node"] != "accepted":
            return f"the Control Panel at {shake['address']} is not known to accept the node: {shake['to_node_detail']}"
        return ""

    def register(self) -> tuple[str, str, dict[str, t.Any], Attempt]:
        """Returns outcome, detail, the evidence afterwards, and the attempt. Raises only when nothing was sent."""
        if not self._options.get("token"):
            raise InputError(f"{self._host.name}: a token is needed to register this node again")
        lost = ""
        try:
            attempt = self._attempt()
        except Unreachable as error:
            # The script went out, and may have done its work.
            attempt, lost = Attempt(), str(error)
        evidence = self._proof()
        if evidence is None:
            return "unreachable", lost or "the node did not answer after the registration", dict(self.before), attempt
        missing = self._unproven(evidence)
        if not missing and not attempt.pin_error and evidence["leaf"]["sha256"] != self.before["leaf"]["sha256"]:
            return "registered", attempt.restart_error, evidence, attempt
        pin_error = f"the pin was not written: {attempt.pin_error}" if attempt.pin_error else ""
        parts = [attempt.sentence, lost, pin_error, attempt.restart_error, missing]
        return "failed", "; ".join(part for part in parts if part), evidence, attempt

    def _attempt(self) -> Attempt:
        if self._options["register_from"] == "node":
            return self._run(post=True)
        refused = self._post_from_controller()
        if refused is not None:
            return refused
        return self._run(post=False)

    def _post_from_controller(self) -> Attempt | None:
        """None when the node may have a new leaf now, else why it cannot."""
        options = self._options
        client = os_api.Client(options, now=utc_now)
        accepted = set(options["register_status"])
        try:
            reply = client.post_once(options["register_path"], self._body(), accepted, options["retry_max_wait"])
        except ApiError as error:
            return Attempt(sentence=str(error))
        if reply.status in accepted or (reply.status is None and reply.sent) or reply.status in (500, 502, 504):
            return None
        return Attempt(sentence=self._complaint(reply))

    def _body(self) -> dict[str, t.Any]:
        return os_api.register_body(self._options["register_body"], self._options["token"])

    def _complaint(self, reply: os_api.Reply) -> str:
        url = os_api.address(self._options["os_url"]).base + self._options["register_path"]
        return os_api.complaint("the registration", url, reply, os_api.secrets_of(self._options))

    def _run(self, *, post: bool) -> Attempt:
        options = self._options
        plain, secret = os_api.script_variables(options, utc_now())
        plain.update(
            o_ca_path=options["ca_path"],
            o_cert_path=options["cert_path"],
            o_pin_pem=self._pin,
            o_leaf_before=self._files["leaf"],
            o_pin_before=self._files["pin"],
            o_post="1" if post else "0",
            o_register_path=options["register_path"],
            o_register_status=" ".join(str(int(status)) for status in options["register_status"]),
            o_retry_budget=str(options["retry_max_wait"]),
            o_wait=str(options["wait"]),
            o_restart_command=options.get("restart_command") or "",
            o_restart_timeout="120",
        )
        secret.update(os_api.body_variables("o_register_body", self._body()) if post else {})
        bound = options["wait"] + options["retry_max_wait"] + 6 * (int(plain["o_os_timeout"]) + 5) + 180
        answer = self._host.run(_SCRIPT, plain, secret=secret, timeout=bound, repeatable=False)
        return self._attempt_of(answer)

    def _attempt_of(self, answer: Answer) -> Attempt:
        outcome, appeared = answer.text("outcome"), answer.text("new_leaf") == "0"
        sentence = ""
        if outcome == "login":
            sentence = os_api.login_complaint(answer, self._options)
        elif outcome == "notool":
            sentence = "the node has no curl, nor bash (http) or openssl (https), to send the registration with"
        elif outcome != "accepted":
            reply = os_api.reply_of(answer, "register")
            sentence = self._complaint(reply) if reply else "the registration was not sent"
        elif not appeared:
            sentence = f"the registration was accepted, but no new leaf came within {self._options['wait']} s"
        if outcome == "lost" and not appeared:
            sentence += f"; no new leaf came within {self._options['wait']} s. The token may be used up"
        restart_error = ""
        try:
            refuse_failed_restart(self._host.name, answer)
        except HostError as error:
            restart_error = str(error)
        return Attempt(
            sentence=redact(sentence, os_api.secrets_of(self._options)),
            touched=answer.text("touched") == "1",
            pin_written=answer.text("pin_written") == "1",
            pin_error=answer.text("pin.error"),
            restart_error=restart_error,
        )

    def _proof(self) -> dict[str, t.Any] | None:
        deadline = time.monotonic() + self._options["wait"]
        evidence: dict[str, t.Any] | None = None
        for turn in range(_PROOFS):
            if turn:
                time.sleep(min(2.0, max(0.0, deadline - time.monotonic())))
            # A server under load may take longer than the hold to show that it accepts: each look is twice as patient.
            patient = {**self._options, "hold": min(self._options["hold"] * 2**turn, 8.0)}
            try:
                evidence = node.gather(self._host, patient)
            except HostError:
                continue
            # Only a handshake may still come right; a leaf that is not there will not.
            files_right = self._active.sha256 in evidence["leaf"]["signed_by"]
            if self.proven(evidence) or not files_right or time.monotonic() > deadline:
                break
        return evidence


def _digest(content: bytes | None) -> str:
    return "" if content is None else hashlib.sha256(content).hexdigest()


def result(
    outcome: str, detail: str, evidence: t.Mapping[str, t.Any], attempt: Attempt | None = None
) -> dict[str, t.Any]:
    attempt = attempt or Attempt()
    changed = outcome in ("registered", "predicted") or attempt.touched
    return {
        "changed": changed,
        "outcome": outcome,
        "detail": detail,
        "pin_written": attempt.pin_written,
        "node": dict(evidence),
    }


def tolerated(error: RotationError, options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    outcome = "unreachable" if isinstance(error, Unreachable) else "failed"
    return result(outcome, str(error), node.nothing(str(error), options))
