package capture_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// rtspCamera is as much of a network camera as FFmpeg needs: RTSP (RFC 2326) with motion JPEG (RFC 2435) inside the same
// TCP connection. No library for it is at hand everywhere, and a test needs six requests of it.
type rtspCamera struct {
	next func() []byte // the next picture, a JPEG of Go's encoder; nil: none for now
}

// serve answers one connection until it ends.
func (c rtspCamera) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		method, cseq, err := readRequest(r)
		if err != nil {
			return
		}
		headers, body := "", ""
		switch method {
		case "OPTIONS":
			headers = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
		case "DESCRIBE":
			body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track1\r\n"
			headers = "Content-Type: application/sdp\r\n"
		case "SETUP":
			headers = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
		case "PLAY":
			headers = "Session: 1\r\n"
		}
		fmt.Fprintf(conn, "RTSP/1.0 200 OK\r\nCSeq: %s\r\n%sContent-Length: %d\r\n\r\n%s", cseq, headers, len(body), body)
		if method == "PLAY" {
			c.play(conn)
			return
		}
	}
}

func readRequest(r *bufio.Reader) (method, cseq string, err error) {
	for first := true; ; first = false {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		line = strings.TrimSpace(line)
		if first {
			method, _, _ = strings.Cut(line, " ")
		}
		if value, ok := strings.CutPrefix(line, "CSeq: "); ok {
			cseq = value
		}
		if line == "" {
			return method, cseq, nil
		}
	}
}

// play sends pictures, 20 a second, until the connection ends.
func (c rtspCamera) play(conn net.Conn) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	sequence := uint16(0)
	for n := uint32(0); ; n++ {
		<-ticker.C
		picture := c.next()
		if picture == nil {
			if _, err := conn.Write(nil); err != nil {
				return
			}
			continue
		}
		width, height, tables, scan, err := dissect(picture)
		if err != nil {
			return
		}
		const most = 1400
		for offset := 0; offset < len(scan); offset += most {
			part := scan[offset:min(len(scan), offset+most)]
			p := []byte{'$', 0, 0, 0, 0x80, 26}
			if offset+most >= len(scan) {
				p[5] |= 0x80 // the last packet of a picture
			}
			p = binary.BigEndian.AppendUint16(p, sequence)
			p = binary.BigEndian.AppendUint32(p, n*4500) // 90 kHz
			p = binary.BigEndian.AppendUint32(p, 1)
			p = append(p, 0, byte(offset>>16), byte(offset>>8), byte(offset), 1, 255, byte(width/8), byte(height/8))
			if offset == 0 {
				p = append(p, 0, 0, 0, byte(len(tables)))
				p = append(p, tables...)
			}
			p = append(p, part...)
			binary.BigEndian.PutUint16(p[2:], uint16(len(p)-4))
			if _, err := conn.Write(p); err != nil {
				return
			}
			sequence++
		}
	}
}

// dissect takes a JPEG apart: its size, its two quantisation tables and the bytes of its scan.
func dissect(jpeg []byte) (width, height int, tables, scan []byte, err error) {
	for at := 2; at+4 <= len(jpeg); {
		length := int(binary.BigEndian.Uint16(jpeg[at+2:]))
		segment := jpeg[at+4 : at+2+length]
		switch jpeg[at+1] {
		case 0xDB:
			for ; len(segment) >= 65; segment = segment[65:] {
				tables = append(tables, segment[1:65]...)
			}
		case 0xC0:
			height, width = int(binary.BigEndian.Uint16(segment[1:])), int(binary.BigEndian.Uint16(segment[3:]))
		case 0xDA:
			return width, height, tables, bytes.TrimSuffix(jpeg[at+2+length:], []byte{0xFF, 0xD9}), nil
		}
		at += 2 + length
	}
	return 0, 0, nil, nil, errors.New("no scan")
}

// host is a machine on the network that can be switched off and on again.
type host struct {
	address string
	serve   func(net.Conn)

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
	running  sync.WaitGroup
}

func (h *host) on() error {
	l, err := net.Listen("tcp", h.address)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listener, h.address = l, l.Addr().String() // the same one next time
	h.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns = append(h.conns, conn)
			h.mu.Unlock()
			h.running.Go(func() { h.serve(conn) })
		}
	})
	return nil
}

func (h *host) off() {
	h.mu.Lock()
	_ = h.listener.Close()
	for _, conn := range h.conns {
		_ = conn.Close()
	}
	h.conns = nil
	h.mu.Unlock()
	h.running.Wait()
}
