# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""What one run of ``openssl s_client`` proves, in both directions of trust.

With TLS 1.3 a server's refusal of the client certificate arrives only after the handshake looks complete, and ``Verify
return code: 0`` is printed even then. So "accepted" needs a sign that a server gives only after it has verified the
client: a session ticket, a finished TLS 1.2 handshake, or an answer to a request. What proves nothing is "unknown".

The run must be ``sleep H | timeout T openssl s_client -connect A -servername N -verify_hostname N -CAfile PIN -cert
LEAF -key KEY 2>&1``, T greater than H, without -brief, -quiet, -ign_eof, -verify_return_error and ``</dev/null``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .certificates import Certificate, parse_bundle
from .errors import InputError

#: How a replica is named to which a balancer has led a node, whichever that was.
BALANCER = "balancer"

# RFC 8446, 6.2, as far as they speak about the client's certificate.
_ALERTS = {
    40: "handshake failure",
    41: "no certificate",
    42: "bad certificate",
    43: "unsupported certificate",
    44: "certificate revoked",
    45: "certificate expired",
    46: "certificate unknown",
    48: "unknown CA",
    49: "access denied",
    51: "decrypt error",
    116: "certificate required",
}
# By these a server says that it does not trust the certificate itself.
_DISTRUST = frozenset((42, 44, 46, 48, 49, 116))
# By these some servers say the same, and others that something else is wrong.
_UNCLEAR = frozenset((40, 41, 43, 51))
# Line by line, so that many beginnings without an end do not each look through all that follows.
_PEM = re.compile(r"^-----BEGIN CERTIFICATE-----$(?:\n(?!-----).*)*\n-----END CERTIFICATE-----$", re.M)
# No \s at the start of a line: over a run of blank lines it would be tried from each of them to the end of all.
_CHAIN_SHOWN = re.compile(r"^[ \t]*0 s:", re.M)
_VERIFY_CODE = re.compile(r"^[ \t]*Verify return code: (\d+) \((.*)\)[ \t]*$", re.M)
_PROTOCOL = re.compile(r"^[ \t]*Protocol[ \t]*:[ \t]*(\S+)[ \t]*$", re.M)
_CIPHER = re.compile(r"^(?:New|Reused), (\S+), Cipher is (\S+)\s*$", re.M)
_TICKET = re.compile(r"^Post-Handshake New Session Ticket arrived:", re.M)
_ALERT = re.compile(r"\bSSL alert number (\d{1,3})[ \t]*$", re.M)
# 140735:error:14094418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:FILE:LINE:...  3.x has other numbers.
_ERROR = re.compile(r"^[0-9A-Fa-f]+:error:[0-9A-Fa-f]+:([^:\n]*):([^:\n]*):([^:\n]*):.*$", re.M)
_ERRNO = re.compile(r"^(connect|read|write):errno=(\d+)\s*$", re.M)
_HTTP = re.compile(r"^HTTP/\d(?:\.\d)? (\d{3})\b[^\n]*$", re.M)
# nginx completes the handshake whatever the client shows, and refuses in HTTP.
_HTTP_REFUSAL = re.compile(r"The SSL certificate error|No required SSL certificate was sent", re.I)
_IN_HTTP = "refused in HTTP"
_HTTP_REFUSAL_STATUS = ("495", "496")
_NAMES_SENT = re.compile(
    r"^Acceptable client certificate CA names\r?\n(.*?)(?=^(?:---|[A-Z][A-Za-z0-9. ]*: )|\Z)", re.M | re.S
)
_ASKED = re.compile(
    r"^(?:Acceptable client certificate CA names|Client Certificate Types: |Requested Signature Algorithms: )", re.M
)
_NO_RUN = re.compile(
    r"^.*(?:unable to load|could not (?:read|open|find)|can't open|no such file|not found|unknown option"
    r"|unrecognized|permission denied|key values mismatch|name or service not known|temporary failure in name).*$",
    re.M | re.I,
)
# These are how OpenSSL reports that the other side went away; every other error without an alert is made on this side.
_GONE = ("unexpected eof while reading", "connection reset by peer", "broken pipe", "software caused connection abort")
_RESET_LIBRARY = "system library"
_FINISHED_BY_BOTH = ("TLSv1", "TLSv1.1", "TLSv1.2")  # in TLS 1.3 the client finishes before the server has judged it
# timeout(1) and signals: the run was cut off, which says nothing.
_CUT_OFF = (124, 137, 143)
_NO_PROOF = "no session ticket came: with tickets switched off only an answer to quazzar_probe_request can tell"


