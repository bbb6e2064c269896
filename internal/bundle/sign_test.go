package bundle

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestVerify(t *testing.T) {
	public, secret := newKey(t)
	other, otherSecret := newKey(t)
	m, parts := sample()
	read := func(raw []byte) *Bundle {
		t.Helper()
		b, err := Read(raw)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	signed := read(encode(t, m, parts, secret))
	forged := *signed
	forged.text = append([]byte(nil), signed.text...)
	forged.text[len(forged.text)-1] = ' '
	path := filepath.Join(t.TempDir(), "again.xbm")
	if err := signed.Sign(path, otherSecret); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		b    *Bundle
		keys []PublicKey
		want error
	}{
		{"its key", signed, []PublicKey{public}, nil},
		{"among others", signed, []PublicKey{other, public}, nil},
		{"another key", signed, []PublicKey{other}, ErrWrongKey},
		{"unsigned", read(encode(t, m, parts, nil)), []PublicKey{public}, ErrUnsigned},
		{"another content", &forged, []PublicKey{public}, ErrBadSignature},
		{"signed again", again, []PublicKey{other}, nil},
		{"signed again, the old key", again, []PublicKey{public}, ErrWrongKey},
	} {
		if err := tt.b.Verify(tt.keys); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if err := signed.Verify(nil); err == nil {
		t.Error("no key at all has verified it")
	}
}

func TestKeyFiles(t *testing.T) {
	public, secret := newKey(t)
	base := filepath.Join(t.TempDir(), "release")
	if err := secret.WriteFiles(base, ""); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(base + ".key"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret key: %v, %v", info.Mode(), err)
	}
	if err := secret.WriteFiles(base, ""); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("over a key that is there: %v", err)
	}
	got, err := ReadSecretKey(base+".key", "")
	if err != nil || !got.key.Equal(secret.key) {
		t.Errorf("read back: %v", err)
	}
	for _, text := range []string{base + ".pub", public.String()} {
		if key, err := ParsePublicKey(text); err != nil || !key.key.Equal(public.key) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, path := range []string{base + ".key", filepath.Join(t.TempDir(), "none"), t.TempDir(), "RWQ"} {
		if _, err := ParsePublicKey(path); err == nil {
			t.Errorf("%s was taken for a public key", path)
		}
	}
	if _, err := ReadSecretKey(base+".pub", ""); err == nil {
		t.Error("a public key was taken for a secret one")
	}
}

// A password costs scrypt's second and 1 GB, so all that has to do with one is in this test.
func TestPassword(t *testing.T) {
	if testing.Short() {
		t.Skip("needs 1 GB of memory for some seconds")
	}
	_, secret := newKey(t)
	base := filepath.Join(t.TempDir(), "release")
	if err := secret.WriteFiles(base, "a password"); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadSecretKey(base+".key", "a password"); err != nil || !got.key.Equal(secret.key) {
		t.Errorf("read back: %v", err)
	}
	for _, password := range []string{"", "another"} {
		if _, err := ReadSecretKey(base+".key", password); !errors.Is(err, ErrPassword) {
			t.Errorf("password %q: %v", password, err)
		}
	}
}

// The program minisign verifies the manifest of an unpacked bundle, and refuses it once it is changed.
func TestMinisignVerifies(t *testing.T) {
	program, err := exec.LookPath("minisign")
	if err != nil {
		t.Skip("needs the program minisign (Debian: apt-get install minisign)")
	}
	public, secret := newKey(t)
	m, parts := sample()
	b, err := Read(encode(t, m, parts, secret))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "golden"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := b.Files(func(name string, data []byte) error {
		return os.WriteFile(filepath.Join(dir, name), data, 0o600)
	}); err != nil {
		t.Fatal(err)
	}
	verify := func() (string, error) {
		cmd := exec.Command(program, "-Vm", "manifest.json", "-P", public.String())
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := verify(); err != nil || !strings.Contains(out, "Signature and comment signature verified") {
		t.Errorf("minisign: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), append(b.text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := verify(); err == nil {
		t.Errorf("minisign takes a manifest with a line more:\n%s", out)
	}
	// And the other way round: a key that minisign made signs a bundle.
	cmd := exec.Command(program, "-GWp", "theirs.pub", "-s", "theirs.key")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("minisign makes no key: %v\n%s", err, out)
	}
	theirs, err := ReadSecretKey(filepath.Join(dir, "theirs.key"), "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParsePublicKey(filepath.Join(dir, "theirs.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := Read(encode(t, m, parts, theirs)); err != nil || b.Verify([]PublicKey{key}) != nil {
		t.Errorf("a bundle signed with minisign's key is refused: %v", err)
	}
}
