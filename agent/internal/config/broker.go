package config

import (
	"fmt"
	"reflect"
	"slices"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/internal/redact"
)

// mostFallbacks bounds how long a round of attempts takes.
const mostFallbacks = 8

// Brokers returns the brokers' URLs in the order in which they are tried.
func (m MQTT) Brokers() []string { return append([]string{m.Broker}, m.Fallbacks...) }

func (m MQTT) checkBrokers(check func(key string, err error)) {
	check("mqtt.broker", mqtt.CheckBroker(m.Broker))
	if n := len(m.Fallbacks); n > mostFallbacks {
		check("mqtt.fallbacks", fmt.Errorf("%d brokers; want at most %d", n, mostFallbacks))
	}
	for i, url := range m.Fallbacks {
		key := fmt.Sprintf("mqtt.fallbacks[%d]", i)
		check(key, mqtt.CheckBroker(url))
		if slices.Contains(m.Brokers()[:i+1], url) {
			check(key, fmt.Errorf("%s is there twice; keep one", redact.URL(url)))
		}
	}
}

// same reports whether a connection as m says needs no change for other. A password in a file of its own is read for each
// connection.
func (m MQTT) same(other MQTT) bool {
	if m.PasswordFile != "" {
		m.Password, other.Password = "", ""
	}
	return reflect.DeepEqual(m, other)
}

// Client says how to reach the brokers. What a client is to publish and hear is left to the caller.
func (c *Config) Client() mqtt.Config {
	m := c.MQTT
	out := mqtt.Config{
		Broker: m.Broker, Fallbacks: m.Fallbacks, ClientID: m.ClientID, Username: m.Username, Password: m.Password,
		TLS: mqtt.TLSFiles{CA: m.TLS.CA, Cert: m.TLS.Cert, Key: m.TLS.Key}, KeepAlive: m.KeepAlive, DrainTimeout: m.Drain,
	}
	if m.PasswordFile != "" {
		out.RenewPassword = func() (string, error) {
			password, err := readSecret(m.PasswordFile, c.File)
			if err != nil {
				return "", fmt.Errorf("mqtt.password_file: %w", err)
			}
			return password, nil
		}
	}
	return out
}