@dataclass(frozen=True)
class Handshake:
    """``to_cp``: the node's pin against the CP (ok, refused, unknown). ``to_node``: the CP against the node's leaf
    (accepted, refused, unknown). ``chain`` is whole with -showcerts, else the CP's leaf alone. ``acceptable_ca_count``
    is None when the CP asked for no client certificate; the names are as OpenSSL prints them, same names repeated.
    """

    to_cp: str
    to_cp_detail: str
    to_node: str
    to_node_detail: str
    protocol: str
    chain: tuple[Certificate, ...]
    acceptable_ca_names: tuple[str, ...]
    acceptable_ca_count: int | None


def verdict(output: str, rc: int | None) -> Handshake:
    """Read one run's output, standard error included, and its exit status; None when the run was killed."""
    output = output.replace("\r\n", "\n")
    named = _NAMES_SENT.search(output)
    names = tuple(line.strip() for line in named.group(1).splitlines() if line.strip()) if named else ()
    asked = bool(_ASKED.search(output))
    verified = _VERIFY_CODE.search(output)
    # What follows is what the server sent after the handshake, where it could write anything.
    head = output[: verified.start()] if verified else output
    chain, broken = _chain(head)
    shown = bool(chain or broken or _CHAIN_SHOWN.search(head))
    if shown:
        to_cp, to_cp_detail = _to_cp(output, verified, broken)
        to_node, to_node_detail = _to_node(output, output[len(head) :], rc, asked)
    else:
        to_cp = to_node = "unknown"
        to_cp_detail = to_node_detail = _nothing_shown(output, rc)
    return Handshake(
        to_cp=to_cp,
        to_cp_detail=to_cp_detail,
        to_node=to_node,
        to_node_detail=to_node_detail,
        protocol=_protocol(output) if shown else "",
        chain=chain,
        acceptable_ca_names=names,
        acceptable_ca_count=len(names) if asked else None,
    )


def shows_distrust(detail: str, *, accepted_before: bool) -> bool:
    """Whether a refusal of the node, by its ``to_node_detail``, is for want of trust in its certificate.

    A connection that just ends shows that only where the same server accepted the same certificate before. An expired
    certificate, or an error inside of the server, never shows it.
    """
    alert = re.match(r"TLS alert (\d+)", detail)
    if alert:
        number = int(alert.group(1))
        return number in _DISTRUST or (accepted_before and number in _UNCLEAR)
    return accepted_before or detail.startswith(_IN_HTTP)


def _to_cp(output: str, verified: re.Match[str] | None, broken: str) -> tuple[str, str]:
    own = _own_error(output)
    if verified is None:
        return "unknown", own or "the run ended before the CP's certificate was verified"
    code, text = verified.groups()
    if code != "0":
        return "refused", f"{text} (verify code {code})"
    if own:
        # The chain fits, but without its key's signature anybody could have shown it.
        return "unknown", f"the CP's certificate fits, but the handshake broke off here: {own}"
    return "ok", broken


def _to_node(output: str, tail: str, rc: int | None, asked: bool) -> tuple[str, str]:
    if not asked:
        return "unknown", "the CP asked for no client certificate: not its mTLS port, or something before it ends TLS"
    refusal = _refusal(output, tail)
    if refusal:
        return "refused", refusal
    proof = _proof(output, tail)
    if proof:
        return "accepted", proof
    own = _own_error(output)
    gone = _gone(output)
    if not gone and rc not in (None, 0, *_CUT_OFF):
        gone = f"the connection ended after the CP's certificate was shown (exit status {rc})"
    if gone and not own:
        return "refused", gone
    if own:
        return "unknown", f"the handshake broke off on this side: {own}"
    return "unknown", "no answer within the time limit" if rc in _CUT_OFF else _NO_PROOF


