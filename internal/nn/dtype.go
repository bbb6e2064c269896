package nn

import (
	"encoding/binary"
	"math"
)

// DType is how a file stores real numbers, by the name the safetensors format has for it.
type DType string

// The types that can be read; all become float32.
const (
	F16  DType = "F16"  // IEEE half precision
	BF16 DType = "BF16" // the upper half of a float32
	F32  DType = "F32"
	F64  DType = "F64"
)

// Size returns the bytes of one number, or 0 for a type that is none of these.
func (d DType) Size() int {
	switch d {
	case F16, BF16:
		return 2
	case F32:
		return 4
	case F64:
		return 8
	}
	return 0
}

// Decode reads little-endian numbers; bytes beyond a multiple of Size are left out.
func (d DType) Decode(raw []byte) []float32 {
	size := d.Size()
	if size == 0 {
		return nil
	}
	out := make([]float32, len(raw)/size)
	for i := range out {
		at := raw[i*size:]
		switch d {
		case F16:
			out[i] = fromHalf(binary.LittleEndian.Uint16(at))
		case BF16:
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(at)) << 16)
		case F32:
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(at))
		case F64:
			out[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(at)))
		}
	}
	return out
}

// The exponents' biases, and the bits of a half's fraction.
const (
	halfBias, singleBias = 15, 127
	halfFraction         = 10
	singleFraction       = 23
)

// fromHalf returns the value of an IEEE 754 half-precision number.
func fromHalf(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, int(h>>halfFraction&0x1f), uint32(h&0x3ff)
	switch exponent {
	case 0: // zero and subnormal: fraction · 2⁻²⁴
		v := float32(fraction) / (1 << 24)
		return math.Float32frombits(sign | math.Float32bits(v))
	case 0x1f: // infinite, or no number
		return math.Float32frombits(sign | 0xff<<singleFraction | fraction<<(singleFraction-halfFraction))
	}
	return math.Float32frombits(sign | uint32(exponent-halfBias+singleBias)<<singleFraction | fraction<<(singleFraction-halfFraction))
}

// toHalf returns the half-precision number nearest to v, the even one of two that are as near.
func toHalf(v float32) uint16 {
	bits := math.Float32bits(v)
	sign := uint16(bits >> 31 << 15)
	magnitude := math.Abs(float64(v))
	switch {
	case math.IsNaN(magnitude):
		return sign | 0x7e00
	case magnitude >= 65520: // half a step above the largest
		return sign | 0x7c00
	case magnitude < 1.0/(1<<14): // subnormal: multiples of 2⁻²⁴; rounding up to 2⁻¹⁴ gives its bits, too
		return sign | uint16(math.RoundToEven(magnitude*(1<<24)))
	}
	fraction, exponent := math.Frexp(magnitude) // fraction in [½, 1)
	scaled := uint16(math.RoundToEven(fraction * (1 << (halfFraction + 1))))
	// A fraction that rounds up to 1 carries into the exponent, as it should.
	return sign | uint16(exponent-1+halfBias)<<halfFraction + (scaled - 1<<halfFraction)
}
