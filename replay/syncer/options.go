package syncer

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/worker"
)

// Options are a Syncer's. Source and Target are required.
type Options struct {
	// Source and Target are gRPC addresses, host:port, of any nodes of the two clusters.
	Source, Target []string
	// Namespaces are those to carry; none: all that both clusters have, also those that come later.
	Namespaces []string
	// Name is what people see as the owner of partitions: each process should have another one. "" is made of the host's name and the process's number.
	Name string
	// Bandwidth bounds what this process sends of each namespace, in bytes a second as they are on the wire; Compression is zstd or none. What is nil isn't said:
	// a definition that is there keeps what it has.
	Bandwidth   *int64
	Compression *string
	// MemoryBytes is what may be held of changes on their way (256 MiB).
	MemoryBytes int64
	// Redefine has definitions changed that say something else.
	Redefine bool
	// Version is the program's, for people.
	Version string
	// Dial are added to the gRPC options; without any, connections are not encrypted.
	Dial   []grpc.DialOption
	Logger *slog.Logger
	// LookEvery is how often it is looked for new namespaces (5 s).
	LookEvery time.Duration
}

// MinMemory is the least that MemoryBytes may be.
const MinMemory = 8 << 20

func (o *Options) setDefaults() error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	o.Name = cmp.Or(o.Name, "syncer@"+host+":"+strconv.Itoa(os.Getpid()))
	o.MemoryBytes = cmp.Or(o.MemoryBytes, worker.DefaultBudget)
	o.LookEvery = cmp.Or(o.LookEvery, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case len(o.Source) == 0:
		return errors.New("syncer: no node of the source is named: name at least one, as 10.0.0.1:12382")
	case len(o.Target) == 0:
		return errors.New("syncer: no node of the target is named: name at least one, as 10.1.0.1:12382")
	case o.MemoryBytes < MinMemory:
		return fmt.Errorf("syncer: memory of %d bytes: want at least %d", o.MemoryBytes, MinMemory)
	case o.Bandwidth != nil && *o.Bandwidth < 0:
		return fmt.Errorf("syncer: bandwidth of %d bytes a second: want none below 0", *o.Bandwidth)
	case o.Compression != nil && !slices.Contains([]string{"zstd", "none"}, *o.Compression):
		return fmt.Errorf("syncer: compression %.20q: want zstd or none", *o.Compression)
	case len(o.Name) > 255:
		return fmt.Errorf("syncer: a name of %d bytes: want at most 255", len(o.Name))
	}
	return nil
}

// Kind is what is wrong with what a process was told to do.
type Kind uint8

const (
	// Unknown: a namespace isn't in one of the clusters.
	Unknown Kind = 1
	// Differs: a definition is there that says something else.
	Differs Kind = 2
	// SameCluster: source and target are one.
	SameCluster Kind = 3
	// Unreachable: nobody answered in time.
	Unreachable Kind = 4
)

// Error is why a process can't do what it was told.
type Error struct {
	Kind Kind
	// What happened and to what; Action is what to do.
	What, Action string
	Err          error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.What, e.Err)
	}
	return e.What
}

// Unwrap gives what is behind it.
func (e *Error) Unwrap() error { return e.Err }

// ChangefeedID is the id of the changefeed that carries a namespace to a target cluster.
func ChangefeedID(namespace, target string) string {
	id := "sync-" + namespace + "-to-" + target
	if len(id) <= changefeed.MaxID {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	digest := hex.EncodeToString(sum[:8])
	return id[:changefeed.MaxID-len(digest)-1] + "-" + digest
}
