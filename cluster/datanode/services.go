package datanode

import "google.golang.org/grpc"

// maxMessage bounds one gRPC message: the largest command, or the largest event, with room around it.
const maxMessage = 96 << 20

// services are the node's gRPC services.
func (n *Node) services() *grpc.Server {
	s := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))
	n.front.RegisterForward(s)
	return s
}
