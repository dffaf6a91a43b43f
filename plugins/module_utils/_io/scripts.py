# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is private to the collection: it may change without notice.
# Do not use it from outside.

"""Shell pieces for C(host.Host.run). POSIX sh, the coreutils, openssl, and curl or bash for HTTP: nothing else is
on every node.

Names: C(qz_*) are functions and private variables, C(o_*) are what the caller hands in. A piece ends in a newline
and may
be put behind another. Secrets are only ever arguments of C(printf), which is a builtin (host.py makes sure of it).
"""

from __future__ import annotations

# --- the probe of trust.md ----------------------------------------------------------------------------------
#
# `sleep` holds standard input open, so that s_client lives long enough to read the server's refusal, which TLS 1.3
# sends after the handshake looks complete. None of -verify_return_error -ign_eof -brief -quiet: each of them hides one
# of the two
# directions or loses the output. The second run sends a request, and only to a server that was verified by the first.
PROBE = r"""
qz_s_client() {
  set -- openssl s_client -connect "$o_address"
  case $o_server_kind in
    ip) set -- "$@" -noservername -verify_ip "$o_server_name" ;;
    *) set -- "$@" -servername "$o_server_name" -verify_hostname "$o_server_name" ;;
  esac
  case $o_server_trust in
    pin) set -- "$@" -CAfile "$o_ca_path" ;;
    system) ;;
    *) set -- "$@" -CAfile "$o_server_trust" ;;
  esac
  timeout "$o_probe_timeout" "$@" -cert "$o_cert_path" -key "$o_key_path" 2>&1
}
qz_probe() {
  qz_lacks=
  [ -r "$o_cert_path" ] || qz_lacks="the leaf $o_cert_path cannot be read"
  [ -r "$o_key_path" ] || qz_lacks="the leaf's key $o_key_path cannot be read"
  case $o_server_trust in
    pin) [ -r "$o_ca_path" ] || qz_lacks="the pin $o_ca_path cannot be read" ;;
    /*) [ -r "$o_server_trust" ] || qz_lacks="$o_server_trust cannot be read" ;;
  esac
  qz_have openssl || qz_lacks="openssl is not installed there"
  if [ -n "$qz_lacks" ]; then qz_put handshake.error "$qz_lacks"; return; fi
  qz_out=$(sleep "$o_hold" | qz_s_client)
  qz_probe_rc=$?
  # A complete TLS 1.3 handshake, but no ticket and no refusal yet: the server may only be slow. Once more, longer.
  case $qz_probe_rc$qz_out in
    *"New Session Ticket arrived"* | *"SSL alert number"* | *"TLSv1.2"*) ;;
    0*"Verify return code"*)
      qz_out=$(sleep "$o_hold_long" | qz_s_client)
      qz_probe_rc=$?
      ;;
  esac
  qz_put handshake.rc "$qz_probe_rc"
  qz_put handshake "$qz_out"
  [ -n "$o_probe_request" ] || return 0
  case $qz_out in *"New Session Ticket arrived"*) return 0 ;; esac
  case $qz_out in *"Verify return code: 0 "*) ;; *) return 0 ;; esac
  qz_out=$({ sleep 0.3; printf '%s' "$o_probe_request"; sleep "$o_hold"; } | qz_s_client)
  qz_probe_rc=$?
  qz_put request.rc "$qz_probe_rc"
  qz_put request "$qz_out"
}
"""

# --- the next server certificate ----------------------------------------------------------------------------
#
# Whether the node's own openssl, with nothing but its pin, would take a server certificate by a CA that does not serve
# yet. Only what the pin file holds may help: neither a directory nor a store of the system's.
SAMPLE = r"""
qz_sample() {
  set -- openssl verify -CAfile "$o_ca_path" -no-CApath -purpose sslserver
  case $(openssl version 2>/dev/null) in "OpenSSL 1."* | LibreSSL*) ;; *) set -- "$@" -no-CAstore ;; esac
  case $o_server_kind in
    ip) set -- "$@" -verify_ip "$o_server_name" ;;
    *) set -- "$@" -verify_hostname "$o_server_name" ;;
  esac
  qz_out=$(printf '%s' "$o_sample" | timeout "$o_probe_timeout" "$@" 2>&1)
  qz_put sample.rc "$?"
  qz_put sample "$qz_out"
}
"""

