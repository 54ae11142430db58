package feeds

import (
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

func standing(f *changefeed.Feed, partition uint32, _ time.Time) (changefeed.State, *changefeed.Trouble) {
	if f.Spec.Paused {
		return changefeed.Paused, nil
	}
	p := f.Progress[partition]
	if _, owned := f.Owners[partition]; !owned {
		return changefeed.Warning, &changefeed.Trouble{Stage: changefeed.StageOwner, Code: changefeed.CodeNoOwner, Reason: "no process runs it", Action: "start data nodes"}
	}
	return p.State, p.Trouble
}
