package feeds

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cli/internal/table"
)

// Consumer is one that is registered in a partition, as `--json` shows it.
type Consumer struct {
	Partition  uint32         `json:"partition"`
	ID         string         `json:"id"`
	Position   event.Position `json:"position"`
	LagEntries uint64         `json:"lag_entries"`
	LagBytes   uint64         `json:"lag_bytes"`
	LagSeconds float64        `json:"lag_seconds"`
	// What may yet come to pass until its place is lost, with the first of them; HeadroomDiskBytes is -1 if the node's log has no cap.
	HeadroomBytes     int64   `json:"headroom_bytes"`
	HeadroomSeconds   float64 `json:"headroom_seconds"`
	HeadroomDiskBytes int64   `json:"headroom_disk_bytes"`
	// Lost says that its place is gone from the leader's log.
	Lost bool `json:"lost"`
}

// ConsumerOf makes one.
func ConsumerOf(partition uint32, c feed.Consumer) Consumer {
	return Consumer{
		Partition: partition, ID: c.ID, Position: c.Position, LagEntries: c.LagEntries, LagBytes: c.LagBytes, LagSeconds: c.Lag.Seconds(),
		HeadroomBytes: c.HeadroomBytes, HeadroomSeconds: c.Headroom.Round(time.Millisecond).Seconds(), HeadroomDiskBytes: c.HeadroomDisk, Lost: c.Lost,
	}
}

// Consumers shows consumers, one a line.
func Consumers(w io.Writer, all []Consumer) error {
	t := table.New(">PARTITION", "CONSUMER", ">POSITION", ">ENTRIES", ">BYTES", ">LAG", "HEADROOM")
	for _, c := range all {
		t.Row(fmt.Sprint(c.Partition), c.ID, c.Position.String(), fmt.Sprint(c.LagEntries), table.Bytes(c.LagBytes), table.Seconds(c.LagSeconds), c.headroom())
	}
	_, err := t.WriteTo(w)
	return err
}

func (c *Consumer) headroom() string {
	if c.Lost {
		return "lost"
	}
	parts := []string{table.Bytes(max(c.HeadroomBytes, 0)), table.Seconds(max(c.HeadroomSeconds, 0))}
	if c.HeadroomDiskBytes >= 0 {
		parts = append(parts, table.Bytes(c.HeadroomDiskBytes)+" of the node's log")
	}
	return strings.Join(parts, ", ")
}
