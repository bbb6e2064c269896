package config

import (
	"errors"
	"net/url"
)

// withUser puts a user and password into a URL.
func withUser(address, user, password string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "", errors.New("is not a URL, but there is a username")
	}
	u.User = url.User(user)
	if password != "" {
		u.User = url.UserPassword(user, password)
	}
	return u.String(), nil
}
