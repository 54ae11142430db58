package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/segmentio/kafka-go/sasl"
)

// authError is a failure to agree on who we are, or on who the broker is.
type authError struct{ err error }

func (e *authError) Error() string { return e.err.Error() }
func (e *authError) Unwrap() error { return e.err }

// authenticate goes through SASL's dialogue; nothing if there is none to go through.
func (c *conn) authenticate(ctx context.Context, who SASL) error {
	m, err := who.mechanism()
	if err != nil {
		return &authError{err}
	}
	if m == nil {
		return nil
	}
	if err := c.dialogue(ctx, m); err != nil {
		var refused kafkaCode
		if errors.As(err, &refused) || ctx.Err() == nil {
			return &authError{fmt.Errorf("SASL %s as user %s: %w", m.Name(), who.User, err)}
		}
		return err
	}
	return nil
}

func (c *conn) dialogue(ctx context.Context, m sasl.Mechanism) error {
	answer, err := c.roundTrip(ctx, &saslhandshake.Request{Mechanism: m.Name()})
	if err != nil {
		return err
	}
	if r := answer.(*saslhandshake.Response); r.ErrorCode != 0 {
		return fmt.Errorf("%w (it has %v)", code(r.ErrorCode), r.Mechanisms)
	}
	host, port, err := net.SplitHostPort(c.addr)
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(port)
	session, data, err := m.Start(sasl.WithMetadata(ctx, &sasl.Metadata{Host: host, Port: n}))
	for done := false; err == nil && !done; {
		if answer, err = c.roundTrip(ctx, &saslauthenticate.Request{AuthBytes: data}); err != nil {
			return err
		}
		r := answer.(*saslauthenticate.Response)
		if r.ErrorCode != 0 {
			return fmt.Errorf("%w: %s", code(r.ErrorCode), r.ErrorMessage)
		}
		done, data, err = session.Next(ctx, r.AuthBytes)
	}
	return err
}
