// Package feedpb is generated from feed.proto, the feed's published service.
package feedpb

//go:generate sh -c "protoc -I .. --go_out=.. --go_opt=module=github.com/zankv/zankv/cdc/feed --go-grpc_out=.. --go-grpc_opt=module=github.com/zankv/zankv/cdc/feed --plugin=protoc-gen-go=$(go tool -n protoc-gen-go) --plugin=protoc-gen-go-grpc=$(go tool -n protoc-gen-go-grpc) feed.proto"
