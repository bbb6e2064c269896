package mqtt

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"syscall"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"xbmedge/internal/redact"
)

// schemes maps what a user may write to what paho dials, with the port that is usual for it.
var schemes = map[string]struct{ dial, port string }{
	"tcp": {"tcp", "1883"}, "mqtt": {"tcp", "1883"},
	"ssl": {"ssl", "8883"}, "tls": {"ssl", "8883"}, "mqtts": {"ssl", "8883"},
	"ws": {"ws", "80"}, "wss": {"wss", "443"},
}

// parseBroker reads a broker's URL and fills in its port.
func parseBroker(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("broker %q is not a URL such as tcp://localhost:1883", redact.URL(text))
	}
	s, ok := schemes[u.Scheme]
	if !ok {
		names := []string{}
		for name := range schemes {
			names = append(names, name)
		}
		slices.Sort(names)
		return nil, fmt.Errorf("broker %q: want a URL such as tcp://localhost:1883, with one of the schemes %v", redact.URL(text), names)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("broker %q names no host; write it as %s://localhost:%s", redact.URL(text), u.Scheme, s.port)
	}
	if p := u.Port(); p == "" {
		u.Host = net.JoinHostPort(u.Hostname(), s.port)
	} else if _, err := net.LookupPort("tcp", p); err != nil {
		return nil, fmt.Errorf("broker %q: %s is no port", redact.URL(text), p)
	}
	u.Scheme = s.dial
	return u, nil
}

// CheckBroker returns nil for a broker URL that can be used, and otherwise says what is wrong with it.
func CheckBroker(text string) error {
	_, err := parseBroker(text)
	return err
}

// options are the ones under which paho keeps its promises; see the package comment. They are good for one connection:
// the files of the configuration are read anew.
func (c Config) options() (*paho.ClientOptions, error) {
	u, err := parseBroker(c.Broker)
	if err != nil {
		return nil, err
	}
	secure, err := c.TLS.Config()
	if err != nil {
		return nil, err
	}
	if c.RenewPassword != nil {
		if c.Password, err = c.RenewPassword(); err != nil {
			return nil, err
		}
	}
	o := paho.NewClientOptions().
		SetClientID(c.ClientID).
		SetProtocolVersion(4).SetCleanSession(true).SetAutoReconnect(false).SetConnectRetry(false).
		SetOrderMatters(c.Receive != nil). // on before off: the handler only passes on
		SetKeepAlive(c.KeepAlive).SetConnectTimeout(c.ConnectTimeout).SetWriteTimeout(c.WriteTimeout).
		SetPingTimeout(c.ConnectTimeout)
	if secure != nil {
		o.SetTLSConfig(secure)
	}
	if u.User != nil {
		password, _ := u.User.Password()
		o.SetUsername(u.User.Username()).SetPassword(password)
		u.User = nil
	}
	if c.Username != "" {
		o.SetUsername(c.Username).SetPassword(c.Password)
	}
	o.Servers = []*url.URL{u}
	return o, nil
}

var (
	// ErrLogin says that a broker does not know the user, or not with that password.
	ErrLogin = errors.New("the broker refuses the user name or password")
	// ErrNoBroker says that whoever answered was no MQTT broker, or wants TLS where this side does not, or the reverse.
	ErrNoBroker = errors.New("what answers there hangs up on an MQTT login")
)

// refusal says why a broker does not let this client in.
func refusal(err error) error {
	switch {
	case errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword), errors.Is(err, packets.ErrorRefusedNotAuthorised):
		return fmt.Errorf("%w: %w", ErrLogin, err)
	case errors.Is(err, packets.ErrorNetworkError) && !caused(err):
		return ErrNoBroker
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%w: %w", ErrNoBroker, err)
	}
	return err
}

// caused reports whether there is a cause below paho's network error: it gives none, and a text that is no text, when
// the connection ends before the broker's answer to the login.
func caused(err error) bool {
	joined, ok := err.(interface{ Unwrap() []error })
	return ok && len(joined.Unwrap()) > 1
}
