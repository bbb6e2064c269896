package vision

import (
	"bytes"
	"encoding/binary"
)

// Values of the EXIF orientation tag (EXIF 2.32, tag 0x0112): what has to be done to see the picture upright.
const (
	upright         = 1
	mirrored        = 2
	turned180       = 3
	flipped         = 4
	transposed      = 5
	turnedRight     = 6 // the camera was turned left: turn the picture 90° clockwise
	antiTransposed  = 7
	turnedLeft      = 8
	orientationTag  = 0x0112
	exifShort       = 3
	markerAPP1      = 0xe1
	markerScan      = 0xda
	markerEnd       = 0xd9
	exifHeaderBytes = 6
)

// exifOrientation returns the orientation of a JPEG file, upright where there is none or the block makes no sense: a
// picture with odd metadata is still a picture.
func exifOrientation(data []byte) int {
	for at := 2; at+4 <= len(data); {
		if data[at] != 0xff {
			return upright
		}
		marker := data[at+1]
		if marker == 0xff { // fill byte
			at++
			continue
		}
		if marker == markerScan || marker == markerEnd {
			return upright
		}
		if marker == 0x01 || marker >= 0xd0 && marker <= 0xd8 { // stands alone, no length
			at += 2
			continue
		}
		length := int(binary.BigEndian.Uint16(data[at+2:]))
		end := at + 2 + length
		if length < 2 || end > len(data) {
			return upright
		}
		if body := data[at+4 : end]; marker == markerAPP1 && bytes.HasPrefix(body, []byte("Exif\x00\x00")) {
			return tiffOrientation(body[exifHeaderBytes:])
		}
		at = end
	}
	return upright
}

// tiffOrientation reads the tag from the first directory of a TIFF block.
func tiffOrientation(block []byte) int {
	if len(block) < 8 {
		return upright
	}
	var order binary.ByteOrder
	switch string(block[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return upright
	}
	at := uint64(order.Uint32(block[4:]))
	if at+2 > uint64(len(block)) {
		return upright
	}
	entries := uint64(order.Uint16(block[at:]))
	for i := range entries {
		entry := at + 2 + 12*i
		if entry+12 > uint64(len(block)) {
			return upright
		}
		e := block[entry : entry+12]
		if order.Uint16(e) != orientationTag {
			continue
		}
		if value := int(order.Uint16(e[8:])); order.Uint16(e[2:]) == exifShort && value >= upright && value <= turnedLeft {
			return value
		}
		return upright
	}
	return upright
}

// orient returns the frame turned and mirrored as the EXIF orientation says; the frame itself when it is upright.
func orient(f Frame, orientation int) Frame {
	if orientation <= upright || orientation > turnedLeft {
		return f
	}
	out := Frame{Width: f.Width, Height: f.Height, Pix: make([]byte, len(f.Pix))}
	if orientation >= transposed {
		out.Width, out.Height = f.Height, f.Width
	}
	right, bottom := f.Width-1, f.Height-1
	for y := range out.Height {
		row := out.row(y)
		for x := range out.Width {
			var sx, sy int
			switch orientation {
			case mirrored:
				sx, sy = right-x, y
			case turned180:
				sx, sy = right-x, bottom-y
			case flipped:
				sx, sy = x, bottom-y
			case transposed:
				sx, sy = y, x
			case turnedRight:
				sx, sy = y, bottom-x
			case antiTransposed:
				sx, sy = right-y, bottom-x
			case turnedLeft:
				sx, sy = right-y, x
			}
			s := 3 * (sy*f.Width + sx)
			copy(row[3*x:3*x+3], f.Pix[s:s+3])
		}
	}
	return out
}
