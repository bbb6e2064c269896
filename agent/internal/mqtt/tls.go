package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// ErrTLSFiles says that a file of a TLS connection cannot be read, or does not hold what it should.
var ErrTLSFiles = errors.New("the TLS files are no good")

// TLSFiles names the files of a TLS connection; empty ones are not used.
type TLSFiles struct {
	CA        string // certificates to trust instead of the system's
	Cert, Key string // of this client
}

// Config reads the files. It returns nil when none is named: the system's trust is used then. An error is ErrTLSFiles;
// half a file, while somebody writes it, gives one too.
func (f TLSFiles) Config() (*tls.Config, error) {
	if f == (TLSFiles{}) {
		return nil, nil //nolint:nilnil // no files, no configuration: documented
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("%w: read CA certificates: %w", ErrTLSFiles, err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: %s holds no PEM certificates", ErrTLSFiles, f.CA)
		}
	}
	if f.Cert != "" || f.Key != "" {
		if f.Cert == "" || f.Key == "" {
			return nil, fmt.Errorf("%w: a client certificate and its key are needed together", ErrTLSFiles)
		}
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("%w: client certificate %s, key %s: %w", ErrTLSFiles, f.Cert, f.Key, err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}