# --- the log ------------------------------------------------------------------------------------------------
#
# Counted on the node: a log line may hold anything, and thousands of them would travel for one number. o_log_glob
# is the
# words of the documented line with * between them: its apostrophe and its dash are typographic, and not everywhere
# the same.
LOG = r"""
qz_log_lines() {
  if [ -n "$o_log_command" ]; then
    timeout "$o_log_timeout" /bin/sh -c "$o_log_command" 2>/dev/null
    return
  fi
  if qz_have journalctl; then
    qz_journal=$(timeout "$o_log_timeout" journalctl -q -o cat --no-pager -n 2000 -u 'quazzar*' 2>/dev/null)
    if [ -n "$qz_journal" ]; then printf '%s\n' "$qz_journal"; return 0; fi
  fi
  for qz_log_file in /var/log/quazzar/agent.log /var/log/quazzar-agent.log /var/log/quazzar/quazzar.log \
    /var/lib/quazzar/logs/agent.log
  do
    if [ -r "$qz_log_file" ]; then tail -n 2000 "$qz_log_file"; return 0; fi
  done
  return 41
}
qz_log() {
  { qz_log_lines; printf '\n%s %s\n' "$qz_mark" "$?"; } | {
    qz_count=0
    while IFS= read -r qz_line || [ -n "$qz_line" ]; do
      case $qz_line in
        "$qz_mark "*) qz_put log.rc "${qz_line#* }" ;;
        $o_log_glob) qz_count=$((qz_count + 1)) ;;
      esac
    done
    qz_put log.count "$qz_count"
  }
}
"""

