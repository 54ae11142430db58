// Package forwardpb is generated from forward.proto: what nodes say to each other when one passes a client's commands on.
package forwardpb

//go:generate sh -c "protoc -I .. --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative --plugin=protoc-gen-go=$(go tool -n protoc-gen-go) --plugin=protoc-gen-go-grpc=$(go tool -n protoc-gen-go-grpc) forward.proto"
