package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/internal/redact"
)

func (p *patient) lookAtBroker(ctx context.Context, r *report) {
	m := p.cfg.MQTT
	if m.PasswordFile != "" && m.Password == "" {
		r.warn("see to the password first (permissions)", "not tried, for want of its password")
		return
	}
	files, err := mqtt.TLSFiles{CA: m.TLS.CA, Cert: m.TLS.Cert, Key: m.TLS.Key}.Config()
	if err != nil {
		r.fault("correct mqtt.tls: PEM files of the CA, and of a certificate and its key where the broker asks for one", "mqtt.tls: %v", err)
		return
	}
	started := p.Now()
	err = p.Probe(ctx, mqtt.Config{Broker: m.Broker, Username: m.Username, Password: m.Password, TLS: files, ConnectTimeout: connectTime})
	if err == nil {
		r.ok("%s lets the agent in, after %d ms", redact.URL(m.Broker), p.Now().Sub(started).Milliseconds())
		return
	}
	what, remedy := ExplainBroker(m, err)
	r.fault(remedy, "%s", what)
}

// ExplainBroker says for people what an error on the way to a configured broker means, and what to do about it.
func ExplainBroker(m config.MQTT, err error) (what, remedy string) {
	address := redact.URL(m.Broker)
	if what, remedy := refused(err, m.Username); what != "" {
		return address + ": " + what, remedy
	}
	n := network{address: address, key: "mqtt.broker", service: "the broker there (`sudo systemctl start mosquitto`), and let it listen on more than localhost"}
	if u, err := url.Parse(m.Broker); err == nil {
		n.host = u.Hostname()
	}
	return n.explain(err)
}

// refused explains what a broker that is reached says, "" where it is not.
func refused(err error, user string) (what, remedy string) {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var plain tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.Is(err, mqtt.ErrLogin) && user == "":
		return "the broker wants a user name and password", "set mqtt.username and mqtt.password_file"
	case errors.Is(err, mqtt.ErrLogin):
		return "the broker refuses the user name or password", "correct mqtt.username and the password in mqtt.password_file, or add the user to the broker (`mosquitto_passwd`)"
	case errors.As(err, &unknown):
		return "TLS: nobody trusted has signed the broker's certificate", "name the certificate of its CA in mqtt.tls.ca"
	case errors.As(err, &name):
		return "TLS: the broker's certificate is for another name", "write in mqtt.broker the name that the certificate has, or have one made for this name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "TLS: the broker's certificate is not valid at this time: it has expired, or the board's clock is wrong", "renew the certificate; " + setClock
	case errors.As(err, &invalid):
		return "TLS: the broker's certificate is not valid", "have another one made: " + invalid.Error()
	case errors.As(err, &plain):
		return "TLS: the broker answers without TLS at this port", "write tcp:// in mqtt.broker, or take its TLS port, mostly 8883"
	case errors.As(err, &alert):
		return "TLS: the broker breaks off (" + alert.Error() + ")", "where it asks for a client's certificate, set mqtt.tls.cert and mqtt.tls.key"
	case errors.Is(err, mqtt.ErrNoBroker):
		return "what answers there is no MQTT broker, or one of the two wants TLS", "correct mqtt.broker: ssl:// for a TLS port, mostly 8883, and tcp:// for another, mostly 1883"
	}
	return "", ""
}