# --- HTTP from the node -------------------------------------------------------------------------------------
#
# qz_http METHOD PATH BODY BODY_AS_CURL_WANTS_IT. Sets qz_status ("" when no answer came), qz_head, qz_body (whole,
# unchunked),
# qz_retry_after, qz_sent (0: the request cannot have reached anybody) and qz_http_rc. URL, headers and body go to
# curl as a configuration on standard input; bash and openssl get the request itself there.
HTTP = r"""
qz_cr=$(printf '\r')
qz_nl='
'
qz_http_tool() {
  if qz_have curl; then qz_tool=curl
  elif [ "$o_os_scheme" = http ] && qz_have bash; then qz_tool=bash
  elif [ "$o_os_scheme" = https ] && qz_have openssl; then qz_tool=openssl
  else qz_tool=none; fi
}
qz_request() {
  printf '%s %s HTTP/1.1\r\nHost: %s\r\n' "$1" "$o_os_prefix$2" "$o_os_authority"
  printf 'Accept: application/json\r\nConnection: close\r\n'
  [ -z "$qz_auth" ] || printf 'Authorization: %s\r\n' "$qz_auth"
  [ "$1" = GET ] || printf 'Content-Type: application/json\r\nContent-Length: %s\r\n' "${#3}"
  printf '\r\n'
  [ "$1" = GET ] || printf '%s' "$3"
}
qz_curl_config() {
  printf 'url = "%s"\nrequest = "%s"\n' "$o_os_base$2" "$1"
  printf 'silent\ninclude\ngloboff\nmax-filesize = 262144\n'
  printf 'max-time = %s\nconnect-timeout = %s\n' "$o_os_timeout" "$o_os_timeout"
  printf 'header = "Accept: application/json"\nheader = "Expect:"\n'
  [ "$o_os_loopback" != 1 ] || printf 'noproxy = "*"\n'
  [ -z "$o_os_ca" ] || printf 'cacert = "%s"\n' "$o_os_ca_q"
  [ -z "$qz_auth" ] || printf 'header = "Authorization: %s"\n' "$qz_auth"
  [ "$1" = GET ] || printf 'header = "Content-Type: application/json"\ndata-raw = "%s"\n' "$4"
}
qz_dechunk() {
  while IFS= read -r qz_size; do
    qz_size=${qz_size%%[!0-9a-fA-F]*}
    [ -n "$qz_size" ] || return 0
    qz_size=$((0x$qz_size))
    [ "$qz_size" -gt 0 ] || return 0
    head -c "$qz_size"
    IFS= read -r qz_size
  done
}
qz_http() {
  qz_status= qz_head= qz_body= qz_retry_after= qz_sent=1
  case $qz_tool in
    curl) qz_raw=$(qz_curl_config "$1" "$2" "$3" "$4" | timeout "$((o_os_timeout + 5))" curl -q -K - 2>/dev/null) ;;
    bash) qz_raw=$(qz_request "$1" "$2" "$3" | timeout "$o_os_timeout" \
            bash -c 'exec 3<>"/dev/tcp/$1/$2" || exit 7; cat >&3; cat <&3' bash "$o_os_host" "$o_os_port" \
            2>/dev/null) ;;
    openssl) qz_raw=$(qz_request "$1" "$2" "$3" | {
            set -- openssl s_client -quiet -connect "$o_os_host:$o_os_port" -verify_return_error
            case $o_os_host in
              *[!0-9.]*) set -- "$@" -servername "$o_os_host" -verify_hostname "$o_os_host" ;;
              *) set -- "$@" -noservername -verify_ip "$o_os_host" ;;
            esac
            [ -z "$o_os_ca" ] || set -- "$@" -CAfile "$o_os_ca"
            timeout "$o_os_timeout" "$@" 2>/dev/null
          }) ;;
    *) qz_http_rc=41; qz_sent=0; return 0 ;;
  esac
  qz_http_rc=$?
  case $qz_tool/$qz_http_rc in
    # Not resolved, not connected, TLS not established, nothing like a URL: the request was never sent.
    curl/[1-7]|curl/35|curl/51|curl/58|curl/60|curl/77|bash/7) qz_sent=0 ;;
    openssl/1) [ -n "$qz_raw" ] || qz_sent=0 ;;
  esac
  while :; do
    case $qz_raw in HTTP/*) ;; *) return 0 ;; esac
    case $qz_raw in *"$qz_cr$qz_nl$qz_cr$qz_nl"*) ;; *"$qz_cr$qz_nl$qz_cr") ;; *) return 0 ;; esac
    qz_head=${qz_raw%%"$qz_cr$qz_nl$qz_cr"*}
    qz_raw=${qz_raw#*"$qz_cr$qz_nl$qz_cr"}
    qz_raw=${qz_raw#"$qz_nl"}
    qz_status=${qz_head#* }
    qz_status=${qz_status%%[!0-9]*}
    # An interim answer, or a proxy's answer to CONNECT, stands before the real one.
    case $qz_status in 1??) qz_status= ;; 2??) case $qz_raw in HTTP/1.*|HTTP/2*) ;; *) break ;; esac ;; *) break ;; esac
  done
  qz_body=$qz_raw
  qz_value=${qz_head#*[Rr][Ee][Tt][Rr][Yy]-[Aa][Ff][Tt][Ee][Rr]:}
  if [ "$qz_value" != "$qz_head" ]; then
    qz_value=${qz_value%%"$qz_cr"*}
    while :; do
      case $qz_value in [[:blank:]]*) qz_value=${qz_value#?} ;; *[[:blank:]]) qz_value=${qz_value%?} ;; *) break ;; esac
    done
    case $qz_value in
      *GMT) qz_value=$(date -u -d "$qz_value" +%s 2>/dev/null) && qz_retry_after=$((qz_value - $(date +%s))) ;;
      ''|*[!0-9]*) ;;
      *) # 08 would be a broken octal number in an arithmetic expression.
         while :; do case $qz_value in 0?*) qz_value=${qz_value#0} ;; *) break ;; esac; done
         case $qz_value in ??????*) qz_value=99999 ;; esac
         qz_retry_after=$qz_value ;;
    esac
    [ -z "$qz_retry_after" ] || [ "$qz_retry_after" -ge 0 ] || qz_retry_after=0
  fi
  [ "$qz_tool" != curl ] || return 0
  case $qz_head in
    *[Tt]ransfer-[Ee]ncoding:*[Cc]hunked*) qz_body=$(printf '%s' "$qz_body" | qz_dechunk) ;;
  esac
}
qz_answer() {
  qz_put "$1.status" "$qz_status"
  qz_put "$1.rc" "$qz_http_rc"
  qz_put "$1.sent" "$qz_sent"
  qz_put "$1.retry_after" "$qz_retry_after"
  case $qz_status in 2??|'') ;; *) printf '%s' "$qz_body" | head -c 400 | qz_emit "$1.said" ;; esac
}
# The JSON string behind a key of qz_body, still escaped. Only ever used for the three tokens of a login: a token
# with an escape or a blank in it is not one, and is not taken.
qz_json_string() {
  qz_string=${qz_body#*"\"$1\""}
  [ "$qz_string" != "$qz_body" ] || { qz_string=; return 1; }
  while :; do case $qz_string in [[:space:]:]*) qz_string=${qz_string#?} ;; *) break ;; esac; done
  case $qz_string in '"'*) qz_string=${qz_string#?}; qz_string=${qz_string%%'"'*} ;; *) qz_string=; return 1 ;; esac
  case $qz_string in ''|*[!A-Za-z0-9._~+/=-]*) qz_string=; return 1 ;; esac
}
# Sets qz_auth, or returns 1 after having put section NAME (login, totp). The token stays on the node.
qz_login() {
  [ -z "$o_os_api_key" ] || { qz_auth="Bearer $o_os_api_key"; return 0; }
  qz_auth=
  [ -n "$o_os_login_body" ] || return 0
  qz_http POST /api/auth/login "$o_os_login_body" "$o_os_login_body_q"
  case $qz_status in 2??) ;; *) qz_answer login; return 1 ;; esac
  case $qz_body in
    *'"totp_required"'*)
      if qz_json_string temp_token && [ -n "$o_os_totp_code" ]; then
        qz_value="{\"temp_token\": \"$qz_string\", \"code\": \"$o_os_totp_code\"}"
        qz_value_q="{\\\"temp_token\\\": \\\"$qz_string\\\", \\\"code\\\": \\\"$o_os_totp_code\\\"}"
        qz_http POST /api/auth/totp/verify "$qz_value" "$qz_value_q"
        case $qz_status in 2??) ;; *) qz_answer totp; return 1 ;; esac
      elif [ -z "$o_os_totp_code" ]; then
        qz_put login.error totp; return 1
      fi ;;
  esac
  if qz_json_string access_token; then qz_auth="Bearer $qz_string"; return 0; fi
  qz_answer login
  qz_put login.error token
  return 1
}
"""

