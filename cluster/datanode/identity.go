package datanode

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/zankv/zankv/cluster/meta"
)

// lockDir takes the data folder for this process, until the file is closed or the process ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock of the data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("data folder %s is in use by another process: %w", dir, err), f.Close())
	}
	return f, nil
}

// identify reads the node's id and cluster from the data folder, or has an id allocated for a new one.
//
// The file myid holds "<id> <cluster id>\n".
func identify(ctx context.Context, dir, cluster string, registry meta.Store) (meta.NodeID, error) {
	path := filepath.Join(dir, "myid")
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		return parseIdentity(path, string(data), cluster)
	case !errors.Is(err, os.ErrNotExist):
		return 0, fmt.Errorf("node id: %w", err)
	}
	id, err := registry.AllocateNodeID(ctx)
	if err != nil {
		return 0, fmt.Errorf("allocate a node id: %w", err)
	}
	if err := writeDurably(dir, "myid", fmt.Sprintf("%d %s\n", id, cluster)); err != nil {
		return 0, fmt.Errorf("node id: %w", err)
	}
	return id, nil
}

func parseIdentity(path, text, cluster string) (meta.NodeID, error) {
	number, of, _ := strings.Cut(strings.TrimSpace(text), " ")
	id, err := strconv.ParseUint(number, 10, 64)
	if err != nil || id == 0 {
		return 0, fmt.Errorf("node id in %s: %q is no id", path, text)
	}
	if of != cluster {
		return 0, fmt.Errorf("%s belongs to a node of cluster %q, not of %q", filepath.Dir(path), of, cluster)
	}
	return meta.NodeID(id), nil
}

// writeDurably writes a small file under a temporary name and renames it when it is on disk.
func writeDurably(dir, name, text string) error {
	temp := filepath.Join(dir, name+".new")
	f, err := os.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(dir, name)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
