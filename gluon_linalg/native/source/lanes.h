// Registers that hold the same number of several batch elements, one in each lane.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/operator.h"
#include "core/parallel.h"

// The instruction set that a file is compiled for, by name, and the bytes of its registers.
#ifndef GL_LEVEL
#define GL_LEVEL plain
#define GL_BYTES 16
#endif
#define GL_TEXT_OF(x) #x
#define GL_TEXT(x) GL_TEXT_OF(x)
// Registers a `gluon_linalg::Operator`.
#define GL_OPERATOR(...) \
  static const Registration GL_JOIN(registration_, __COUNTER__)(GL_TEXT(GL_LEVEL), {__VA_ARGS__})
#define GL_JOIN_OF(a, b) a##b
#define GL_JOIN(a, b) GL_JOIN_OF(a, b)

namespace gluon_linalg {
namespace GL_LEVEL {

template <class T>
struct Pack;
template <>
struct Pack<double> {
  typedef double Lanes __attribute__((vector_size(GL_BYTES)));
  typedef int64_t Mask __attribute__((vector_size(GL_BYTES)));
  static constexpr int width = GL_BYTES / 8;
};
template <>
struct Pack<float> {
  typedef float Lanes __attribute__((vector_size(GL_BYTES)));
  typedef int32_t Mask __attribute__((vector_size(GL_BYTES)));
  static constexpr int width = GL_BYTES / 4;
};
template <class T>
using Lanes = typename Pack<T>::Lanes;
template <class T>
inline constexpr int width = Pack<T>::width;

template <class T>
inline Lanes<T> all(T value) {
  // Not + 0, which turns -0 into 0 and is therefore computed.
  return value - Lanes<T>{};
}

// The numbers at p, p + stride, ...; where fewer than `count` are left, the last lanes repeat the
// first.
template <class T>
inline Lanes<T> load(const T* p, int64_t stride, int count = width<T>) {
  Lanes<T> x;
  if (count == width<T>) {
    for (int i = 0; i < width<T>; ++i) x[i] = p[i * stride];
  } else {
    for (int i = 0; i < width<T>; ++i) x[i] = p[i < count ? i * stride : 0];
  }
  return x;
}

template <class T>
inline void store(T* p, int64_t stride, const Lanes<T>& x, int count = width<T>) {
  for (int i = 0; i < count; ++i) p[i * stride] = x[i];
}

// width<T> values that follow each other of `count` batch elements, `stride` apart: to registers of
// which each holds one of every batch element, and back.
template <class T, int step>
GL_INLINE void exchange(Lanes<T>* x) {
  constexpr int wide = width<T>;
  if constexpr (step < wide) {
    typename Pack<T>::Mask low, high;
    for (int i = 0; i < wide; ++i) {
      low[i] = i & step ? wide + i - step : i;
      high[i] = i & step ? wide + i : i + step;
    }
    for (int i = 0; i < wide; ++i)
      if (!(i & step)) {
        const Lanes<T> a = x[i], b = x[i + step];
        x[i] = __builtin_shuffle(a, b, low);
        x[i + step] = __builtin_shuffle(a, b, high);
      }
    exchange<T, 2 * step>(x);
  }
}

template <class T>
inline void interleave(const T* from, int64_t stride, int count, int64_t size, Lanes<T>* to) {
  constexpr int wide = width<T>;
  int64_t i = 0;
  for (; i + wide <= size; i += wide) {
    Lanes<T> x[wide];
    for (int j = 0; j < wide; ++j)
      std::memcpy(&x[j], from + (j < count ? j : 0) * stride + i, sizeof x[j]);
    exchange<T, 1>(x);
    for (int j = 0; j < wide; ++j) to[i + j] = x[j];
  }
  for (; i < size; ++i) to[i] = load(from + i, stride, count);
}

template <class T>
inline void separate(const Lanes<T>* from, int64_t size, T* to, int64_t stride, int count) {
  constexpr int wide = width<T>;
  int64_t i = 0;
  for (; i + wide <= size; i += wide) {
    Lanes<T> x[wide];
    for (int j = 0; j < wide; ++j) x[j] = from[i + j];
    exchange<T, 1>(x);
    for (int j = 0; j < wide; ++j)
      if (j < count) std::memcpy(to + j * stride + i, &x[j], sizeof x[j]);
  }
  for (; i < size; ++i) store(to + i, stride, from[i], count);
}

#define GL_BY_LANE(name, function)                          \
  inline Lanes<double> name(Lanes<double> x) {              \
    for (int i = 0; i < width<double>; ++i) x[i] = function(x[i]); \
    return x;                                               \
  }                                                         \
  inline Lanes<float> name(Lanes<float> x) {                \
    for (int i = 0; i < width<float>; ++i) x[i] = function##f(x[i]); \
    return x;                                               \
  }                                                         \
  inline double name(double x) { return function(x); }      \
  inline float name(float x) { return function##f(x); }
GL_BY_LANE(root, __builtin_sqrt)
GL_BY_LANE(logarithm, __builtin_log)
GL_BY_LANE(exponential, __builtin_exp)
GL_BY_LANE(magnitude, __builtin_fabs)
#undef GL_BY_LANE

template <class V>
inline V larger(V a, V b) {
  return a > b ? a : b;
}

// a with the sign of b.
template <class V>
inline V signed_as(V a, V b) {
  const V size = a < 0 ? -a : a;
  return b < 0 ? -size : size;
}

// Calls body(first, count) for the groups of batch elements that share registers, over threads.
template <class T, class Body>
inline void over_lanes(int64_t batch, double nanoseconds_each, const Body& body) {
  const int64_t groups = (batch + width<T> - 1) / width<T>;
  parallel_for(groups, nanoseconds_each * width<T>, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      const int64_t first = g * width<T>, left = batch - first;
      body(first, left < width<T> ? int(left) : width<T>);
    }
  });
}

// Calls body.operator()<T>() for the type of an array.
template <class Body>
inline void by_type(Type type, const Body& body) {
  if (type == float64) {
    body(double{});
  } else if (type == float32) {
    body(float{});
  } else {
    fail("neither float32 nor float64");
  }
}

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
