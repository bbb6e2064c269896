package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
)

// Alerts of TLS (RFC 8446, section 6.2) by which a broker tells why it breaks off.
const (
	alertHandshakeFailure    = tls.AlertError(40)
	alertBadCertificate      = tls.AlertError(42)
	alertCertificateExpired  = tls.AlertError(45)
	alertCertificateUnknown  = tls.AlertError(46)
	alertUnknownCA           = tls.AlertError(48)
	alertProtocolVersion     = tls.AlertError(70)
	alertCertificateRequired = tls.AlertError(116)
)

// Explain says for people what the error of a connection to a broker means, and what to do about it in a configuration
// whose mqtt.username is user. Both are empty where the broker is not reached at all: the network's error says why.
func Explain(err error, user string) (what, remedy string) {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var plain tls.RecordHeaderError
	alert, alerted := alertOf(err)
	switch {
	case errors.Is(err, ErrTLSFiles):
		return err.Error(), "correct mqtt.tls: whole PEM files of the CA, and of a certificate and its key where the broker asks for one; " +
			"they are read again at the next attempt"
	case errors.Is(err, ErrLogin) && user == "":
		return "the broker wants a user name and password", "set mqtt.username and mqtt.password_file"
	case errors.Is(err, ErrLogin):
		return "the broker refuses the user name or password", "correct mqtt.username and the password in mqtt.password_file, or add the user to the broker (`mosquitto_passwd`)"
	case errors.As(err, &unknown):
		return "TLS: nobody trusted has signed the broker's certificate", "name the certificate of its CA in mqtt.tls.ca"
	case errors.As(err, &name):
		return "TLS: the broker's certificate is for another name", "write in mqtt.broker the name that the certificate has, or have one made for this name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "TLS: the broker's certificate is not valid at this time: it has expired, or the board's clock is wrong",
			"renew the certificate; set up time synchronisation: `sudo timedatectl set-ntp true`, and see that the board reaches a time server"
	case errors.As(err, &invalid):
		return "TLS: the broker's certificate is not valid", "have another one made: " + invalid.Error()
	case errors.As(err, &plain):
		return "TLS: the broker answers without TLS at this port", "write tcp:// in mqtt.broker, or take its TLS port, mostly 8883"
	case alerted:
		return explainAlert(alert)
	case err != nil && strings.Contains(err.Error(), "unsupported protocol version"): // crypto/tls has no type for it
		return explainAlert(alertProtocolVersion)
	case errors.Is(err, ErrNoBroker):
		// A broker that refuses a client's certificate says so, but its word may be overtaken by the end of the connection.
		return "what answers there is no MQTT broker, or one of the two wants TLS, or it a client's certificate",
			"correct mqtt.broker: ssl:// for a TLS port, mostly 8883, and tcp:// for another, mostly 1883; where the broker asks for a client's " +
				"certificate, set mqtt.tls.cert and mqtt.tls.key to one that it takes"
	}
	return "", ""
}

// alertOf returns the alert that the other side has sent. crypto/tls gives it as a type of its own that only its text
// tells from others.
func alertOf(err error) (tls.AlertError, bool) {
	var alert tls.AlertError
	if errors.As(err, &alert) {
		return alert, true
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return 0, false
	}
	for code := range 256 {
		if alert = tls.AlertError(code); alert.Error() == op.Err.Error() {
			return alert, true
		}
	}
	return 0, false
}

func explainAlert(alert tls.AlertError) (what, remedy string) {
	const ask = "set mqtt.tls.cert and mqtt.tls.key"
	switch alert {
	case alertProtocolVersion:
		return "TLS: the broker takes only versions of TLS older than 1.2, which are not safe", "let the broker take TLS 1.2 or 1.3 (Mosquitto: `tls_version tlsv1.2`)"
	case alertCertificateRequired:
		return "TLS: the broker asks for a client's certificate", ask
	case alertCertificateExpired:
		return "TLS: the broker says that the client's certificate has expired", "have a new one made for mqtt.tls.cert, and see that the broker's clock is right"
	case alertUnknownCA:
		return "TLS: the broker does not trust who has signed the client's certificate", "have mqtt.tls.cert signed by the CA that the broker trusts (Mosquitto: `cafile`)"
	case alertBadCertificate, alertCertificateUnknown, alertHandshakeFailure:
		return "TLS: the broker breaks off (" + alert.Error() + ")", "where it asks for a client's certificate, " + ask + " to one that it takes"
	}
	return "TLS: the broker breaks off (" + alert.Error() + ")", "where it asks for a client's certificate, " + ask
}
