#include "operator.h"

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

Record::~Record() { std::free(data_); }

void* Record::of(size_t bytes) {
  const size_t needed = (bytes + 64) / 64 * 64;
  if (needed != bytes_) {
    std::free(data_);
    data_ = nullptr;
    bytes_ = 0;
    data_ = std::aligned_alloc(64, needed);
    if (!data_) throw std::bad_alloc();
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
