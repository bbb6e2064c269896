package mqtt_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
)

// secured is how a broker of the matrix presents itself.
type secured struct {
	certificate issued
	clients     []byte // PEM of the CA whose clients alone are let in; nil for all
	oldest      bool   // it speaks TLS 1.1 and nothing newer
}

// serve runs a broker: Mosquitto behind ssl, the tests' own behind wss, since not every Mosquitto is built with
// WebSockets.
func (s secured) serve(t *testing.T, scheme string) (url string) {
	t.Helper()
	if s.oldest {
		return scheme + "://" + oldTLS(t, s.certificate)
	}
	if scheme == "wss" {
		cfg := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{s.certificate.pair(t)}}
		if s.clients != nil {
			cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
			cfg.ClientCAs.AppendCertsFromPEM(s.clients)
		}
		return brokertest.StartWebSocket(t, cfg)
	}
	dir, port := t.TempDir(), freePort(t)
	config := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nuser root\ntls_version tlsv1.2\ncertfile %s\nkeyfile %s\n", port,
		save(t, dir, "broker.pem", s.certificate.certificate), save(t, dir, "broker.key", s.certificate.key))
	if s.clients != nil {
		config += fmt.Sprintf("require_certificate true\ncafile %s\n", save(t, dir, "clients.pem", s.clients))
	}
	mosquittoWith(t, dir, port, config)
	return fmt.Sprintf("ssl://127.0.0.1:%d", port)
}

// oldTLS answers handshakes with TLS 1.1 at most, until the test's end.
func oldTLS(t *testing.T, certificate issued) (addr string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate.pair(t)}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake() // it is to fail
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// Who is let in over TLS and who is not, and what is said of it.
func TestTLSMatrix(t *testing.T) {
	house, stranger := newAuthority(t, "the house's CA"), newAuthority(t, "somebody's CA")
	good := house.issue(t, "localhost", time.Hour)
	dir := t.TempDir()
	trust := mqtt.TLSFiles{CA: save(t, dir, "ca.pem", house.pem)}
	client := func(name string, i issued) mqtt.TLSFiles {
		return mqtt.TLSFiles{CA: trust.CA, Cert: save(t, dir, name+".pem", i.certificate), Key: save(t, dir, name+".key", i.key)}
	}
	for _, tt := range []struct {
		name         string
		broker       secured
		files        mqtt.TLSFiles
		what, remedy string // both empty: let in
	}{
		{"all right", secured{certificate: good}, trust, "", ""},
		{"a client's certificate", secured{certificate: good, clients: house.pem}, client("porch", house.issue(t, "porch", time.Hour)), "", ""},
		{"a client's certificate where none is asked for", secured{certificate: good}, client("cellar", house.issue(t, "cellar", time.Hour)), "", ""},
		{"no trust", secured{certificate: good}, mqtt.TLSFiles{}, "nobody trusted has signed", "mqtt.tls.ca"},
		{"another CA", secured{certificate: stranger.issue(t, "localhost", time.Hour)}, trust, "nobody trusted has signed", "mqtt.tls.ca"},
		{"expired", secured{certificate: house.issue(t, "localhost", -time.Hour)}, trust, "it has expired, or the board's clock is wrong", "renew the certificate"},
		{"another name", secured{certificate: house.issue(t, "elsewhere", time.Hour)}, trust, "for another name", "write in mqtt.broker the name"},
		{"TLS 1.1", secured{certificate: good, oldest: true}, trust, "versions of TLS older than 1.2", "tlsv1.2"},
		{"no client's certificate", secured{certificate: good, clients: house.pem}, trust, "client's certificate", "mqtt.tls.cert"},
		{
			"a client of another CA",
			secured{certificate: good, clients: house.pem},
			client("thief", stranger.issue(t, "porch", time.Hour)),
			"client's certificate", "mqtt.tls.cert",
		},
		{
			"a client's certificate that has expired",
			secured{certificate: good, clients: house.pem},
			client("old", house.issue(t, "porch", -time.Hour)),
			"client's certificate", "mqtt.tls.cert",
		},
	} {
		for _, scheme := range []string{"ssl", "wss"} {
			t.Run(tt.name+" "+scheme, func(t *testing.T) {
				if _, err := exec.LookPath("mosquitto"); err != nil && scheme == "ssl" && !tt.broker.oldest {
					t.Skip("mosquitto is not installed, or not in PATH (scripts/setup.sh installs it)")
				}
				cfg := fast(tt.broker.serve(t, scheme))
				cfg.TLS = tt.files
				err := mqtt.Probe(t.Context(), cfg)
				if (err == nil) != (tt.what == "") {
					t.Fatalf("probe: %v", err)
				}
				if err == nil {
					deliver(t, cfg)
					return
				}
				what, remedy := mqtt.Explain(err, "")
				if !strings.Contains(what, tt.what) || !strings.Contains(remedy, tt.remedy) {
					t.Errorf("%v\nis explained as %q, %q; want %q, %q", err, what, remedy, tt.what, tt.remedy)
				}
				t.Logf("%v: %s; %s", err, what, remedy)
			})
		}
	}
}

