// Package adminpb is generated from changefeeds.proto, the published service that defines changefeeds.
package adminpb

//go:generate sh -c "protoc -I .. --go_out=.. --go_opt=module=github.com/zankv/zankv/cdc/changefeed/admin --go-grpc_out=.. --go-grpc_opt=module=github.com/zankv/zankv/cdc/changefeed/admin --plugin=protoc-gen-go=$(go tool -n protoc-gen-go) --plugin=protoc-gen-go-grpc=$(go tool -n protoc-gen-go-grpc) changefeeds.proto"
