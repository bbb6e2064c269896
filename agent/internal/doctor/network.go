package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// network explains why somebody on the network is not reached.
type network struct {
	host, address string
	key           string // of the configuration that names the address
	service       string // what has to be switched on there
}

func (n network) explain(err error) (what, remedy string) {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("the name %s is not known", n.host),
			fmt.Sprintf("correct it in %s, or write the numeric address; `getent hosts %s` asks the same", n.key, n.host)
	case errors.As(err, &dns):
		return fmt.Sprintf("no name server tells the address of %s", n.host),
			"see that the board is on the network (`ip addr`) and has a name server (`resolvectl status`), or write the numeric address in " + n.key
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("%s refuses connections at this port (%s)", n.host, n.address),
			fmt.Sprintf("switch on %s, or correct the port in %s", n.service, n.key)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fmt.Sprintf("there is no way to %s", n.address),
			"see that the board is on the network (`ip addr`, `ip route`), and that the other one is switched on"
	case timedOut(err) && errors.As(err, &op) && op.Op != "dial":
		return fmt.Sprintf("%s takes the connection, but says nothing", n.address), fmt.Sprintf("correct the port in %s, or restart it", n.key)
	case timedOut(err):
		return fmt.Sprintf("%s does not answer within %v", n.address, connectTime),
			fmt.Sprintf("see that it is switched on (`ping %s`) and that no firewall is between, or correct %s", n.host, n.key)
	}
	return fmt.Sprintf("%s is not reached: %s", n.address, reason(err)), "see that it works with another program, or correct " + n.key
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
