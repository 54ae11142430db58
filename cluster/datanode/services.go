package datanode

import (
	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/feed"
)

// maxMessage bounds one gRPC message: the largest command, or the largest event, with room around it.
const maxMessage = 256 << 20

// services are the node's gRPC services.
func (n *Node) services() *grpc.Server {
	s := grpc.NewServer(append(feed.ServerOptions(), grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))...)
	n.front.RegisterForward(s)
	n.feed.Register(s)
	n.replay.Register(s)
	if n.cdc.admin != nil {
		n.cdc.admin.Register(s)
		n.cdc.remote.Register(s)
	}
	return s
}