# --- the agent's own view -----------------------------------------------------------------------------------
STATUS = r"""
qz_agent() {
  qz_http_tool
  qz_put agent.tool "$qz_tool"
  [ "$qz_tool" != none ] || return 0
  [ -n "$o_os_status_path" ] || return 0
  qz_login || return 0
  qz_http GET "$o_os_status_path" "" ""
  qz_answer agent
  case $qz_status in 2??) qz_put agent.body "$qz_body" ;; esac
}
"""

# --- a file put in place ------------------------------------------------------------------------------------
#
# qz_replace PATH EXPECTED_SHA256 MODE OWNER GROUP < CONTENT. All or nothing, in the directory of the file itself.
# EXPECTED is
# "-" (whatever is there), "absent", or the digest of what was read before. o_size, where set, is the size that the
# content must
# have: a pipe that broke off must not cut off a file. When nothing was changed it prints why, and returns 1.
REPLACE = r"""
qz_sum() { { sha256sum <"$1" | { read -r qz_digest qz_rest; printf '%s' "$qz_digest"; }; } 2>/dev/null; }
qz_refuse() { printf '%s' "$1"; exit 1; }
qz_unchanged() {
  case $2 in
    -) ;;
    absent) [ ! -e "$1" ] || qz_refuse "appeared while it was worked on; run again" ;;
    *) [ "$(qz_sum "$1")" = "$2" ] || qz_refuse "changed while it was worked on; run again" ;;
  esac
}
# A subshell, so that its traps are its own.
qz_replace() (
  target=$1
  # Written through a symbolic link: replacing the link itself would leave its target as it was.
  if [ -h "$1" ]; then
    target=$(readlink -f -- "$1") || target=
    [ -n "$target" ] || qz_refuse "the symbolic link leads nowhere"
  fi
  dir=${target%/*}/
  [ -d "$dir" ] || qz_refuse "the directory $dir does not exist"
  [ ! -d "$target" ] || qz_refuse "is a directory"
  qz_unchanged "$target" "$2"
  umask 077
  temp=$dir.quazzar-${target##*/}
  # What a host that lost its power in the middle has left. A run that writes here holds the lock.
  rm -f -- "$temp".???????? 2>/dev/null
  temp=$(mktemp "$temp.XXXXXXXX" 2>/dev/null) ||
    qz_refuse "no file can be made in $dir: permission denied, read-only or full"
  trap 'rm -f -- "$temp"' EXIT
  trap 'exit 1' HUP INT TERM
  cat >"$temp" 2>/dev/null || qz_refuse "could not be written in $dir: the disk is full, or its quota"
  [ -z "$o_size" ] || [ "$(stat -c %s -- "$temp")" = "$o_size" ] || qz_refuse "could not be copied whole"
  if [ -e "$target" ]; then
    # Owner, mode, access lists and security context are the old file's, and attributes where cp can; its time is not,
    # or a watcher would miss the change.
    cp --attributes-only --preserve=all -- "$target" "$temp" 2>/dev/null ||
      cp --attributes-only -p -- "$target" "$temp" 2>/dev/null || qz_refuse "its owner and mode cannot be kept"
    touch -- "$temp" 2>/dev/null
    [ "$(stat -c '%u %g %a' -- "$temp" 2>/dev/null)" = "$(stat -c '%u %g %a' -- "$target" 2>/dev/null)" ] ||
      qz_refuse "its owner and mode cannot be kept; is become missing?"
    # Not every cp keeps it, and none says so. Without SELinux both have none.
    qz_context=$(stat -c %C -- "$target" 2>/dev/null)
    if [ "$(stat -c %C -- "$temp" 2>/dev/null)" != "$qz_context" ]; then
      chcon --reference="$target" -- "$temp" 2>/dev/null
      [ "$(stat -c %C -- "$temp" 2>/dev/null)" = "$qz_context" ] ||
        qz_refuse "its SELinux context $qz_context cannot be kept"
    fi
  else
    chmod 0644 -- "$temp"
  fi
  owner=$4${5:+:$5}
  if [ -n "$owner" ]; then chown -- "$owner" "$temp" 2>/dev/null || qz_refuse "the owner $owner cannot be set"; fi
  if [ -n "$3" ]; then chmod -- "$3" "$temp" 2>/dev/null || qz_refuse "the mode $3 cannot be set"; fi
  sync -- "$temp" 2>/dev/null || sync
  qz_unchanged "$target" "$2"
  mv -fT -- "$temp" "$target" 2>/dev/null || qz_refuse "cannot be replaced in $dir (immutable, or a mount of its own?)"
  sync -- "$dir" 2>/dev/null
  exit 0
)
qz_restart() {
  [ -n "$o_restart_command" ] || return 0
  qz_out=$(timeout "$o_restart_timeout" /bin/sh -c "$o_restart_command" 2>&1)
  qz_put restart.rc "$?"
  qz_put restart "$(printf '%s' "$qz_out" | tail -c 400)"
}
"""

