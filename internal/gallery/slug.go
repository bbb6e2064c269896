package gallery

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Slug makes an ID from a name: lower case, accents dropped, anything else but a-z, 0-9 and _ becomes a single -. A
// name that leaves nothing, such as one in another script, gets an ID from its hash, the same one every time.
func Slug(name string) string {
	var b strings.Builder
	gap := false
	for _, r := range norm.NFKD.String(strings.ToLower(name)) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r):
		default:
			gap = true
		}
	}
	slug := b.String()
	if len(slug) > 64 {
		slug = strings.TrimRight(slug[:64], "-")
	}
	if slug == "" {
		sum := sha256.Sum256([]byte(name))
		return "id-" + hex.EncodeToString(sum[:5])
	}
	return slug
}
