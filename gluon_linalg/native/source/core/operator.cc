#include "operator.h"

#include <cmath>
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

namespace {

template <class T>
bool all_finite(const T* numbers, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (!std::isfinite(numbers[i])) return false;
  return true;
}

bool all_finite(const Array& array) {
  const int64_t count = array.shape.elements();
  return array.type == float64 ? all_finite(array.as<double>(), count)
                               : all_finite(array.as<float>(), count);
}

bool is_nan(const Array& array, int64_t place) {
  return array.type == float64 ? std::isnan(array.as<double>()[place])
                               : std::isnan(array.as<float>()[place]);
}

}  // namespace

void require_positive_definite(const Call& call, int64_t elements, int64_t numbers_of_each) {
  if (!call.attributes.flag("strict") || !numbers_of_each) return;
  for (int64_t i = 0; i < elements; ++i) {
    if (!is_nan(call.output[0], i * numbers_of_each)) continue;
    for (int k = 0; k < call.inputs; ++k)
      if (!all_finite(call.input[k])) return;
    fail("not positive definite: batch element %lld of %lld", static_cast<long long>(i),
         static_cast<long long>(elements));
  }
}

}  // namespace gluon_linalg
