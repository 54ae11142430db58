// Package amend settles a row of the conflict log: what one of the two sides has is written as a new change, by the Redis commands that a person would take.
//
// Model. A row that was decided by itself (a string, a field, an expiry, a member where the timestamp rule holds for it) is settled by the command of its
// register, with the content that the row shows. A key that has diverged, and what was held back of one, is settled by writing the whole key as it is now in the
// cluster that was chosen: nothing smaller brings two clusters together again, since all else is decided by what was there before.
//
// Invariants:
//
//  1. Nothing is written unless the key is still as the conflict left it (or that is waived): it is watched from the look at it until the write.
//  2. Done twice it is done once: what is chosen and stands there already isn't written again.
//  3. A row without its content (above the limit, only a digest is kept) is settled only by content of that digest.
package amend

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/conflict"
)

// Side is one of the two that met.
type Side uint8

const (
	Here  Side = 1 // what was stored in the cluster of the conflict log
	There Side = 2 // what came in
)

// String is the side's name on the command line.
func (s Side) String() string {
	if s == Here {
		return "here"
	}
	return "there"
}

// Options say what to settle.
type Options struct {
	Row  *peers.Row
	Side Side
	// Here is a client of the cluster whose log has the row. Other opens one of the cluster that the change came from; nil: it wasn't named. Who
	// opened it closes it.
	Here  *redis.Client
	Other func(context.Context) (*redis.Client, error)
	// Force writes, whatever has become of the key since.
	Force bool
	// DryRun looks and plans only.
	DryRun bool
}

// Result is what was done, or would be.
type Result struct {
	// Command is what is written; nil: nothing had to be. Made is written before it, in the same transaction, if it isn't nil.
	Made, Command *Command
	Written       bool
}

// Apply settles a row. The row itself stays: who calls removes it. A failure.Refused says that the key isn't as the conflict left it, or that the content
// can't be had; a failure.Conflict that it was changed at that moment.
func Apply(ctx context.Context, o Options) (*Result, error) {
	var result *Result
	err := o.Here.Watch(ctx, func(tx *redis.Tx) error {
		s := &settling{Options: o, tx: tx, here: reader{tx}}
		cmd, err := s.plan(ctx)
		if err != nil {
			return err
		}
		result = &Result{Made: s.made, Command: cmd}
		if cmd == nil || o.DryRun {
			return nil
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			if s.made != nil {
				p.Do(ctx, s.made.args()...)
			}
			return p.Do(ctx, cmd.args()...).Err()
		})
		result.Written = err == nil
		return err
	}, string(o.Row.Key()))
	if err != nil {
		return nil, explain(err, o.Row)
	}
	return result, nil
}

// onlySyncer begins the reply to a write while clients may not write.
const onlySyncer = "The cluster is only allowing syncer write"

