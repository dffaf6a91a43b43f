// Copyright (c) 2026, Quazzar CA Rotation contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// An mTLS listener in the product's own language: Go refuses some certificates that OpenSSL takes, and words its
// refusals differently. It prints its address and runs until its standard input is closed.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	certificate := flag.String("cert", "", "the server's certificate chain, PEM")
	key := flag.String("key", "", "the server's key, PEM")
	clients := flag.String("clients", "", "the CAs of the clients, PEM; none asked for when empty")
	version := flag.String("tls", "1.3", "the only TLS version, 1.2 or 1.3")
	tickets := flag.Bool("tickets", true, "hand out session tickets")
	flag.Parse()

	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{
		Certificates:           []tls.Certificate{pair},
		MinVersion:             versions[*version],
		MaxVersion:             versions[*version],
		SessionTicketsDisabled: !*tickets,
	}
	if *clients != "" {
		pem, err := os.ReadFile(*clients)
		if err != nil {
			log.Fatal(err)
		}
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM(pem)
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
	}
	log.Fatal(server.Serve(tls.NewListener(listener, config)))
}
