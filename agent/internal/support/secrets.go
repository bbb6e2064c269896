package support

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"xbmedge/agent/internal/config"
	"xbmedge/internal/redact"
)

var (
	// In a configuration that may not even be YAML. What follows secret: is the name of one.
	passwordLine = regexp.MustCompile(`(?im)(?:^|[\s{,])["']?\w*(?:password|passwd|token)["']?\s*:\s*("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s#,}][^\n#,}]*)`)
	fileLine     = regexp.MustCompile(`(?im)(?:^|[\s{,])["']?password_file["']?\s*:\s*["']?([^"'\s#,}]+)`)
	addressText  = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]+`)
)

// maxSecret is the longest password file that is read, in bytes.
const maxSecret = 64 << 10

// findSecrets collects every password that may stand in a text: those of the configuration, also where that does not
// load, of the files it names, of all secrets beside it, and of the environments.
func (g *gatherer) findSecrets(environ []string) []string {
	var found, files []string
	if g.cfg != nil {
		found = append(found, g.cfg.Secrets()...)
		for _, name := range g.cfg.PasswordFiles() {
			files = append(files, name)
		}
	}
	settings := slices.Concat(environ, g.Set)
	if g.Config != "" {
		text, err := g.read(g.Config)
		if err == nil {
			for _, m := range passwordLine.FindAllStringSubmatch(text, -1) {
				found = append(found, strings.Trim(m[1], `"' `+"\t\r"), strings.TrimSpace(m[1]))
			}
			for _, m := range fileLine.FindAllStringSubmatch(text, -1) {
				files = append(files, m[1])
			}
			found = append(found, ofAddresses(text)...)
		}
		beside, err := filepath.Glob(filepath.Join(filepath.Dir(g.real(g.Config)), "secrets", "*"))
		if err == nil {
			for _, path := range beside {
				found = append(found, ofFile(path)...)
			}
		}
	}
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		switch {
		case namesFile(key):
			files = append(files, value)
		case namesPassword(key):
			found = append(found, value)
		}
		found = append(found, ofAddresses(value)...)
	}
	for _, name := range files {
		if path, err := config.SecretFile(name, g.Config); err == nil {
			found = append(found, ofFile(g.real(path))...)
		}
	}
	found = slices.DeleteFunc(found, func(s string) bool { return s == "" })
	slices.Sort(found)
	return slices.Compact(found)
}

// ofFile returns a password file's password, as it is and without the space around it.
func ofFile(path string) []string {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxSecret {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return []string{strings.TrimRight(string(data), "\r\n"), strings.TrimSpace(string(data))}
}

// ofAddresses returns the passwords of all addresses in a text.
func ofAddresses(text string) []string {
	found := redact.Secrets(text) // one address that may lack its scheme
	for _, address := range addressText.FindAllString(text, -1) {
		found = append(found, redact.Secrets(address)...)
	}
	return found
}

func namesFile(key string) bool { return strings.HasSuffix(strings.ToLower(key), "_file") }

func namesPassword(key string) bool {
	key = strings.ToLower(key)
	return !namesFile(key) && (strings.Contains(key, "password") || strings.Contains(key, "secret") || strings.Contains(key, "token"))
}
