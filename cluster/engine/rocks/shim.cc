#include "shim.h"

#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "rocksdb/listener.h"
#include "rocksdb/options.h"
#include "rocksdb/slice.h"
#include "rocksdb/version.h"
#include "rocksdb/write_buffer_manager.h"

#if ROCKSDB_MAJOR != 7 || ROCKSDB_MINOR != 8
#error "zankv_options_complete relies on the layout of rocksdb_options_t in RocksDB 7.8: look at db/c.cc of this version first"
#endif

#define ZANKV_TEXT(x) #x
#define ZANKV_NUMBER(x) ZANKV_TEXT(x)
#define ZANKV_VERSION ZANKV_NUMBER(ROCKSDB_MAJOR) "." ZANKV_NUMBER(ROCKSDB_MINOR) "." ZANKV_NUMBER(ROCKSDB_PATCH)

const char* zankv_library(void) {
#ifdef ZANKV_ROCKSDB_RELEASE
  return ZANKV_VERSION ", release build";
#else
  return ZANKV_VERSION ", Debian's build (assertions on)";
#endif
}

void zankv_free(void* p) { free(p); }

struct zankv_budget {
  std::shared_ptr<rocksdb::WriteBufferManager> manager;
};

zankv_budget* zankv_budget_create(size_t bytes) {
  return new zankv_budget{std::make_shared<rocksdb::WriteBufferManager>(bytes)};
}

size_t zankv_budget_usage(const zankv_budget* budget) { return budget->manager->memory_usage(); }

void zankv_budget_destroy(zankv_budget* budget) { delete budget; }

// Written once under the mutex, then announced by failed.
struct zankv_health {
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::string error;
};

zankv_health* zankv_health_create(void) { return new zankv_health; }

void zankv_health_destroy(zankv_health* health) { delete health; }

char* zankv_health_error(zankv_health* health) {
  if (!health->failed.load(std::memory_order_acquire)) return nullptr;
  std::lock_guard<std::mutex> lock(health->mutex);
  return strdup(health->error.c_str());
}

namespace {

class Watch : public rocksdb::EventListener {
 public:
  explicit Watch(zankv_health* health) : health_(health) {}

  void OnBackgroundError(rocksdb::BackgroundErrorReason /*reason*/, rocksdb::Status* status) override {
    std::lock_guard<std::mutex> lock(health_->mutex);
    if (health_->failed.load(std::memory_order_relaxed)) return;
    health_->error = status->ToString();
    health_->failed.store(true, std::memory_order_release);
  }

 private:
  zankv_health* health_;
};

}  // namespace

void zankv_options_complete(rocksdb_options_t* options, zankv_budget* budget, zankv_health* health) {
  // In db/c.cc: struct rocksdb_options_t { Options rep; };
  auto* rep = reinterpret_cast<rocksdb::Options*>(options);
  rep->write_buffer_manager = budget->manager;
  rep->listeners.push_back(std::make_shared<Watch>(health));
  rep->avoid_flush_during_shutdown = true;
  rep->max_bgerror_resume_count = 0;
}

zankv_value zankv_get(rocksdb_t* db, const rocksdb_readoptions_t* options, const char* key, size_t key_length, char* dst,
                      size_t capacity) {
  zankv_value out = {nullptr, nullptr, 0, 0};
  rocksdb_pinnableslice_t* pinned = rocksdb_get_pinned(db, options, key, key_length, &out.error);
  if (pinned == nullptr) return out;
  const char* value = rocksdb_pinnableslice_value(pinned, &out.length);
  out.found = 1;
  if (out.length <= capacity) {
    if (out.length > 0) memcpy(dst, value, out.length);
  } else {
    out.large = static_cast<char*>(malloc(out.length));
    memcpy(out.large, value, out.length);
  }
  rocksdb_pinnableslice_destroy(pinned);
  return out;
}

