// Copyright (c) 2026, Quazzar CA Rotation contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// A node's agent in the product's own language. It reads questions from standard input, one JSON object a line, and
// answers each with one line: whether the node accepts the Control Panel, and whether the Control Panel accepts the
// node.
//
// With TLS 1.3 a server's refusal comes after the client's handshake is over, so a request is sent and the answer is
// read. Where the node refuses, a second handshake that verifies nothing asks for the other direction.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

const atOnce = 16

type question struct {
	Address    string `json:"address"`
	ServerName string `json:"server_name"`
	Pin        string `json:"pin"`
	Cert       string `json:"cert"`
	Key        string `json:"key"`
	Seconds    int    `json:"seconds"`
}

type answer struct {
	ToCP         string `json:"to_cp"`
	ToCPDetail   string `json:"to_cp_detail"`
	ToNode       string `json:"to_node"`
	ToNodeDetail string `json:"to_node_detail"`
}

// One connection: whether the server's certificate was verified, and what came of the client's.
func dial(asked question, pin *x509.CertPool, pair tls.Certificate, verify bool) (bool, error) {
	verified := false
	config := &tls.Config{
		RootCAs:            pin,
		ServerName:         asked.ServerName,
		Certificates:       []tls.Certificate{pair},
		InsecureSkipVerify: !verify, // only to ask what the other side thinks of us
		VerifyConnection: func(tls.ConnectionState) error {
			verified = true
			return nil
		},
	}
	deadline := time.Now().Add(time.Duration(asked.Seconds) * time.Second)
	raw, err := net.DialTimeout("tcp", asked.Address, time.Until(deadline))
	if err != nil {
		return false, err
	}
	defer raw.Close()
	_ = raw.SetDeadline(deadline)
	connection := tls.Client(raw, config)
	if err := connection.Handshake(); err != nil {
		return verified, err
	}
	// What is written may be lost to a refusal that is on its way, so only what is read counts.
	_, _ = io.WriteString(connection, "GET / HTTP/1.0\r\nHost: "+asked.ServerName+"\r\n\r\n")
	_, err = connection.Read(make([]byte, 1))
	return verified, err
}

func ask(asked question) answer {
	unknown := func(err error) answer { return answer{"unknown", err.Error(), "unknown", err.Error()} }
	pem, err := os.ReadFile(asked.Pin)
	if err != nil {
		return unknown(err)
	}
	pin := x509.NewCertPool()
	if !pin.AppendCertsFromPEM(pem) {
		return unknown(fmt.Errorf("%s: no certificate", asked.Pin))
	}
	pair, err := tls.LoadX509KeyPair(asked.Cert, asked.Key)
	if err != nil {
		return unknown(err)
	}
	verified, err := dial(asked, pin, pair, true)
	found := answer{ToCP: "ok"}
	if !verified {
		if !refusesServer(err) {
			return unknown(err)
		}
		found.ToCP, found.ToCPDetail = "refused", err.Error()
		verified, err = dial(asked, pin, pair, false)
	}
	var timeout net.Error
	switch {
	case !verified: // the second connection came to nothing
		found.ToNode, found.ToNodeDetail = "unknown", err.Error()
	case err == nil:
		found.ToNode = "accepted"
	case errors.As(err, &timeout) && timeout.Timeout():
		found.ToNode, found.ToNodeDetail = "unknown", err.Error()
	default: // an alert, a reset, or the end of the connection
		found.ToNode, found.ToNodeDetail = "refused", err.Error()
	}
	return found
}

// Whether it is this side that does not take the other one's certificate.
func refusesServer(err error) bool {
	return err != nil && strings.Contains(err.Error(), "x509: ")
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	var questions []question
	for lines.Scan() {
		asked := question{Seconds: 20}
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		questions = append(questions, asked)
	}
	answers := make([]answer, len(questions))
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for number := range questions {
		all.Add(1)
		slots <- struct{}{}
		go func(number int) {
			defer all.Done()
			answers[number] = ask(questions[number])
			<-slots
		}(number)
	}
	all.Wait()
	for _, found := range answers {
		line, _ := json.Marshal(found)
		fmt.Println(string(line))
	}
}
