# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Header dumps: what is in them is found, what is not in them is never made up."""

from __future__ import annotations

import base64
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.errors import InputError
from ansible_collections.quazzar.ca_rotation.plugins.module_utils._core.headers import parse_dump
from ansible_collections.quazzar.ca_rotation.tests.unit.plugins.minting import make_ca, make_leaf

CA = make_ca()
OTHER = make_ca()
LEAF = make_leaf(CA)
INTERMEDIATE = make_ca("Issuing CA", signed_by=CA)
SECRET = "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.secret"


def sequence(minted):
    return f":{base64.b64encode(minted.der).decode('ascii')}:"


def escaped(*minted):
    return quote(b"".join(each.pem for each in minted).decode("ascii"), safe="")


def dump(*lines):
    return "\r\n".join(["POST /agent/heartbeat HTTP/1.1", "Host: panel.example", SECRET, *lines, ""])


def test_rfc_9440_with_the_chain():
    found = parse_dump(dump(f"Client-Cert: {sequence(LEAF)}", f"Client-Cert-Chain: {sequence(CA)}"))
    assert (found.leaf, found.chain, found.form, found.from_proxy) == (LEAF.cert, (CA.cert,), "rfc9440", True)
    assert len(found.notes) == 1
    assert "TLS ends there" in found.notes[0]


def test_rfc_9440_with_a_long_chain_over_several_lines():
    leaf = make_leaf(INTERMEDIATE)
    found = parse_dump(
        dump(
            f"client-cert: {sequence(leaf)};a=1",
            f"client-cert-chain: {sequence(INTERMEDIATE)},",
            f"    {sequence(CA)}",
        )
    )
    assert (found.leaf, found.chain) == (leaf.cert, (INTERMEDIATE.cert, CA.cert))
    again = parse_dump(
        dump(
            f"Client-Cert: {sequence(leaf)}",
            f"Client-Cert-Chain: {sequence(INTERMEDIATE)}",
            f"Client-Cert-Chain: {sequence(CA)}",
        )
    )
    assert again == found


def test_a_continuation_line_is_no_header():
    found = parse_dump(dump(f'Client-Cert: {sequence(LEAF)};note="a', '\tclient-cert: b"'))
    assert found.leaf == LEAF.cert


def test_a_leaf_alone_is_a_witness_and_no_source():
    for text in (dump(f"Client-Cert: {sequence(LEAF)}"), sequence(LEAF)):
        found = parse_dump(text)
        assert (found.leaf, found.chain) == (LEAF.cert, ())
        assert any("only the leaf" in note for note in found.notes)


def test_a_root_that_was_left_out_is_named():
    leaf = make_leaf(INTERMEDIATE)
    found = parse_dump(dump(f"Client-Cert: {sequence(leaf)}", f"Client-Cert-Chain: {sequence(INTERMEDIATE)}"))
    assert found.chain == (INTERMEDIATE.cert,)
    assert "the root is left out: CN=Issuing CA was issued by CN=Quazzar Control Center CA" in found.notes


def test_a_chain_that_does_not_fit_is_told():
    found = parse_dump(dump(f"Client-Cert: {sequence(LEAF)}", f"Client-Cert-Chain: {sequence(OTHER)}"))
    assert "certificate 2 did not sign certificate 1 (CN=node1)" in found.notes


def test_two_client_certs_are_refused():
    with pytest.raises(InputError, match="more than one Client-Cert"):
        parse_dump(dump(f"Client-Cert: {sequence(LEAF)}", f"Client-Cert: {sequence(CA)}"))


def test_xfcc_as_envoy_writes_it():
    element = f'By=spiffe://panel;Hash={LEAF.cert.sha256};Cert="{escaped(LEAF)}";Chain="{escaped(LEAF, CA)}"'
    element += ';Subject="CN=a \\"quoted\\", name;x";DNS="one \\" alone, Cert=x";URI='
    for text in (dump(f"X-Forwarded-Client-Cert: {element}"), element):
        found = parse_dump(text)
        assert (found.leaf, found.chain, found.form, found.from_proxy) == (LEAF.cert, (CA.cert,), "xfcc", True)
        assert not any("hops" in note for note in found.notes)


def test_xfcc_of_several_hops_takes_the_one_next_to_the_client():
    mesh = make_leaf(OTHER, "sidecar")
    value = f'Subject="CN=a,b";Cert="{escaped(LEAF)}",By=x;Cert="{escaped(mesh)}"'
    found = parse_dump(dump(f"x-forwarded-client-cert: {value}"))
    assert found.leaf == LEAF.cert
    assert any("2 hops" in note for note in found.notes)