def _refusal(output: str, tail: str) -> str:
    alert = _ALERT.search(output)
    if alert:
        return _alert(alert)
    http = _HTTP.search(tail)
    if http and (http.group(1) in _HTTP_REFUSAL_STATUS or _HTTP_REFUSAL.search(tail, http.end())):
        return f"{_IN_HTTP}: {http.group(0).strip()[:60]}"
    return ""


def _proof(output: str, tail: str) -> str:
    """What a server does only after it has taken the client's certificate; empty when it did nothing of the kind."""
    if _TICKET.search(tail):
        return "a session ticket came"
    http = _HTTP.search(tail)
    if http:
        return f"the request was answered: {http.group(0).strip()[:60]}"
    protocol, cipher = _protocol(output), _CIPHER.search(output)
    head = output[: len(output) - len(tail)]
    # s_client reports the cipher of a handshake that failed too, but then the failure stands before the summary.
    failed = not cipher or cipher.group(2) == "(NONE)" or _gone(head) or _own_error(head)
    return f"the {protocol} handshake was finished" if protocol in _FINISHED_BY_BOTH and not failed else ""


def _alert(found: re.Match[str]) -> str:
    number = int(found.group(1))
    return f"TLS alert {number} ({_ALERTS[number]})" if number in _ALERTS else f"TLS alert {number}"


def _gone(output: str) -> str:
    """How the other side went away without an alert; empty when it did not."""
    for _library, _function, reason in _ERROR.findall(output):
        if reason.lower() in _GONE:
            return f"the CP ended the connection: {reason}"
    errno = _ERRNO.search(output)
    if errno and errno.group(1) != "connect":
        return "the CP ended the connection" + ("" if errno.group(2) == "0" else f" (errno {errno.group(2)})")
    return ""


def _own_error(output: str) -> str:
    """The reason for which this side gave up, in OpenSSL's words; empty when it did not."""
    for match in _ERROR.finditer(output):
        library, _function, reason = match.groups()
        if _ALERT.search(match.group(0)) or library == _RESET_LIBRARY or reason.lower() in _GONE:
            continue
        return reason or library
    return ""


def _nothing_shown(output: str, rc: int | None) -> str:
    """Why no certificate was seen, in as few words as there are."""
    alert = _ALERT.search(output)
    if alert:
        return f"the CP ended the handshake before it showed a certificate: {_alert(alert)}"
    problem = _NO_RUN.search(output)
    if problem and not _ERROR.match(problem.group(0)):
        return problem.group(0).strip()[:200]
    error, errno = _ERROR.search(output), _ERRNO.search(output)
    if error:
        return (error.group(3) or error.group(1)).strip().lower()
    if errno:
        return f"{errno.group(1)} failed (errno {errno.group(2)})"
    if rc is None or rc in _CUT_OFF:
        return "no answer within the time limit"
    return f"no certificate was shown (exit status {rc})"


def _protocol(output: str) -> str:
    """The plain line first: old versions print TLSv1/SSLv3 for every TLS below 1.3 in the other."""
    plain = _PROTOCOL.search(output)
    if plain:
        return plain.group(1)
    cipher = _CIPHER.search(output)
    return "" if cipher is None or cipher.group(1) == "(NONE)" else cipher.group(1)


def _chain(head: str) -> tuple[tuple[Certificate, ...], str]:
    """The certificates shown, and what is wrong with the first that cannot be read (the rest is left out)."""
    chain: list[Certificate] = []
    for pem in _PEM.findall(head):
        try:
            (cert,) = parse_bundle(pem.encode("ascii", "replace")).certificates
        except (InputError, ValueError) as error:
            return tuple(chain), f"a certificate that the CP shows cannot be read: {error}"
        # With -showcerts older versions repeat the leaf under "Server certificate".
        if cert not in chain:
            chain.append(cert)
    return tuple(chain), ""