# --- registration -------------------------------------------------------------------------------------------
#
# The pin is watched from before the request until the new leaf is there, so that a node whose CP still serves from the
# legacy CA is without its bundle for a fifth of a second at most. The request is sent again only after an answer
# that says that it was not taken (429, 503 with Retry-After, 401), never after silence.
REGISTER = r"""
qz_pin_ok() {
  [ -z "$o_pin_pem" ] || [ "$(qz_sum "$o_ca_path")" = "$qz_pin_wanted" ]
}
qz_touched() {
  [ "$(qz_sum "$o_cert_path")" != "$o_leaf_before" ] || [ "$(qz_sum "$o_ca_path")" != "$o_pin_before" ]
}
qz_fix_pin() {
  qz_pin_ok && return 0
  qz_touched || return 0
  printf '%s' "$o_pin_pem" | qz_replace "$o_ca_path" - "" "" ""
}
qz_post() {
  qz_login || { qz_outcome=login; return 0; }
  qz_budget=$o_retry_budget
  qz_again=1
  while :; do
    qz_http POST "$o_register_path" "$o_register_body" "$o_register_body_q"
    case " $o_register_status " in *" ${qz_status:-none} "*) qz_outcome=accepted; return 0 ;; esac
    case $qz_status in
      429) qz_pause=${qz_retry_after:-5} ;;
      503) qz_pause=$qz_retry_after ;;
      401) qz_outcome=refused
           [ "$qz_again" = 1 ] && [ -n "$o_os_login_body" ] || return 0
           qz_again=0
           qz_login || { qz_outcome=login; return 0; }
           continue ;;
      *) qz_pause= ;;
    esac
    if [ -n "$qz_pause" ]; then
      [ "$qz_pause" -gt 0 ] || qz_pause=1
      if [ "$qz_pause" -le "$qz_budget" ]; then
        qz_budget=$((qz_budget - qz_pause))
        sleep "$qz_pause"
        continue
      fi
    fi
    case $qz_status in
      '') if [ "$qz_sent" = 0 ]; then qz_outcome=unsent; else qz_outcome=lost; fi ;;
      500|502|504) qz_outcome=lost ;;
      *) qz_outcome=refused ;;
    esac
    return 0
  done
}
qz_await_leaf() {
  qz_deadline=$(($(date +%s) + o_wait))
  qz_steady=0
  while :; do
    qz_fix_pin >/dev/null
    qz_leaf_now=$(qz_sum "$o_cert_path")
    if [ -n "$qz_leaf_now" ] && [ "$qz_leaf_now" != "$o_leaf_before" ]; then
      # The agent may write the pin after the leaf: ours must still be there for a while.
      [ -n "$o_pin_pem" ] || return 0
      if qz_pin_ok; then qz_steady=$((qz_steady + 1)); else qz_steady=0; fi
      [ "$qz_steady" -lt 5 ] || return 0
    fi
    [ "$(date +%s)" -lt "$qz_deadline" ] || return 1
    sleep 0.2
  done
}
qz_register() {
  trap '' HUP PIPE
  qz_pin_wanted=$(printf '%s' "$o_pin_pem" | { sha256sum; } | { read -r qz_digest qz_rest; printf '%s' "$qz_digest"; })
  qz_http_tool
  qz_put tool "$qz_tool"
  qz_watcher=
  if [ -n "$o_pin_pem" ] && [ "$o_post" = 1 ]; then
    # Ends by itself, in case this shell is killed.
    ( qz_stop=; trap 'qz_stop=1' TERM; qz_turns=0
      while [ -z "$qz_stop" ] && [ "$qz_turns" -lt 1200 ]; do qz_fix_pin; qz_turns=$((qz_turns + 1)); sleep 0.1; done
    ) >/dev/null 2>&1 &
    qz_watcher=$!
  fi
  qz_outcome=accepted
  if [ "$o_post" = 1 ]; then
    if [ "$qz_tool" = none ]; then qz_outcome=notool; else qz_post; qz_answer register; fi
  fi
  if [ -n "$qz_watcher" ]; then kill "$qz_watcher" 2>/dev/null; wait "$qz_watcher" 2>/dev/null; fi
  qz_put outcome "$qz_outcome"
  case $qz_outcome in accepted|lost) qz_await_leaf; qz_put new_leaf "$?" ;; *) qz_put new_leaf 1 ;; esac
  if [ -n "$o_pin_pem" ]; then
    qz_why=$(qz_fix_pin) || qz_put pin.error "$qz_why"
    if qz_pin_ok; then qz_put pin_written 1; fi
  fi
  if qz_touched; then
    qz_put touched 1
    qz_restart
  fi
}
"""
