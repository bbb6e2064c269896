package main

import (
	"fmt"
	"os"
	"strings"

	"xbmedge/internal/bundle"
	"xbmedge/internal/cli"
)

// keyPassword names the environment variable with the password of a secret key.
const keyPassword = "XBM_KEY_PASSWORD"

// passwordFlag adds the flag that says where a key's password is. The function reads it, once the flags are parsed; ""
// stands for none.
func passwordFlag(f *cli.Flags) func() (string, error) {
	path := f.String("password-file", "", "`FILE` with the key's password, instead of "+keyPassword+" in the environment")
	return func() (string, error) {
		if *path == "" {
			return os.Getenv(keyPassword), nil
		}
		text, err := os.ReadFile(*path)
		if err != nil {
			return "", fmt.Errorf("read password: %w", err)
		}
		password := strings.TrimRight(string(text), "\r\n")
		if password == "" {
			return "", fmt.Errorf("the password in %s is empty: write one, or leave --password-file out", *path)
		}
		return password, nil
	}
}

// readSecretKey reads the key that signs.
func readSecretKey(path string, password func() (string, error)) (*bundle.SecretKey, error) {
	text, err := password()
	if err != nil {
		return nil, err
	}
	return bundle.ReadSecretKey(path, text)
}
