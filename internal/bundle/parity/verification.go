package parity

import (
	"encoding/json"
	"fmt"
	"io"
)

// Signature says what is known of a bundle's signature.
type Signature string

// The findings about a signature.
const (
	Verified   Signature = "verified"   // by one of the keys given
	Unverified Signature = "unverified" // no key was given
	Unsigned   Signature = "none"
)

// Verification is what checking a bundle whole has found.
type Verification struct {
	Signature Signature    `json:"signature"`
	KeyID     string       `json:"key_id,omitempty"` // that the signature names
	Parity    *Certificate `json:"parity"`
}

// Write writes it for people, or as JSON, and then returns what is wrong with the parity, if anything is.
func (v *Verification) Write(w io.Writer, asJSON bool) error {
	var err error
	if asJSON {
		err = json.NewEncoder(w).Encode(v)
	} else if _, err = fmt.Fprintf(w, "signature    %s\n", v.signature()); err == nil {
		err = v.Parity.WriteText(w)
	}
	if err != nil {
		return err
	}
	return v.Parity.Err()
}

func (v *Verification) signature() string {
	switch v.Signature {
	case Verified:
		return "verified, of the key " + v.KeyID
	case Unverified:
		return "not verified: no key was given; it names the key " + v.KeyID
	}
	return string(Unsigned)
}
