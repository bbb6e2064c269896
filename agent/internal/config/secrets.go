package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"xbmedge/internal/redact"
)

// secretPrefix marks a password file that the service manager hands over: "secret:NAME" is the file NAME in the folder of
// secrets, /etc/xbm-agent/secrets, which only root can read. systemd passes it on as the credential secret_NAME.
const secretPrefix = "secret:"

// ReadPasswords fills in the passwords from their files; path is that of the configuration. The error tells of every
// file that cannot be read.
func (c *Config) ReadPasswords(path string) error {
	var faults []error
	if c.MQTT.PasswordFile != "" {
		password, err := readSecret(c.MQTT.PasswordFile, path)
		if err != nil {
			faults = append(faults, fmt.Errorf("mqtt.password_file: %w", err))
		}
		c.MQTT.Password = password
	}
	if c.Web.TokenFile != "" {
		token, err := readSecret(c.Web.TokenFile, path)
		if err == nil {
			err = checkToken(token)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("web.token_file: %w", err))
		}
		c.Web.Token = token
	}
	for _, id := range slices.Sorted(maps.Keys(c.Cameras)) {
		cam := c.Cameras[id]
		if cam.Username == "" {
			continue
		}
		password := ""
		if cam.PasswordFile != "" {
			var err error
			if password, err = readSecret(cam.PasswordFile, path); err != nil {
				faults = append(faults, fmt.Errorf("cameras.%s.password_file: %w", id, err))
				continue
			}
		}
		address, err := withUser(cam.Address, cam.Username, password)
		if err != nil {
			faults = append(faults, fmt.Errorf("cameras.%s.address: %w", id, err))
			continue
		}
		cam.Address = address
		c.Cameras[id] = cam
	}
	return errors.Join(faults...)
}

// PasswordFiles returns the configured password files by their keys, as they are written.
func (c *Config) PasswordFiles() map[string]string {
	files := map[string]string{}
	if c.MQTT.PasswordFile != "" {
		files["mqtt.password_file"] = c.MQTT.PasswordFile
	}
	if c.Web.TokenFile != "" {
		files["web.token_file"] = c.Web.TokenFile
	}
	for id, cam := range c.Cameras {
		if cam.PasswordFile != "" {
			files["cameras."+id+".password_file"] = cam.PasswordFile
		}
	}
	return files
}

// SecretFile returns the file that a password_file stands for, in a configuration at path. "secret:NAME" is a
// credential where systemd started this program. Where a person did, to try or look at a configuration, it is what that
// credential is made of: secrets/NAME beside the configuration.
func SecretFile(name, path string) (string, error) {
	secret, ok := strings.CutPrefix(name, secretPrefix)
	if !ok {
		return name, nil
	}
	if !secretName.MatchString(secret) || strings.Trim(secret, ".") == "" {
		return "", fmt.Errorf("%q: a secret's name has 1 to 64 of a-z, A-Z, 0-9, _, . and -", name)
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		return filepath.Join(dir, "secret_"+secret), nil
	}
	if path == "" {
		return "", fmt.Errorf("%s lies in the folder secrets beside the configuration, and there is none: name it with --config", name)
	}
	return filepath.Join(filepath.Dir(path), "secrets", secret), nil
}

func readSecret(name, config string) (string, error) {
	path, err := SecretFile(name, config)
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(path)
	secret, handed := strings.CutPrefix(name, secretPrefix)
	switch {
	case handed && errors.Is(err, os.ErrNotExist) && os.Getenv("CREDENTIALS_DIRECTORY") != "":
		return "", fmt.Errorf("there is no secret %s: put it into the file secrets/%[1]s beside the configuration and restart the service", secret)
	case handed && errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("there is no secret %s: put it into the file %s", secret, path)
	case handed && errors.Is(err, os.ErrPermission):
		return "", fmt.Errorf("%w: only root can read secrets; run this as root (sudo)", err)
	case err != nil:
		return "", err
	}
	if text := strings.TrimRight(string(data), "\r\n"); text != "" {
		return text, nil
	}
	return "", fmt.Errorf("%s is empty", path)
}

// Secrets returns the passwords that the configuration holds, in all places, for those who print texts.
func (c *Config) Secrets() []string {
	secrets := []string{c.MQTT.Password, c.Web.Token}
	addresses := c.MQTT.Brokers()
	for _, cam := range c.Cameras {
		addresses = append(addresses, cam.Address)
	}
	for _, address := range addresses {
		secrets = append(secrets, redact.Secrets(address)...)
	}
	return slices.DeleteFunc(secrets, func(s string) bool { return s == "" })
}
