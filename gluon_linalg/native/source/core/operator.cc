#include "operator.h"

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

namespace gluon_linalg {

const char* Attributes::text(const char* key, const char* missing) const {
  for (int i = 0; i < count_; ++i)
    if (!std::strcmp(keys_[i], key)) return values_[i];
  return missing;
}

int64_t Attributes::integer(const char* key, int64_t missing) const {
  const char* found = text(key, nullptr);
  return found ? std::strtoll(found, nullptr, 10) : missing;
}

double Attributes::number(const char* key, double missing) const {
  const char* found = text(key, nullptr);
  return found ? std::strtod(found, nullptr) : missing;
}

bool Attributes::flag(const char* key, bool missing) const {
  const char* found = text(key, nullptr);
  return found ? !std::strcmp(found, "True") || !std::strcmp(found, "1") : missing;
}

namespace {

// Large memory that was freed last, for the next record of that size: the system would hand it out
// again page by page, each of them cleared.
struct Block {
  size_t bytes;
};
constexpr size_t head = 64, large = 1 << 20;
std::atomic<Block*> spare{nullptr};

void* taken(size_t bytes) {
  if (bytes >= large) {
    Block* found = spare.exchange(nullptr);
    if (found && found->bytes == bytes) return reinterpret_cast<char*>(found) + head;
    std::free(found);
  }
  auto* made = static_cast<Block*>(std::aligned_alloc(64, head + bytes));
  if (!made) throw std::bad_alloc();
  made->bytes = bytes;
  return reinterpret_cast<char*>(made) + head;
}

void give_back(void* data) {
  if (!data) return;
  auto* block = reinterpret_cast<Block*>(static_cast<char*>(data) - head);
  std::free(block->bytes >= large ? spare.exchange(block) : block);
}

}  // namespace

Record::~Record() { give_back(data_); }

void* Record::of(size_t bytes) {
  const size_t needed = (bytes + 64) / 64 * 64;
  if (needed != bytes_) {
    give_back(data_);
    data_ = nullptr;
    bytes_ = 0;
    data_ = taken(needed);
    bytes_ = needed;
  }
  return data_;
}

void fail(const char* format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  throw std::runtime_error(text);
}

}  // namespace gluon_linalg
