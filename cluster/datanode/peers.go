package datanode

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/zankv/zankv/cluster/meta"
)

const (
	// peerTimeout bounds one question to another node: an entry must be committed within it.
	peerTimeout = 5 * time.Second
	// maxPeerReply bounds what is read of its answer.
	maxPeerReply = 64 << 10
)

// newPeers makes the client for other nodes' HTTP APIs. They answer for themselves: a redirection isn't followed, nor is a proxy asked.
func newPeers() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
			MaxIdleConnsPerHost: rolesAtOnce, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: peerTimeout, MaxResponseHeaderBytes: maxPeerReply,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// askPeer asks another node's HTTP API, and decodes its answer into got.
func (n *Node) askPeer(ctx context.Context, method string, node *meta.NodeView, path string, query url.Values, got any) error {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	at := url.URL{Scheme: "http", Host: net.JoinHostPort(node.BroadcastAddr, strconv.Itoa(node.HTTPPort)), Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, at.String(), nil)
	if err != nil {
		return err
	}
	resp, err := n.peers.Do(req)
	if err != nil {
		return fmt.Errorf("node %d: %w", node.ID, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPeerReply))
	if err != nil {
		return fmt.Errorf("node %d: %s: %w", node.ID, path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("node %d: %s: %s: %.400s", node.ID, path, resp.Status, body)
	}
	if err := json.Unmarshal(body, got); err != nil {
		return fmt.Errorf("node %d: %s: its answer can't be read: %w", node.ID, path, err)
	}
	return nil
}
