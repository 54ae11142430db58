package rocks

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/zankv/zankv/cluster/engine"
)

// fromC takes over an error text; nil stays nil.
func fromC(text *C.char) error {
	if text == nil {
		return nil
	}
	defer C.zankv_free(unsafe.Pointer(text))
	return errors.New(C.GoString(text))
}

// classes tells by RocksDB's words what a caller must tell apart. Its C interface hands out nothing but words.
var classes = []struct {
	words string
	class error
}{
	{"No space left on device", engine.ErrNoSpace},
	{"Disk quota exceeded", engine.ErrNoSpace},
	{"lock hold by current process", engine.ErrInUse},
	{"/LOCK: Resource temporarily unavailable", engine.ErrInUse},
}

// failure says which operation failed on which directory, and of what class it is; nil stays nil.
func failure(operation, dir string, err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if strings.HasPrefix(text, "Corruption: ") {
		return fmt.Errorf("engine/rocks: %s %s: %w: %w", operation, dir, engine.ErrCorrupt, err)
	}
	for _, c := range classes {
		if strings.Contains(text, c.words) {
			return fmt.Errorf("engine/rocks: %s %s: %w: %w", operation, dir, c.class, err)
		}
	}
	return fmt.Errorf("engine/rocks: %s %s: %w", operation, dir, err)
}
