// Package remotepb is the generated code of remote.proto.
package remotepb

//go:generate sh -c "protoc -I .. --go_out=.. --go_opt=module=github.com/zankv/zankv/cdc/changefeed/remote --go-grpc_out=.. --go-grpc_opt=module=github.com/zankv/zankv/cdc/changefeed/remote --plugin=protoc-gen-go=$(go tool -n protoc-gen-go) --plugin=protoc-gen-go-grpc=$(go tool -n protoc-gen-go-grpc) remote.proto"
