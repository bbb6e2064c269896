package redact

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// secretWords are what the names in the patterns below contain.
var secretWords = []string{"passw", "pwd", "passphrase", "secret", "token"}

// Patterns of secrets whose values nobody has told. They mask rather too much than too little.
var (
	address = regexp.MustCompile("[A-Za-z][A-Za-z0-9+.-]*://[^\\s\"'<>`]+")
	// A key before = whose name tells a secret, but for those that name a file.
	quotedSetting = regexp.MustCompile(`(?i)"([\w.-]*(?:password|passwd|pwd|passphrase|secret|token)[\w.-]*=)[^"\n]*"`)
	setting       = regexp.MustCompile(`(?i)([\w.-]*(?:password|passwd|pwd|passphrase|secret|token)[\w.-]*=)("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s"'&,;]+)`)
	jsonSetting   = regexp.MustCompile(`(?i)("[\w.-]*(?:password|passwd|pwd|passphrase|secret|token)[\w.-]*"\s*:\s*)"(?:[^"\\]|\\.)*"`)
	credential    = regexp.MustCompile(`(?i)^(\s*SetCredential(?:Encrypted)?=[^:\n]*:).*`)
	basic         = regexp.MustCompile(`(?i)\b(Authorization:?\s+(?:Basic|Bearer|Digest)\s+)[^\r\n]+`)
	namesFile     = regexp.MustCompile(`(?i)_file["=]`)
)

// Text returns a text fit for others to read: the passwords of all URLs in it, the values of what looks like a secret
// (XBM_MQTT_PASSWORD=…, "token":"…"), and all the given secrets are replaced, as they are and as URLs and JSON write
// them. A secret of less than four letters is replaced where it stands alone.
func Text(text string, secrets ...string) string {
	for _, form := range forms(secrets) {
		if utf8.RuneCountInString(form) >= 4 {
			text = strings.ReplaceAll(text, form, mask)
			continue
		}
		alone := regexp.MustCompile(`(^|[^\pL\pN])` + regexp.QuoteMeta(form) + `($|[^\pL\pN])`)
		for range 2 { // neighbours share what is between them
			text = alone.ReplaceAllString(text, "${1}"+mask+"${2}")
		}
	}
	var out strings.Builder
	out.Grow(len(text))
	for l := range strings.Lines(text) {
		out.WriteString(line(l))
	}
	return out.String()
}

// line masks what looks like a secret. A look for the words that make the patterns match costs little beside them: logs
// are long, and boards are slow.
func line(text string) string {
	if strings.Contains(text, "://") {
		text = address.ReplaceAllStringFunc(text, URL)
	}
	lower := strings.ToLower(text)
	if strings.Contains(lower, "setcredential") {
		text = credential.ReplaceAllString(text, "${1}"+mask)
	}
	if strings.Contains(lower, "authorization") {
		text = basic.ReplaceAllString(text, "${1}"+mask)
	}
	if !slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(lower, word) }) {
		return text
	}
	text = quotedSetting.ReplaceAllStringFunc(text, unlessFile(quotedSetting, `"${1}`+mask+`"`))
	text = setting.ReplaceAllStringFunc(text, unlessFile(setting, "${1}"+mask))
	return jsonSetting.ReplaceAllStringFunc(text, unlessFile(jsonSetting, `${1}"`+mask+`"`))
}

// unlessFile leaves alone keys that name a file, such as password_file.
func unlessFile(pattern *regexp.Regexp, replacement string) func(string) string {
	return func(found string) string {
		if namesFile.MatchString(found[:strings.IndexAny(found, "=:")+1]) {
			return found
		}
		return pattern.ReplaceAllString(found, replacement)
	}
}

// forms returns secrets as texts show them, the longest first: a part of one may be another.
func forms(secrets []string) []string {
	var all []string
	for _, s := range secrets {
		if s == "" || s == mask {
			continue
		}
		all = append(all, s, url.QueryEscape(s), url.PathEscape(s), strings.TrimPrefix(url.UserPassword("", s).String(), ":"))
		if quoted, err := json.Marshal(s); err == nil {
			all = append(all, string(quoted[1:len(quoted)-1]))
		}
	}
	slices.SortFunc(all, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(all)
}

// Secrets returns the passwords that an address holds: that of its user, and those of query keys that look like secrets.
func Secrets(address string) []string {
	var secrets []string
	_, rest, found := strings.Cut(address, "://")
	if !found {
		rest = address
	}
	if u, err := url.Parse(address); err == nil && found && !ambiguous(u) {
		if password, ok := u.User.Password(); ok && password != "" {
			secrets = append(secrets, password)
		}
		for key, values := range u.Query() {
			if secretKey.MatchString(key) {
				secrets = append(secrets, values...)
			}
		}
	} else if at := strings.LastIndex(rest, "@"); at >= 0 {
		if _, password, ok := strings.Cut(rest[:at], ":"); ok && password != "" {
			secrets = append(secrets, password)
		}
	}
	slices.Sort(secrets)
	return slices.DeleteFunc(slices.Compact(secrets), func(s string) bool { return s == "" })
}
