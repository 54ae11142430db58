// What the hot path calls: each function is one crossing from Go, where RocksDB's own C interface takes three or four.
// Besides, the options that its C interface of 7.8 lacks.
//
// Ownership: keys and values that come in are read during the call only. An error that comes out is a C string, to be freed
// with zankv_free. No function calls back into Go.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "rocksdb/c.h"

#ifdef __cplusplus
extern "C" {
#endif

// Which library this is linked with, such as "7.8.3, release build". A static string.
const char* zankv_library(void);

void zankv_free(void* p);

// A budget for the memtables of several databases together.
typedef struct zankv_budget zankv_budget;
zankv_budget* zankv_budget_create(size_t bytes);
size_t zankv_budget_usage(const zankv_budget* budget);
void zankv_budget_destroy(zankv_budget* budget);

// The health of one database: the first background error, for good. It must outlive the database.
typedef struct zankv_health zankv_health;
zankv_health* zankv_health_create(void);
void zankv_health_destroy(zankv_health* health);
// The first background error, a copy to be freed, or NULL.
char* zankv_health_error(zankv_health* health);

// Sets what the C interface can't: the memtable budget, the health, no flush at close, no resuming after an error.
void zankv_options_complete(rocksdb_options_t* options, zankv_budget* budget, zankv_health* health);

// A get's outcome. When the value fits into dst it was copied there and large is NULL; else large holds length bytes,
// to be freed with zankv_free. found is 0 for an absent key.
typedef struct {
  char* error;
  char* large;
  size_t length;
  int found;
} zankv_value;
zankv_value zankv_get(rocksdb_t* db, const rocksdb_readoptions_t* options, const char* key, size_t key_length, char* dst,
                      size_t capacity);

// Applies a batch. NULL, or the error. A database whose health is gone takes none.
char* zankv_write(rocksdb_t* db, const rocksdb_writeoptions_t* options, zankv_health* health, const char* batch, size_t length);

// An iterator with its position, which every move brings up to date.
typedef struct {
  const char* key;
  const char* value;
  size_t key_length;
  size_t value_length;
  rocksdb_iterator_t* iterator;
  rocksdb_readoptions_t* options;
  char* bounds;
  int valid;  // whether it stands on a key
} zankv_iterator;
// A bound of length 0 is open.
zankv_iterator* zankv_iterator_create(rocksdb_t* db, const rocksdb_snapshot_t* snapshot, const char* lower, size_t lower_length,
                                      const char* upper, size_t upper_length);
// The moves; 1 if it stands on a key now.
enum { zankv_first = 1, zankv_last = 2, zankv_next = 3, zankv_prev = 4, zankv_seek_ge = 5, zankv_seek_lt = 6 };
int zankv_iterator_move(zankv_iterator* it, int move, const char* key, size_t key_length);
// From a key that it stands on, passes over up to n keys, or -n backward; but, unless to_length is 0, over none at or beyond to. Says over how many.
int64_t zankv_iterator_skip(zankv_iterator* it, int64_t n, const char* to, size_t to_length);
char* zankv_iterator_error(const zankv_iterator* it);
void zankv_iterator_destroy(zankv_iterator* it);

#ifdef __cplusplus
}
#endif
