package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Web is the page for people.
type Web struct {
	Listen    string `yaml:"listen"` // off or host:port
	TokenFile string `yaml:"token_file"`
	Token     string `yaml:"-"` // its content
}

// On reports whether there is to be a page.
func (w Web) On() bool { return w.Listen != "off" }

// leastToken is the length of the shortest token, in bytes: one that nobody guesses.
const leastToken = 16

// check returns nil for a place where the page can be served.
func (w Web) check() error {
	if !w.On() {
		return nil
	}
	host, port, err := net.SplitHostPort(w.Listen)
	if err != nil || port == "" {
		return fmt.Errorf("%q: want off or host:port, such as 127.0.0.1:8090", w.Listen)
	}
	if w.TokenFile == "" && !loopback(host) {
		return fmt.Errorf("%s can be reached from other machines: name a file that holds a token in web.token_file, "+
			"or listen on 127.0.0.1", w.Listen)
	}
	return nil
}

// loopback reports whether only programs of this machine reach a host. A name other than localhost could be anybody's.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

func checkToken(token string) error {
	if len(token) < leastToken {
		return errors.New("the token is too short: want 16 characters or more, such as `openssl rand -hex 16` prints")
	}
	return nil
}
