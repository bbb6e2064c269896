package brokertest

import (
	"net"
	"sync"
)

// door is a listener that knows which of its connections the broker has taken up. The broker counts them in a goroutine
// of each, which races with its Close while one has been accepted and not counted yet; it reads from a connection only
// after counting it.
type door struct {
	net.Listener
	pending sync.WaitGroup
}

func (d *door) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	d.pending.Add(1)
	return &visitor{Conn: conn, done: sync.OnceFunc(d.pending.Done)}, nil
}

// shut lets nobody in any more and waits for those who are on their way.
func (d *door) shut() {
	_ = d.Close()
	d.pending.Wait()
}

type visitor struct {
	net.Conn
	done func()
}

func (v *visitor) Read(p []byte) (int, error) {
	v.done()
	return v.Conn.Read(p)
}

func (v *visitor) Close() error {
	v.done()
	return v.Conn.Close()
}
