// Package redact takes passwords out of addresses and texts before they are printed.
package redact

import (
	"net/url"
	"regexp"
	"strings"
)

const mask = "xxxxx"

// userinfo is everything between :// and the last @ before the path: it also masks what no URL parser takes.
var userinfo = regexp.MustCompile(`(://)[^/?#\s]*@`)

// longUserinfo is everything between :// and the last @ of all: a password with a / that nobody has escaped.
var longUserinfo = regexp.MustCompile(`(://)\S*@`)

// bareUserinfo is user:password@ where somebody forgot the scheme.
var bareUserinfo = regexp.MustCompile(`^[^/?#\s]*:[^/?#\s]*@`)

// secretKey matches query keys under which cameras take passwords.
var secretKey = regexp.MustCompile(`(?i)pass|pwd|secret|token|key|auth`)

// URL returns an address fit for a log: the password in user:password@ and the values of query keys that look like
// secrets are replaced. In text that is no URL, all of user:password is replaced.
func URL(address string) string {
	if !strings.Contains(address, "://") {
		return bareUserinfo.ReplaceAllString(address, mask+"@")
	}
	u, err := url.Parse(address)
	if err != nil {
		if masked := userinfo.ReplaceAllString(address, "${1}"+mask+"@"); masked != address {
			return masked
		}
		return longUserinfo.ReplaceAllString(address, "${1}"+mask+"@")
	}
	if ambiguous(u) {
		return longUserinfo.ReplaceAllString(address, "${1}"+mask+"@")
	}
	if u.RawQuery != "" {
		parts := strings.Split(u.RawQuery, "&")
		for i, p := range parts {
			if k, _, ok := strings.Cut(p, "="); ok && secretKey.MatchString(k) {
				parts[i] = k + "=" + mask
			}
		}
		u.RawQuery = strings.Join(parts, "&")
	}
	return u.Redacted()
}

// ambiguous reports whether what parses as host:port and a path with an @ may be user:password@host, the password having
// a / or the like in it: "rtsp://admin:12/34@camera" is a good URL.
func ambiguous(u *url.URL) bool {
	if !strings.Contains(u.Path+u.Fragment, "@") && !strings.Contains(u.RawQuery, "@") {
		return false
	}
	_, password := u.User.Password()
	return u.Port() != "" || password
}
