package doctor

import (
	"context"
	"net/url"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/internal/redact"
)

func (p *patient) lookAtBroker(ctx context.Context, r *report) {
	m := p.cfg.MQTT
	if m.PasswordFile != "" && m.Password == "" {
		r.warn("see to the password first (permissions)", "not tried, for want of its password")
		return
	}
	client := p.cfg.Client()
	client.RenewPassword, client.ConnectTimeout = nil, connectTime // it has just been read, with the rights of the service
	if _, err := client.TLS.Config(); err != nil {
		what, remedy := mqtt.Explain(err, m.Username)
		r.fault(remedy, "mqtt.tls: %s", what)
		return
	}
	for i, broker := range m.Brokers() {
		started := p.Now()
		client.Broker = broker
		err := p.Probe(ctx, client)
		if err == nil {
			r.ok("%s lets the agent in, after %d ms", redact.URL(broker), p.Now().Sub(started).Milliseconds())
			continue
		}
		what, remedy := ExplainBroker(m, i, err)
		if i == 0 {
			r.fault(remedy, "%s", what)
		} else {
			r.warn(remedy, "%s", what)
		}
	}
}

// ExplainBroker says for people what an error on the way to a configured broker, of that place in config.MQTT.Brokers,
// means, and what to do about it.
func ExplainBroker(m config.MQTT, place int, err error) (what, remedy string) {
	broker := m.Brokers()[place]
	address := redact.URL(broker)
	if what, remedy := mqtt.Explain(err, m.Username); what != "" {
		return address + ": " + what, remedy
	}
	n := network{address: address, key: "mqtt.broker", service: "the broker there (`sudo systemctl start mosquitto`), and let it listen on more than localhost"}
	if place > 0 {
		n.key = "mqtt.fallbacks"
	}
	if u, err := url.Parse(broker); err == nil {
		n.host = u.Hostname()
	}
	return n.explain(err)
}
