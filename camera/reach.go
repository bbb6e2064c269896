package camera

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"
)

// reachTime bounds how long the host of a network camera may take to answer.
const reachTime = 3 * time.Second

// Reach returns an error for a camera that is plainly not there: no such device, or a host that does not answer. It is
// cheap, and spares a process that would only find the same. That it returns nil promises nothing.
func Reach(ctx context.Context, cfg Config) error {
	switch cfg.Kind {
	case Device:
		if _, err := os.Stat(DevicePath(cfg.Address)); errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s is not there: no such camera is plugged in", DevicePath(cfg.Address))
		}
	case RTSP, HTTP:
		address, err := hostOf(cfg.Address)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, min(reachTime, cfg.Patience()))
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
		return conn.Close()
	}
	return nil
}

// DevicePath returns the path of a V4L2 device that is named by it or by its number.
func DevicePath(address string) string {
	if _, err := strconv.ParseUint(address, 10, 16); err == nil {
		return "/dev/video" + address
	}
	return address
}

// hostOf returns host:port of a URL.
func hostOf(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return "", errors.New("the address is no URL with a host") // not err, which repeats it with its password
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "rtsps": "322"}[u.Scheme]
	}
	if port == "" {
		port = "554"
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}