// deliver sends an event and waits for its confirmation.
func deliver(t *testing.T, cfg mqtt.Config) {
	t.Helper()
	outbox := mqtt.NewMemoryOutbox(1, 1)
	c, stop := start(t, cfg, outbox)
	send(t, c, 1, 1)
	if err := stop(); err != nil || outbox.Len() != 0 {
		t.Errorf("not delivered: %v", err)
	}
}

// front is a TLS server before a broker. It asks for a client's certificate, without holding it to anything.
type front struct {
	addr   string
	config func(*tls.Config) // sets the certificate from now on
	cut    func()
	seen   chan string // names in the clients' certificates
}

func newFront(t *testing.T, target string, certificate issued) *front {
	t.Helper()
	cable := brokertest.NewCable(t, target)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{addr: l.Addr().String(), seen: make(chan string, 1000)}
	current := make(chan *tls.Config, 1)
	f.config = func(c *tls.Config) {
		select {
		case <-current:
		default: // the first
		}
		c.ClientAuth = tls.RequestClientCert
		current <- c
	}
	f.config(&tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate.pair(t)}})
	f.cut = cable.Cut
	secure := tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := <-current
		current <- c
		return c, nil
	}})
	brokertest.Join(t, secure, cable.Addr, func(conn net.Conn) bool {
		state := conn.(*tls.Conn)
		if state.Handshake() != nil {
			return false
		}
		name := ""
		if chain := state.ConnectionState().PeerCertificates; len(chain) > 0 {
			name = chain[0].Subject.CommonName
		}
		f.seen <- name
		return true
	})
	return f
}

// Changed files are taken by the next connection; half a file is told of and waited out.
func TestTLSFilesAreReadAnew(t *testing.T) {
	noLeaks(t)
	broker := brokertest.Start(t, "127.0.0.1:0")
	before, after := newAuthority(t, "this year's CA"), newAuthority(t, "next year's CA")
	one, two := before.issue(t, "one", time.Hour), after.issue(t, "two", time.Hour)
	f := newFront(t, broker.Addr, before.issue(t, "localhost", time.Hour))
	dir := t.TempDir()
	cfg := fast("ssl://" + f.addr)
	cfg.TLS = mqtt.TLSFiles{CA: save(t, dir, "ca.pem", before.pem), Cert: save(t, dir, "porch.pem", one.certificate), Key: save(t, dir, "porch.key", one.key)}
	said := newSaid()
	c, stop := startLogged(t, cfg, mqtt.NewMemoryOutbox(10, 1), said.log())
	await(t, "a connection", func() bool { return c.Stats().Connected })
	if name := <-f.seen; name != "one" {
		t.Errorf("came as %q", name)
	}
	save(t, dir, "porch.key", two.key[:len(two.key)/2])
	f.cut()
	said.wait(t, "the TLS files are no good: client certificate "+cfg.TLS.Cert, "read again at the next attempt")
	if c.Stats().Connected {
		t.Error("connected with half a key")
	}
	save(t, dir, "porch.pem", two.certificate)
	save(t, dir, "porch.key", two.key)
	await(t, "a connection with the new certificate", func() bool { return c.Stats().Connected })
	if name := <-f.seen; name != "two" {
		t.Errorf("came as %q after the certificate was replaced", name)
	}

	f.config(&tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{after.issue(t, "localhost", time.Hour).pair(t)}})
	f.cut()
	said.wait(t, "certificate signed by unknown authority", "name the certificate of its CA in mqtt.tls.ca")
	save(t, dir, "ca.pem", after.pem[:20])
	said.wait(t, "ca.pem holds no PEM certificates", "read again at the next attempt")
	save(t, dir, "ca.pem", after.pem)
	await(t, "a connection with the new CA", func() bool { return c.Stats().Connected })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// A changed password is taken by the next connection.
func TestPasswordIsReadAnew(t *testing.T) {
	noLeaks(t)
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	first := brokertest.Start(t, addr, brokertest.User{Name: "porch", Password: "this year's"})
	cfg := fast("tcp://" + addr)
	cfg.Username, cfg.Password = "porch", "of the start"
	password := make(chan string, 1)
	password <- "this year's"
	cfg.RenewPassword = func() (string, error) {
		p := <-password
		password <- p
		if p == "" {
			return "", fmt.Errorf("mqtt.password_file: %s is empty", "pw")
		}
		return p, nil
	}
	said := newSaid()
	c, stop := startLogged(t, cfg, mqtt.NewMemoryOutbox(10, 1), said.log())
	await(t, "a connection", func() bool { return c.Stats().Connected })
	first.Stop()
	brokertest.Start(t, addr, brokertest.User{Name: "porch", Password: "next year's"})
	said.wait(t, "refuses the user name or password", "correct mqtt.username")
	<-password
	password <- ""
	said.wait(t, "mqtt.password_file: pw is empty", "")
	<-password
	password <- "next year's"
	await(t, "a connection with the new password", func() bool { return c.Stats().Connected })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if text := said.text(); strings.Contains(text, "year's") {
		t.Errorf("a password in the log:\n%s", text)
	}
}
