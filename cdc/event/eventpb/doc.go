// Package eventpb is generated from event.proto. Nothing but tests imports it: the log and the feed use the codec of package
// event, which is held against this one.
package eventpb

//go:generate sh -c "protoc -I .. --go_out=.. --go_opt=module=github.com/zankv/zankv/cdc/event --plugin=protoc-gen-go=$(go tool -n protoc-gen-go) event.proto"
