// Blocks of numbers that registers take from memory and give back, as they lie or transposed.
#pragma once

#include "lanes.h"

namespace gluon_linalg {
namespace GL_LEVEL {

// Numbers wherever they lie, as a register.
template <class T>
struct Unaligned {
  typedef T Lanes __attribute__((vector_size(GL_BYTES), aligned(sizeof(T)), may_alias));
};

// For blocks of `step` numbers that change places: those of two registers that are on the same side.
template <class T, int step>
GL_INLINE void sides(typename Pack<T>::Mask& low, typename Pack<T>::Mask& high) {
  constexpr int wide = width<T>;
  for (int i = 0; i < wide; ++i) {
    low[i] = i & step ? wide + i - step : i;
    high[i] = i & step ? wide + i : i + step;
  }
}

// The transpose of a square block of registers.
template <class T, int step = 1>
GL_INLINE void exchange(Lanes<T>* x) {
  constexpr int wide = width<T>;
  if constexpr (step < wide) {
    typename Pack<T>::Mask low, high;
    sides<T, step>(low, high);
    for (int i = 0; i < wide; ++i)
      if (!(i & step)) {
        const Lanes<T> a = x[i], b = x[i + step];
        x[i] = __builtin_shuffle(a, b, low);
        x[i + step] = __builtin_shuffle(a, b, high);
      }
    exchange<T, 2 * step>(x);
  }
}

// The sums of the numbers of each of as many registers as one has numbers, in x[0]; x is used up.
template <class T, int step = 1>
GL_INLINE void add_up(Lanes<T>* x) {
  constexpr int wide = width<T>;
  if constexpr (step < wide) {
    typename Pack<T>::Mask low, high;
    sides<T, step>(low, high);
    for (int i = 0; i < wide; i += 2 * step)
      x[i] = __builtin_shuffle(x[i], x[i + step], low) + __builtin_shuffle(x[i], x[i + step], high);
    add_up<T, 2 * step>(x);
  }
}

// Copies the transpose of `rows` rows, of so many numbers each: to[j * to_step + i] = from[i *
// from_step + j].
template <int rows, class T>
inline void copy_transposed(const T* from, int64_t from_step, int64_t numbers, T* to,
                            int64_t to_step) {
  constexpr int wide = width<T>;
  int64_t j = 0;
  for (; j + wide <= numbers; j += wide) {
    constexpr int whole = rows / wide * wide, rest = rows - whole;
    Lanes<T> x[wide];
    for (int first = 0; first < whole; first += wide) {
      for (int i = 0; i < wide; ++i)
        std::memcpy(&x[i], from + (first + i) * from_step + j, sizeof x[i]);
      exchange<T>(x);
      for (int i = 0; i < wide; ++i) std::memcpy(to + (j + i) * to_step + first, &x[i], sizeof x[i]);
    }
    if constexpr (rest > 0) {
      for (int i = 0; i < wide; ++i) x[i] = Lanes<T>{};
      for (int i = 0; i < rest; ++i)
        std::memcpy(&x[i], from + (whole + i) * from_step + j, sizeof x[i]);
      exchange<T>(x);
      for (int i = 0; i < wide; ++i)
        std::memcpy(to + (j + i) * to_step + whole, &x[i], sizeof(T) * rest);
    }
  }
  if (numbers % wide == 0) return;
  for (; j < numbers; ++j)
    for (int i = 0; i < rows; ++i) to[j * to_step + i] = from[i * from_step + j];
}

// width<T> batch elements whose numbers follow each other, `stride` apart: to registers of which
// each holds one number of every element, and back. The last lanes repeat the first.
// Where `separate` will write next, `ahead` of this, is asked for: so many places at once are more
// than processors guess.
template <class T>
inline void interleave(const T* from, int64_t stride, int count, int64_t size, Lanes<T>* to) {
  constexpr int wide = width<T>;
  int64_t i = 0;
  for (; i + wide <= size; i += wide) {
    Lanes<T> x[wide];
    for (int j = 0; j < wide; ++j)
      std::memcpy(&x[j], from + (j < count ? j : 0) * stride + i, sizeof x[j]);
    exchange<T>(x);
    for (int j = 0; j < wide; ++j) to[i + j] = x[j];
  }
  for (; i < size; ++i) to[i] = load(from + i, stride, count);
}

template <class T>
inline void separate(const Lanes<T>* from, int64_t size, T* to, int64_t stride, int count,
                     int64_t ahead = 0) {
  constexpr int wide = width<T>;
  int64_t i = 0;
  for (; i + wide <= size; i += wide) {
    Lanes<T> x[wide];
    for (int j = 0; j < wide; ++j) x[j] = from[i + j];
    exchange<T>(x);
    for (int j = 0; j < wide; ++j) {
      if (j >= count) break;
      T* row = to + j * stride + i;
      std::memcpy(row, &x[j], sizeof x[j]);
      __builtin_prefetch(row + ahead, 1);
    }
  }
  for (; i < size; ++i) store(to + i, stride, from[i], count);
}

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