func explain(err error, row *peers.Row) error {
	if _, ok := errors.AsType[*failure.Failure](err); ok {
		return err
	}
	what := fmt.Sprintf("key %q", clip(row.Key()))
	switch {
	case errors.Is(err, redis.TxFailedErr):
		return failure.New(failure.Conflict, "look at it (conflicts show) and decide again", "%s was written by somebody else at this moment: nothing was changed", what)
	case strings.Contains(err.Error(), onlySyncer):
		return failure.New(failure.Refused, "settle it in the cluster that clients write to (its conflict log, or its keys), or let clients write here first: POST /synceronly?enable=false",
			"%s: clients may not write to this cluster now", what)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// settling is one row under way.
type settling struct {
	Options
	tx   *redis.Tx
	here reader
	made *Command // Result.Made
}

// Whole says whether a row is settled by writing the whole key.
func Whole(row *peers.Row) bool {
	rec := row.Record
	if rec == nil {
		return true
	}
	timed := rec.Rule == conflict.RuleTimestamp && rec.Register != conflict.RegisterKey
	return rec.Action == conflict.Diverge && !timed || rec.There.Type == event.TypeBitmap && rec.Register == conflict.RegisterElement
}

// plan is the command that settles the row; nil: none is needed.
func (s *settling) plan(ctx context.Context) (*Command, error) {
	if Whole(s.Row) {
		return s.planWhole(ctx)
	}
	rec := s.Row.Record
	chosen, stands, standing := &rec.Here, &rec.Here, Here
	if s.Side == There {
		chosen = &rec.There
	}
	if rec.Action == conflict.Overwrite {
		stands, standing = &rec.There, There
	}
	now, err := s.here.register(ctx, rec)
	switch {
	case isWrongType(err) && !s.Force:
		return nil, s.changed("it has another type now")
	case err != nil && !isWrongType(err):
		return nil, err
	}
	if rec.Register == conflict.RegisterExpiry && !now.exists {
		return nil, failure.New(failure.Refused, "remove the row: conflicts purge "+rec.ID.String(), "key %q isn't there any more: it can't get an expiry", clip(rec.Key))
	}
	same := err == nil && now.is(stands, rec)
	if !s.Force {
		switch {
		case err == nil && now.is(chosen, rec) && complete(chosen, rec) && now.expiryFits(chosen, rec):
			return nil, nil
		case !same && rec.Reason != conflict.Partly:
			return nil, s.changed(fmt.Sprintf("%s is there now, where the conflict left %s", now.text(rec), sideText(stands, rec)))
		case s.Side == standing && rec.Reason != conflict.Partly:
			return nil, nil
		}
	}
	content, err := s.content(ctx, chosen, now, same && s.Side == standing)
	if err != nil {
		return nil, err
	}
	return s.command(rec, content)
}

func (s *settling) changed(how string) error {
	return failure.New(failure.Refused, "look at it, and add --force to write all the same; or remove the row: conflicts purge "+s.Row.ID().String(),
		"key %q was changed since: %s", clip(s.Row.Key()), how)
}

// content is that of a side: what the row shows, or what there is of it in full.
func (s *settling) content(ctx context.Context, side *conflict.Side, now content, standing bool) (content, error) {
	rec := s.Row.Record
	switch {
	case complete(side, rec):
		return contentOf(side), nil
	case standing:
		return now, nil
	case s.Other == nil:
		return content{}, failure.New(failure.Refused, "name the other cluster, --other HOST:GRPC: it is taken from there, if it is still the same",
			"key %q: the row doesn't have what side %s had in full (%d bytes)", clip(rec.Key), s.Side, side.Size)
	}
	other, err := s.Other(ctx)
	if err != nil {
		return content{}, err
	}
	got, err := reader{other}.register(ctx, rec)
	if err != nil {
		return content{}, fmt.Errorf("the other cluster: %w", err)
	}
	if !got.is(side, rec) && !s.Force {
		return content{}, failure.New(failure.Refused, "look at it there; --force takes what is there now",
			"key %q: the other cluster doesn't have what side %s had, %s, but %s", clip(rec.Key), s.Side, sideText(side, rec), got.text(rec))
	}
	return got, nil
}

// command writes the register.
func (s *settling) command(rec *conflict.Record, c content) (*Command, error) {
	key := rec.Key
	switch {
	case rec.Register == conflict.RegisterElement:
		return elementCommand(rec, c), nil
	case rec.Register == conflict.RegisterExpiry && c.expireAt == 0:
		return commandOf("PERSIST", key), nil
	case c.expired() && !s.Force:
		return nil, failure.New(failure.Refused, "--force removes the key", "key %q: what side %s had has expired by now (at %s)", clip(key), s.Side, instant(c.expireAt))
	case rec.Register == conflict.RegisterExpiry:
		return commandOf("PEXPIREAT", key, decimal(c.expireAt)), nil
	case !c.exists || c.expired():
		return commandOf("DEL", key), nil
	case c.kind == event.TypeString && rec.Op == event.OpValue:
		return commandOf("SET", key, c.value, "KEEPTTL"), nil
	case c.kind == event.TypeString && c.expireAt != 0:
		return commandOf("SET", key, c.value, "PXAT", decimal(c.expireAt)), nil
	case c.kind == event.TypeString:
		return commandOf("SET", key, c.value), nil
	}
	return restore(key, c.payload(), c.expireAt), nil
}

func elementCommand(rec *conflict.Record, c content) *Command {
	key, sub := rec.Key, rec.Sub
	switch t := rec.There.Type; {
	case t == event.TypeHash && c.exists:
		return commandOf("HSET", key, sub, c.value)
	case t == event.TypeHash:
		return commandOf("HDEL", key, sub)
	case t == event.TypeSet && c.exists:
		return commandOf("SADD", key, sub)
	case t == event.TypeSet:
		return commandOf("SREM", key, sub)
	case c.exists:
		return commandOf("ZADD", key, score(c.score), sub)
	}
	return commandOf("ZREM", key, sub)
}

// planWhole writes the whole key as it is in the chosen cluster.
func (s *settling) planWhole(ctx context.Context) (*Command, error) {
	if !s.Force {
		if err := s.untouched(ctx); err != nil {
			return nil, err
		}
	}
	from := s.here
	if s.Side == There {
		if s.Other == nil {
			return nil, failure.New(failure.Refused, "name it: --other HOST:GRPC", "key %q has diverged: what side there has, all of it, is in the other cluster only", clip(s.Row.Key()))
		}
		other, err := s.Other(ctx)
		if err != nil {
			return nil, err
		}
		from = reader{other}
	}
	payload, expireAt, err := from.dump(ctx, s.Row.Key())
	if err != nil {
		return nil, fmt.Errorf("reading the whole key on side %s: %w", s.Side, err)
	}
	if payload == nil {
		return s.removal(ctx)
	}
	return restore(s.Row.Key(), payload, expireAt), nil
}

// removal removes the whole key. Where it isn't there, DEL would be no change, and the other cluster would keep what it has: the key is made first, in the
// same transaction, so that there is a removal to be replayed.
func (s *settling) removal(ctx context.Context) (*Command, error) {
	key := s.Row.Key()
	there, err := s.here.Do(ctx, "EXISTS", key).Int64()
	if err != nil {
		return nil, fmt.Errorf("whether the key is there: %w", err)
	}
	if there == 0 {
		s.made = commandOf("SET", key, "")
	}
	return commandOf("DEL", key), nil
}

// untouched refuses a key that was written since the last conflict, as far as the time of its last write, to the second, says so.
func (s *settling) untouched(ctx context.Context) error {
	var since int64
	if d := s.Row.Diverged; d != nil {
		since = d.LastAt
	} else {
		since = s.Row.Record.DecidedAt
	}
	written, err := s.here.lastWritten(ctx, s.Row.Key())
	if err == nil && written.After(time.Unix(0, since)) {
		err = s.changed(fmt.Sprintf("it was written here at about %s, the conflict was at %s", written.UTC().Format(time.RFC3339), time.Unix(0, since).UTC().Format(time.RFC3339)))
	}
	return err
}
