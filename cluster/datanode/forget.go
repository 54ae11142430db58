package datanode

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/replay/equal"
	"github.com/zankv/zankv/replay/replaypb"
)

// forgetReply says what was known of a cluster and is no more.
type forgetReply struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	// Senders are places of partitions of its, Peers partitions here that kept tombstones for it.
	Senders int    `json:"senders"`
	Peers   int    `json:"peers"`
	Message string `json:"message,omitempty"`
}

// forget answers POST /syncer/forget/<cluster>?namespace=<name>, on any node: another cluster that is no more. Nothing waits for it any longer, and
// should it come back it needs a full sync. Its syncers should have ended: one that runs makes itself known again. It can be repeated.
func (n *Node) forget(w http.ResponseWriter, req *http.Request) {
	answer := forgetReply{Cluster: req.PathValue("cluster"), Namespace: req.URL.Query().Get("namespace")}
	if err := errors.Join(meta.ValidateClusterID(answer.Cluster), meta.ValidateNamespaceName(answer.Namespace)); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if err := n.forgetCluster(req.Context(), &answer); err != nil {
		answer.Message = fmt.Sprintf("not all partitions have forgotten it; repeat the request: %v", err)
		replyStatus(w, initStatus(err), answer)
		return
	}
	n.opts.Logger.Info("a cluster was forgotten", "cluster", answer.Cluster, "namespace", answer.Namespace, "senders", answer.Senders, "peers", answer.Peers)
	reply(w, answer)
}

func (n *Node) forgetCluster(ctx context.Context, answer *forgetReply) (err error) {
	here, err := n.dialSelf()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, here.Close()) }()
	places, err := here.Places(ctx, answer.Namespace)
	if err != nil {
		return err
	}
	for number, p := range places {
		if err := answer.forgetAt(ctx, here, uint32(number), p); err != nil {
			return fmt.Errorf("partition %s: %w", partitionName(answer.Namespace, uint32(number)), err)
		}
	}
	return nil
}

// forgetAt takes what a partition knows of the cluster out.
func (a *forgetReply) forgetAt(ctx context.Context, here *equal.Cluster, number uint32, p *replaypb.PlacesResponse) error {
	client, _, err := here.Leader(ctx, a.Namespace, number)
	if err != nil {
		return err
	}
	for _, s := range p.Senders {
		if s.Sender.GetCluster() != a.Cluster {
			continue
		}
		if _, err := client.Forget(ctx, &replaypb.ForgetRequest{Namespace: a.Namespace, Partition: number, Sender: s.Sender}); err != nil {
			return err
		}
		a.Senders++
	}
	for _, peer := range p.Peers {
		if peer.Cluster != a.Cluster {
			continue
		}
		if _, err := client.Confirm(ctx, &replaypb.ConfirmRequest{Namespace: a.Namespace, Partition: number, Peer: a.Cluster, Remove: true}); err != nil {
			return err
		}
		a.Peers++
	}
	return nil
}
