package capture

// PID is the capture process's.
func (s *Source) PID() int { return s.process.cmd.Process.Pid }

// Beginning is what a capture process says before its first frame.
func Beginning() []byte { return append(said(header{kind: hello}), said(header{kind: opened})...) }

// FrameHeader is what comes before a frame's pixels.
func FrameHeader(width, height, length uint32) []byte {
	return said(header{kind: frame, width: width, height: height, length: length, seq: 1, captured: monotonic()})
}

func said(h header) []byte {
	var b [headerSize]byte
	h.put(&b)
	return b[:]
}