def test_xfcc_with_a_digest_only():
    found = parse_dump(dump(f"X-Forwarded-Client-Cert: By=x;Hash={LEAF.cert.sha256};URI=y"))
    assert (found.leaf, found.chain, found.form) == (None, (), "xfcc")
    assert found.notes[:2] == (
        "there is no certificate in it, only a digest",
        f"the digest is {LEAF.cert.sha256}",
    )


def test_xfcc_whose_hash_is_of_another_certificate():
    with pytest.raises(InputError, match="Hash that is not its Cert"):
        parse_dump(dump(f'X-Forwarded-Client-Cert: Hash={CA.cert.sha256};Cert="{escaped(LEAF)}"'))


@pytest.mark.parametrize("name", ["ssl-client-cert", "X-SSL-Client-Cert", "X-Amzn-Mtls-Clientcert", "X-Whatever"])
def test_escaped_pem(name):
    for value in (escaped(LEAF, CA), quote((LEAF.pem + CA.pem).decode("ascii"), safe="+=/ ").replace(" ", "%20")):
        found = parse_dump(dump(f"{name}: {value}"))
        assert (found.leaf, found.chain, found.form, found.from_proxy) == (LEAF.cert, (CA.cert,), "nginx", True)
    assert parse_dump(escaped(LEAF)).leaf == LEAF.cert
    assert parse_dump(escaped(LEAF).replace("%20", "+")).leaf == LEAF.cert


def test_pem_over_several_lines_of_a_header():
    value = LEAF.pem.decode("ascii").strip().replace("\n", "\n\t")
    found = parse_dump(f"X-SSL-Cert: {value}\n{SECRET}\n")
    assert (found.leaf, found.form, found.from_proxy) == (LEAF.cert, "nginx", True)
    flat = LEAF.pem.decode("ascii").strip().replace("\n", " ")
    assert parse_dump(dump(f"X-SSL-Cert: {flat}")).leaf == LEAF.cert


def test_pem_in_a_header_of_the_agent_itself():
    value = CA.pem.decode("ascii").strip().replace("\n", " ")
    found = parse_dump(dump(f"X-Quazzar-CA: {value}"))
    assert (found.leaf, found.chain, found.form, found.from_proxy) == (None, (CA.cert,), "pem", False)
    assert found.notes == ("found in the header x-quazzar-ca",)


def test_pem_on_its_own():
    found = parse_dump((CA.pem + LEAF.pem).decode("ascii"))
    assert (found.leaf, found.chain, found.form, found.from_proxy) == (LEAF.cert, (CA.cert,), "pem", False)


def test_a_dump_of_curl():
    found = parse_dump(f"> POST / HTTP/1.1\n> Client-Cert: {sequence(LEAF)}\n> \n< HTTP/1.1 200 OK\n")
    assert found.leaf == LEAF.cert


def test_several_forms_are_told():
    found = parse_dump(dump(f"ssl-client-cert: {escaped(CA)}", f"Client-Cert: {sequence(LEAF)}"))
    assert (found.leaf, found.form) == (LEAF.cert, "rfc9440")
    assert any("left alone: nginx" in note for note in found.notes)


def test_many_beginnings_without_an_end_take_no_time():
    began = time.process_time()
    with pytest.raises(InputError):
        parse_dump("-----BEGIN CERTIFICATE-----" * 15_000)
    assert time.process_time() - began < 5


def test_a_certificate_that_is_cut_off_before_the_next_is_refused():
    with pytest.raises(InputError, match="certificate 1 in the header dump cannot be read"):
        parse_dump(LEAF.pem.decode()[:200] + CA.pem.decode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        dump(),
        dump("Client-Cert: nonsense"),
        dump("Client-Cert: :AAAA:"),
        dump("Client-Cert: :A*A:"),
        dump(f"Client-Cert: {sequence(LEAF)}", "Client-Cert-Chain: :AAAA:"),
        dump("X-Forwarded-Client-Cert: By=x"),
        dump("ssl-client-cert: -----BEGIN%20CERTIFICATE-----%0AAAAA%0A-----END%20CERTIFICATE-----"),
    ],
)
def test_nothing_to_find_is_an_error_that_quotes_nothing(text):
    with pytest.raises(InputError) as caught:
        parse_dump(text)
    assert "secret" not in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=100), st.sampled_from(["", "Client-Cert: ", "Client-Cert-Chain: ", "X-Forwarded-Client-Cert: "])
)
def test_any_text_is_read_or_refused(text, name):
    for value in (text, f'Cert="{text}', f":{text}:", f"-----BEGIN CERTIFICATE-----{text}-----END CERTIFICATE-----"):
        try:
            found = parse_dump(f"{name}{value}\n")
        except InputError:
            continue
        assert found.leaf is None
