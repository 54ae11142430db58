package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/zankv/zankv/cdc/changefeed"
)

// badConfig is what only another definition helps against.
func badConfig(err error) error {
	return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeSinkConfig, Final: true, What: err.Error(),
		Action: "correct the sink URI: file:///folder?compression=none|zstd&segment-bytes=64MiB&segment-age=24h&keep-bytes=0&keep-age=0"}
}

// storage is a file system that refuses. It may do better later: the owner opens the archive again.
func storage(err error, what string) error {
	if err == nil {
		return nil
	}
	action := "look at the disk and the system's log; writing is tried again"
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		action = "free space on the archive's disk, or have old segments removed with keep-bytes or keep-age; writing is tried again"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		action = "let the process's user write into the archive's folder; writing is tried again"
	}
	return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeSinkStorage, What: "archive: " + what, Action: action, Err: err}
}

// fenced says that a later owner has begun a segment.
func fenced(folder string, mine, other uint64) error {
	return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeFenced,
		What:   fmt.Sprintf("archive: %s has a segment of epoch %d, this owner's is %d", folder, other, mine),
		Action: "nothing, if the partition has another owner; if not, another changefeed, of another cluster or an earlier registry, writes into the same folder: give it one of its own"}
}

// The rest is of reading: an archive is the source then.

// badSource is an archive that can't be what was meant.
func badSource(err error) error {
	return &changefeed.Error{Stage: changefeed.StageLogRead, Code: changefeed.CodeDefinition, Final: true, What: err.Error(),
		Action: "correct the archive's name: file:///folder, or the path of the folder that a file:// changefeed writes to"}
}

// unread is a file that can't be read. It may be possible later.
func unread(err error, what string) error {
	if err == nil {
		return nil
	}
	return &changefeed.Error{Stage: changefeed.StageLogRead, Code: changefeed.CodeSourceDown, What: "archive: " + what,
		Action: "look at the archive's disk and its permissions; reading is tried again", Err: err}
}

// corrupt is an archive that doesn't hold what it should.
func corrupt(format string, args ...any) error {
	return &changefeed.Error{Stage: changefeed.StageLogRead, Code: changefeed.CodeCorrupt, Final: true, What: "archive: " + fmt.Sprintf(format, args...),
		Action: "run zankv-cdc verify on the archive, and bring the file back from a copy; or begin a new archive"}
}
