package bundle

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"aead.dev/minisign"

	"xbmedge/internal/atomicfile"
)

// The reasons for which Verify refuses a bundle.
var (
	ErrUnsigned     = errors.New("not signed")
	ErrWrongKey     = errors.New("signed with another key")
	ErrBadSignature = errors.New("the signature does not belong to this content")
)

// ErrPassword is wrapped by the error for a secret key whose password is wrong or missing.
var ErrPassword = errors.New("the key has a password")

// maxKeyFile bounds files of keys, which have some 300 bytes.
const maxKeyFile = 4 << 10

// PublicKey verifies bundles.
type PublicKey struct{ key minisign.PublicKey }

// SecretKey signs bundles.
type SecretKey struct{ key minisign.PrivateKey }

// ID is what minisign shows of a key: 16 hexadecimal digits. It is a hint only; two keys may have the same.
func (k PublicKey) ID() string { return fmt.Sprintf("%016X", k.key.ID()) }

// String returns the key in minisign's form, 56 characters that begin with RW.
func (k PublicKey) String() string { return k.key.String() }

// Public returns the key that verifies what k signs.
func (k *SecretKey) Public() PublicKey {
	return PublicKey{k.key.Public().(minisign.PublicKey)} // as minisign documents
}

// GenerateKey makes a new pair of keys.
func GenerateKey() (PublicKey, *SecretKey, error) {
	public, secret, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		return PublicKey{}, nil, fmt.Errorf("make a key: %w", err)
	}
	return PublicKey{public}, &SecretKey{secret}, nil
}

// WriteFiles writes the key to base.key, which only its owner can read, and its public half to base.pub, in the forms of
// the program minisign. With a password the secret key is encrypted, which takes a second and 1 GB of memory.
func (k *SecretKey) WriteFiles(base, password string) error {
	for _, path := range []string{base + ".key", base + ".pub"} {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("write key: %s is there already, and what it has signed would be worth nothing without it; take another name", path)
		}
	}
	text, err := k.key.MarshalText()
	if password != "" {
		text, err = minisign.EncryptKey(password, k.key)
	}
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	public, err := k.Public().key.MarshalText()
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	if err := atomicfile.WriteBytes(base+".key", 0o600, append(text, '\n')); err != nil {
		return err
	}
	return atomicfile.WriteBytes(base+".pub", 0o644, append(public, '\n'))
}

// ReadSecretKey reads a secret key of minisign's. The password is for a key that has one.
func ReadSecretKey(path, password string) (*SecretKey, error) {
	text, err := readKey(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	var key minisign.PrivateKey
	if minisign.IsEncrypted(text) {
		if password == "" {
			return nil, fmt.Errorf("key %s: %w: give it in XBM_KEY_PASSWORD or with --password-file", path, ErrPassword)
		}
		if key, err = minisign.DecryptKey(password, text); err != nil {
			return nil, fmt.Errorf("key %s: %w, and it is another one, or the file is damaged", path, ErrPassword)
		}
		return &SecretKey{key}, nil
	}
	if err := key.UnmarshalText(text); err != nil {
		return nil, fmt.Errorf("key %s is no secret key of minisign's: %w", path, err)
	}
	return &SecretKey{key}, nil
}

// ParsePublicKey returns a public key from its 56 characters, or from the file that holds it.
func ParsePublicKey(text string) (PublicKey, error) {
	var key minisign.PublicKey
	if key.UnmarshalText([]byte(text)) == nil {
		return PublicKey{key}, nil
	}
	content, err := readKey(text)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%q is neither a public key nor a file with one: %w", text, err)
	}
	if err := key.UnmarshalText(content); err != nil {
		return PublicKey{}, fmt.Errorf("%s is no public key of minisign's (KEY.pub of `xbm-convert keygen`): %w", text, err)
	}
	return PublicKey{key}, nil
}

// ParsePublicKeys is ParsePublicKey for several.
func ParsePublicKeys(list []string) ([]PublicKey, error) {
	var keys []PublicKey
	for _, text := range list {
		key, err := ParsePublicKey(text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, maxKeyFile)
	}
	text, err := os.ReadFile(path)
	return bytes.TrimSpace(text), err
}

// comment stands in every signature of a bundle. Anybody could change it, so it says nothing.
const comment = "signature of an xbm bundle"

// sign returns minisign's signature of a text, whose hash is what is signed.
func (k *SecretKey) sign(text []byte) []byte {
	hashed := minisign.NewReader(bytes.NewReader(text))
	_, _ = io.Copy(io.Discard, hashed) // out of memory: cannot fail
	return hashed.SignWithComments(k.key, "file:"+manifestName, comment)
}

// checkSignatureForm refuses a signature with anything in it that the signature itself does not protect.
func checkSignatureForm(text []byte) error {
	var s minisign.Signature
	if len(text) > maxSignature || s.UnmarshalText(text) != nil {
		return fmt.Errorf("%s is no signature of minisign's", signatureName)
	}
	form, err := s.MarshalText()
	if err != nil || s.UntrustedComment != comment || !bytes.Equal(form, text) {
		return fmt.Errorf("%s: %w", signatureName, errDiffers)
	}
	return nil
}

// KeyID returns the id of the key that the bundle says it is signed with, "" where it is not signed. Only Verify tells
// whether that is true.
func (b *Bundle) KeyID() string {
	var s minisign.Signature
	if b.signature == nil || s.UnmarshalText(b.signature) != nil {
		return ""
	}
	return fmt.Sprintf("%016X", s.KeyID)
}

// Verify returns nil when one of the keys has signed the bundle. Otherwise the error wraps ErrUnsigned, ErrWrongKey or
// ErrBadSignature.
func (b *Bundle) Verify(keys []PublicKey) error {
	if b.signature == nil {
		return fmt.Errorf("bundle %s is %w: sign it with `xbm-convert sign`", b.manifest.Name, ErrUnsigned)
	}
	if len(keys) == 0 {
		return errors.New("there is no public key to verify the bundle with")
	}
	var ids []string
	known := false
	for _, k := range keys {
		if minisign.Verify(k.key, b.text, b.signature) {
			return nil
		}
		ids = append(ids, k.ID())
		known = known || k.ID() == b.KeyID()
	}
	if known {
		return fmt.Errorf("bundle %s: %w: it was changed after it was signed, or the signature is forged", b.manifest.Name, ErrBadSignature)
	}
	return fmt.Errorf("bundle %s is %w: its signature names the key %s, and the keys here are %s",
		b.manifest.Name, ErrWrongKey, b.KeyID(), strings.Join(ids, ", "))
}
