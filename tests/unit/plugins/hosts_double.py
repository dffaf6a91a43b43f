# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the host-facing actions meet in tests: a real local connection, a real TLS listener, an OS API."""

from __future__ import annotations

import contextlib
import http.server
import json
import pathlib
import socket
import ssl
import threading

from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader
from ansible.template import Templar

from ansible_collections.quazzar.ca_rotation.plugins.action import (
    ca_backup,
    ca_info,
    ca_pair,
    kept_identity,
    node_info,
    node_registration,
    run_lock,
    trust_file,
    trust_pool,
)

ACTIONS = {
    "ca_backup": ca_backup,
    "ca_info": ca_info,
    "ca_pair": ca_pair,
    "kept_identity": kept_identity,
    "node_info": node_info,
    "node_registration": node_registration,
    "run_lock": run_lock,
    "trust_file": trust_file,
    "trust_pool": trust_pool,
}


def action_of(name, *, args=None, check=False, diff=False, connection=None, become=None):
    """The real action over a real connection (local when none is given), as a worker of Ansible would make it."""
    task = Task()
    task.action = f"quazzar.ca_rotation.{name}"
    task.args = args or {}
    task.check_mode = check
    task.diff = diff
    play_context = PlayContext()
    loader = DataLoader()
    if connection is None:
        connection = connection_loader.get("local", play_context, None)
        connection.set_options(var_options={})
    if become is not None:
        connection.set_become_plugin(become)
    action = ACTIONS[name].ActionModule(
        task=task,
        connection=connection,
        play_context=play_context,
        loader=loader,
        templar=Templar(loader),
        shared_loader_obj=None,
    )
    action._load_name = task.action
    return action


def act(name, *, check=False, diff=False, connection=None, **args):
    """Run the real action over a real local connection, as a worker of Ansible would."""
    action = action_of(name, args=args, check=check, diff=diff, connection=connection)
    result = action.run(task_vars={"inventory_hostname": "node-7"})
    json.dumps(result)
    return result


class Listener:
    """A Control Panel's mTLS listener: it serves one certificate and accepts clients of the given CAs."""

    def __init__(self, directory, server, clients, *, tickets=True, tls12=False, answer=b""):
        directory = pathlib.Path(directory)
        crt, key = server.write(directory, "server")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(crt, key)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata="".join(ca.pem.decode() for ca in clients))
        if not tickets:
            context.num_tickets = 0
        if tls12:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.requests = []
        self._answer = answer
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                raw, _unused = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(raw,), daemon=True).start()

    def _one(self, raw):
        with contextlib.suppress(OSError, ssl.SSLError), self._context.wrap_socket(raw, server_side=True) as tls:
            data = tls.recv(4096)
            if data:
                self.requests.append(data)
                tls.sendall(self._answer)

    def close(self):
        self._socket.close()


class Os:
    """An OS API. ``register`` takes the request's body and returns (status, headers, body), or None to hang up."""

    def __init__(self, register=None, *, tls=None, chunked=False):
        self.api_key = "qzr_geheim-schluessel"
        self.user, self.password, self.jwt = "admin", "pass\"wort\\ mit $ und '", "eyJhbGciOi.JIUzI1NiJ9.geheim-sitzung"
        self.temp, self.totp_code = "temp.geheim-token", None
        self.status = (200, {}, {"connected": True})
        self.register = register
        self.requests = []
        self.seen_authorization = []
        self.refuse_sessions = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_unused):
                return

            def do_GET(self):
                outer._answer(self, "")

            def do_POST(self):
                outer._answer(self, self.rfile.read(int(self.headers["Content-Length"])).decode())

        self.chunked = chunked
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def posts(self, path="/api/cc/register"):
        return [body for method, where, body in self.requests if (method, where) == ("POST", path)]

    def _answer(self, handler, text):
        self.requests.append((handler.command, handler.path, text))
        authorization = handler.headers.get("Authorization")
        self.seen_authorization.append(authorization)
        answer = self._route(handler, text, authorization)
        if answer is None:
            handler.close_connection = True
            handler.connection.close()
            return
        status, headers, body = answer
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Connection", "close")
        handler.close_connection = True
        if not self.chunked:
            handler.send_header("Content-Length", str(headers.get("X-Length", len(data))))
            handler.end_headers()
            handler.wfile.write(data)
            return
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for at in range(0, len(data), 7):
            piece = data[at : at + 7]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n")

    def _route(self, handler, text, authorization):
        if handler.path == "/api/auth/login":
            wanted = {"username": self.user, "password": self.password}
            if json.loads(text) != wanted:
                return 401, {}, {"error": "invalid credentials"}
            if self.totp_code:
                return 200, {}, {"totp_required": True, "temp_token": self.temp}
            return 200, {}, {"token_type": "bearer", "access_token": self.jwt, "refresh_token": "r"}
        if handler.path == "/api/auth/totp/verify":
            if json.loads(text) != {"temp_token": self.temp, "code": self.totp_code()}:
                return 401, {}, {"error": "invalid code"}
            return 200, {}, {"access_token": self.jwt}
        if authorization not in (f"Bearer {self.api_key}", f"Bearer {self.jwt}"):
            return 401, {}, {"error": "unauthorized"}
        if self.refuse_sessions:
            self.refuse_sessions -= 1
            return 401, {}, {"error": "token expired"}
        if handler.path == "/api/auth/cp-status":
            return self.status
        if handler.path == "/api/cc/register" and self.register:
            return self.register(json.loads(text))
        return 404, {}, {"error": "not found"}