char* zankv_write(rocksdb_t* db, const rocksdb_writeoptions_t* options, zankv_health* health, const char* batch, size_t length) {
  if (char* error = zankv_health_error(health)) return error;
  char* error = nullptr;
  rocksdb_writebatch_t* b = rocksdb_writebatch_create_from(batch, length);
  rocksdb_write(db, options, b, &error);
  rocksdb_writebatch_destroy(b);
  return error;
}

zankv_iterator* zankv_iterator_create(rocksdb_t* db, const rocksdb_snapshot_t* snapshot, const char* lower, size_t lower_length,
                                      const char* upper, size_t upper_length) {
  auto* it = static_cast<zankv_iterator*>(calloc(1, sizeof(zankv_iterator)));
  it->options = rocksdb_readoptions_create();
  if (snapshot != nullptr) rocksdb_readoptions_set_snapshot(it->options, snapshot);
  it->bounds = static_cast<char*>(malloc(lower_length + upper_length + 1));
  if (lower_length > 0) {
    memcpy(it->bounds, lower, lower_length);
    rocksdb_readoptions_set_iterate_lower_bound(it->options, it->bounds, lower_length);
  }
  if (upper_length > 0) {
    memcpy(it->bounds + lower_length, upper, upper_length);
    rocksdb_readoptions_set_iterate_upper_bound(it->options, it->bounds + lower_length, upper_length);
  }
  it->iterator = rocksdb_create_iterator(db, it->options);
  return it;
}

// RocksDB seeks backward to the last key at or below one. What is asked for is the last key below.
static void seek_lt(zankv_iterator* it, const char* key, size_t key_length) {
  rocksdb_iter_seek_for_prev(it->iterator, key, key_length);
  if (!rocksdb_iter_valid(it->iterator)) return;
  size_t length;
  const char* found = rocksdb_iter_key(it->iterator, &length);
  if (length == key_length && memcmp(found, key, length) == 0) rocksdb_iter_prev(it->iterator);
}

static int read_position(zankv_iterator* it) {
  it->valid = rocksdb_iter_valid(it->iterator);
  if (!it->valid) return 0;
  it->key = rocksdb_iter_key(it->iterator, &it->key_length);
  it->value = rocksdb_iter_value(it->iterator, &it->value_length);
  return 1;
}

int zankv_iterator_move(zankv_iterator* it, int move, const char* key, size_t key_length) {
  if (key == nullptr) key = "";
  switch (move) {
    case zankv_first: rocksdb_iter_seek_to_first(it->iterator); break;
    case zankv_last: rocksdb_iter_seek_to_last(it->iterator); break;
    case zankv_next: rocksdb_iter_next(it->iterator); break;
    case zankv_prev: rocksdb_iter_prev(it->iterator); break;
    case zankv_seek_ge: rocksdb_iter_seek(it->iterator, key, key_length); break;
    case zankv_seek_lt: seek_lt(it, key, key_length); break;
  }
  return read_position(it);
}

int64_t zankv_iterator_skip(zankv_iterator* it, int64_t n, const char* to, size_t to_length) {
  const bool back = n < 0;
  if (back) n = n == INT64_MIN ? INT64_MAX : -n;
  const rocksdb::Slice end(to_length > 0 ? to : "", to_length);
  int64_t passed = 0;
  for (; passed < n && rocksdb_iter_valid(it->iterator); passed++) {
    if (to_length > 0) {
      size_t length;
      const char* key = rocksdb_iter_key(it->iterator, &length);
      const int order = rocksdb::Slice(key, length).compare(end);
      if (back ? order <= 0 : order >= 0) break;
    }
    if (back) {
      rocksdb_iter_prev(it->iterator);
    } else {
      rocksdb_iter_next(it->iterator);
    }
  }
  read_position(it);
  return passed;
}

char* zankv_iterator_error(const zankv_iterator* it) {
  char* error = nullptr;
  rocksdb_iter_get_error(it->iterator, &error);
  return error;
}

void zankv_iterator_destroy(zankv_iterator* it) {
  rocksdb_iter_destroy(it->iterator);
  rocksdb_readoptions_destroy(it->options);
  free(it->bounds);
  free(it);
}
