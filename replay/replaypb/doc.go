// Package replaypb is the generated code of replay.proto.
package replaypb

//go:generate sh -c "protoc -I .. --go_out=.. --go_opt=module=github.com/zankv/zankv/replay --go-grpc_out=.. --go-grpc_opt=module=github.com/zankv/zankv/replay --plugin=protoc-gen-go=$(go tool -n protoc-gen-go) --plugin=protoc-gen-go-grpc=$(go tool -n protoc-gen-go-grpc) replay.proto"
