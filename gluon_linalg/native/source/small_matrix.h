// Small matrices and products of them, for elements E, in one of two ways:
//   Lanes<T>: several batch elements at once, one in each lane; for many small systems;
//   T:        one batch element, the rows of its matrices being padded to whole registers.
// A matrix is kept as contiguous rows, and every inner loop is a multiple of one row added to
// another. `padded<E>(n)` is the length in memory of a row of n numbers. Arrays whose names end in
// T hold the transposed matrix.
//
// Sizes may be known when the code is compiled: then they are of a type `Known`.
#pragma once

#include "registers.h"

namespace gluon_linalg {
namespace GL_LEVEL {

typedef Pack<double>::Lanes __attribute__((may_alias)) DoubleRow;
typedef Pack<float>::Lanes __attribute__((may_alias)) FloatRow;

template <class E>
struct Element;
template <>
struct Element<double> {
  typedef double T;
  typedef DoubleRow Row;
  static constexpr int64_t block = width<double>;
};
template <>
struct Element<float> {
  typedef float T;
  typedef FloatRow Row;
  static constexpr int64_t block = width<float>;
};
template <>
struct Element<Lanes<double>> {
  typedef double T;
  typedef Lanes<double> Row;
  static constexpr int64_t block = 1;
};
template <>
struct Element<Lanes<float>> {
  typedef float T;
  typedef Lanes<float> Row;
  static constexpr int64_t block = 1;
};

// A number that is known when the code is compiled.
template <int N>
struct Known {
  static constexpr int value = N;
  constexpr operator int64_t() const { return N; }
};
template <class N>
inline constexpr bool is_known = false;
template <int N>
inline constexpr bool is_known<Known<N>> = true;

template <class E>
inline constexpr bool is_batch = Element<E>::block == 1;

// The length in memory of a row of n elements, and where the register with element i begins.
template <class E>
constexpr int64_t padded(int64_t n) {
  return (n + Element<E>::block - 1) / Element<E>::block * Element<E>::block;
}
template <class E>
constexpr int64_t begin_of(int64_t i) {
  return i / Element<E>::block * Element<E>::block;
}

// A register with a in all places. Not + 0, which turns -0 into 0 and is therefore computed.
template <class E>
GL_INLINE typename Element<E>::Row spread(E a) {
  if constexpr (is_batch<E>)
    return a;
  else
    return a - typename Element<E>::Row{};
}

// y += a x, for n elements of padded rows.
template <class E>
GL_INLINE void add_multiple(int64_t n, E a, const E* x, E* y) {
  typedef typename Element<E>::Row Row;
  constexpr int64_t block = Element<E>::block;
  const auto* from = reinterpret_cast<const Row*>(x);
  auto* to = reinterpret_cast<Row*>(y);
  const Row factor = spread(a);
  for (int64_t k = 0; k < n / block; ++k) to[k] += factor * from[k];
}

// A matrix of numbers, or its transpose: element (i, k) is data[i * row + k * column].
template <class E>
struct Factor {
  const E* data;
  int64_t row, column;
};

enum Result { set, add, subtract };

// A tile of c of so many rows and registers, from as many of a and b. One row alone is two sums, or
// each number would wait for the one before it.
template <Result result, int rows, int count, class E, class Row>
GL_INLINE void product_tile(int64_t inner, const E* a, int64_t a_row, int64_t a_column,
                            const Row* b, int64_t b_row, Row* c, int64_t c_row) {
  constexpr int ways = rows == 1 && count <= 2 ? 2 : 1;
  Row sum[ways][rows][count];
#pragma GCC unroll 2
  for (int way = 0; way < ways; ++way)
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
      for (int j = 0; j < count; ++j)
        sum[way][i][j] = result == set || way ? Row{} : c[i * c_row + j];
  const auto step = [&](int way) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const Row factor = spread<E>(a[i * a_row]);
#pragma GCC unroll 8
      for (int j = 0; j < count; ++j)
        sum[way][i][j] = result == subtract ? sum[way][i][j] - factor * b[j]
                                            : sum[way][i][j] + factor * b[j];
    }
    a += a_column, b += b_row;
  };
  int64_t k = 0;
  if constexpr (ways == 2)
    for (; k + 2 <= inner; k += 2) step(0), step(1);
  for (; k < inner; ++k) step(0);
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < count; ++j)
      c[i * c_row + j] = ways == 2 ? sum[0][i][j] + sum[ways - 1][i][j] : sum[0][i][j];
}
template <Result result, int rows, class E, class Row>
GL_INLINE void product_rows(int64_t inner, int64_t count, const E* a, int64_t a_row,
                            int64_t a_column, const Row* b, int64_t b_row, Row* c, int64_t c_row) {
  // As many sums at once as there are registers for, and as hide how long one takes.
  if constexpr (rows <= 2 || GL_BYTES == 64)
    for (; count >= 4; count -= 4, b += 4, c += 4)
      product_tile<result, rows, 4>(inner, a, a_row, a_column, b, b_row, c, c_row);
  for (; count >= 2; count -= 2, b += 2, c += 2)
    product_tile<result, rows, 2>(inner, a, a_row, a_column, b, b_row, c, c_row);
  if (count) product_tile<result, rows, 1>(inner, a, a_row, a_column, b, b_row, c, c_row);
}

// c = a b, c += a b or c -= a b of matrices whose rows are padded: a (rows, inner), b (inner,
// across) and c (rows, across), of which `across_b` and `across_c` elements make a row in memory.
template <Result result, class E>
__attribute__((noinline)) void product_apart(int64_t rows, int64_t inner, int64_t across,
                                             Factor<E> a, const E* b, int64_t across_b, E* c,
                                             int64_t across_c) {
  typedef typename Element<E>::Row Row;
  constexpr int64_t block = Element<E>::block;
  const int64_t count = across / block, b_row = across_b / block, c_row = across_c / block;
  const auto* from = reinterpret_cast<const Row*>(b);
  auto* to = reinterpret_cast<Row*>(c);
  const auto some = [&](auto known) __attribute__((always_inline)) {
    product_rows<result, decltype(known)::value>(inner, count, a.data, a.row, a.column, from, b_row,
                                                 to, c_row);
  };
  // One row alone takes as long as four.
  for (; rows >= 4 && rows != 5; rows -= 4, a.data += 4 * a.row, to += 4 * c_row) some(Known<4>());
  switch (rows) {
    case 5: return some(Known<5>());
    case 3: return some(Known<3>());
    case 2: return some(Known<2>());
    case 1: return some(Known<1>());
  }
}

// The same in straight code, for small matrices.
template <Result result, int rows, int inner, int across, class E>
GL_INLINE void product_here(Factor<E> a, const E* b, int64_t across_b, E* c, int64_t across_c) {
  typedef typename Element<E>::Row Row;
  constexpr int block = Element<E>::block, count = across / block;
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
    auto* to = reinterpret_cast<Row*>(c + i * across_c);
    Row sum[count];
#pragma GCC unroll 8
    for (int j = 0; j < count; ++j) sum[j] = result == set ? Row{} : to[j];
#pragma GCC unroll 8
    for (int k = 0; k < inner; ++k) {
      const Row factor = spread<E>(a.data[i * a.row + k * a.column]);
      const auto* from = reinterpret_cast<const Row*>(b + k * across_b);
#pragma GCC unroll 8
      for (int j = 0; j < count; ++j)
        sum[j] = result == subtract ? sum[j] - factor * from[j] : sum[j] + factor * from[j];
    }
#pragma GCC unroll 8
    for (int j = 0; j < count; ++j) to[j] = sum[j];
  }
}

template <Result result, class E, class M, class K, class N>
GL_INLINE void product(M rows, K inner, N across, Factor<E> a, const E* b, int64_t across_b, E* c,
                       int64_t across_c) {
  if constexpr (is_known<M> && is_known<K> && is_known<N>)
    product_here<result, M::value, K::value, N::value>(a, b, across_b, c, across_c);
  else
    product_apart<result, E>(rows, inner, across, a, b, across_b, c, across_c);
}

// y += x x, element by element; y *= a; y = 0; y = x: of padded rows.
template <class E>
GL_INLINE void add_squares(int64_t n, const E* x, E* y) {
  typedef typename Element<E>::Row Row;
  const auto* from = reinterpret_cast<const Row*>(x);
  auto* to = reinterpret_cast<Row*>(y);
  for (int64_t k = 0; k < n / Element<E>::block; ++k) to[k] += from[k] * from[k];
}
template <class E>
GL_INLINE void multiply(int64_t n, E a, E* y) {
  typedef typename Element<E>::Row Row;
  auto* to = reinterpret_cast<Row*>(y);
  const Row factor = spread(a);
  for (int64_t k = 0; k < n / Element<E>::block; ++k) to[k] *= factor;
}
template <class E>
GL_INLINE void clear(int64_t n, E* y) {
  typedef typename Element<E>::Row Row;
  auto* to = reinterpret_cast<Row*>(y);
  for (int64_t k = 0; k < n / Element<E>::block; ++k) to[k] = Row{};
}
template <class E>
GL_INLINE void copy(int64_t n, const E* x, E* y) {
  typedef typename Element<E>::Row Row;
  const auto* from = reinterpret_cast<const Row*>(x);
  auto* to = reinterpret_cast<Row*>(y);
  for (int64_t k = 0; k < n / Element<E>::block; ++k) to[k] = from[k];
}

// x · y of rows whose padding is 0.
template <class E>
GL_INLINE E dot(int64_t n, const E* x, const E* y) {
  typedef typename Element<E>::Row Row;
  const auto *one = reinterpret_cast<const Row*>(x), *other = reinterpret_cast<const Row*>(y);
  const int64_t count = n / Element<E>::block;
  Row sums[3] = {Row{}, Row{}, Row{}};
  int64_t k = 0;
  for (; k + 3 <= count; k += 3)
    for (int way = 0; way < 3; ++way) sums[way] += one[k + way] * other[k + way];
  for (; k < count; ++k) sums[0] += one[k] * other[k];
  const Row sum = sums[0] + (sums[1] + sums[2]);
  if constexpr (is_batch<E>) {
    return sum;
  } else {
    typedef E Half __attribute__((vector_size(16)));
    Half parts[sizeof(Row) / 16];
    std::memcpy(parts, &sum, sizeof sum);
    for (size_t count = sizeof(Row) / 32; count; count /= 2)
      for (size_t k = 0; k < count; ++k) parts[k] += parts[k + count];
    E total = parts[0][0];
    for (size_t k = 1; k < 16 / sizeof(E); ++k) total += parts[0][k];
    return total;
  }
}

// Numbers of 0 and -1 as lanes, or a bool.
template <class M>
GL_INLINE bool any(const M& mask) {
  if constexpr (sizeof(M) < 16) {
    return mask;
  } else {
    typedef int64_t Half __attribute__((vector_size(16)));
    Half parts[sizeof(M) / 16];
    std::memcpy(parts, &mask, sizeof mask);
    for (size_t i = 1; i < sizeof(M) / 16; ++i) parts[0] |= parts[i];
    return (parts[0][0] | parts[0][1]) != 0;
  }
}

// A left factor of a product, as it is or transposed.
template <class E>
GL_INLINE Factor<E> as_is(const E* a, int64_t across) {
  return {a, across, 1};
}
template <class E>
GL_INLINE Factor<E> turned(const E* a, int64_t across) {
  return {a, 1, across};
}

// C (m, across) from A (m x k) times B (k, across), or A B added to it or subtracted. C is none of
// the others.
template <class E>
inline void times(Factor<E> a, const E* b, E* c, int64_t m, int64_t k, int64_t across,
                  Result result = set) {
  if (result == set)
    product<set, E>(m, k, across, a, b, across, c, across);
  else if (result == add)
    product<add, E>(m, k, across, a, b, across, c, across);
  else
    product<subtract, E>(m, k, across, a, b, across, c, across);
}

// Aᵀ (columns, across rows) of A (rows, across columns).
template <class E>
void transpose(const E* a, int64_t rows, int64_t columns, int64_t across, E* to,
               int64_t to_across) {
  int64_t i = 0;
  if constexpr (!is_batch<E>)
    for (constexpr int wide = width<E>; i + wide <= rows; i += wide)
      copy_transposed<wide>(a + i * across, across, columns, to + i, to_across);
  for (; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) to[j * to_across + i] = a[i * across + j];
}

// A = ½ (A + Aᵀ), or what is added to B: factor (A + Aᵀ).
template <class E>
void symmetrize(E* a, int64_t n, int64_t across) {
  typedef typename Element<E>::T T;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j)
      a[i * across + j] = a[j * across + i] =
          T(0.5) * (a[i * across + j] + a[j * across + i]);
}
template <class E>
void add_symmetric(const E* a, int64_t n, int64_t across, double factor, E* b) {
  typedef typename Element<E>::T T;
  const T scale = T(factor);
  for (int64_t i = 0; i < n; ++i) {
    b[i * across + i] += scale * (a[i * across + i] + a[i * across + i]);
    for (int64_t j = 0; j < i; ++j) {
      const E sum = scale * (a[i * across + j] + a[j * across + i]);
      b[i * across + j] += sum;
      b[j * across + i] += sum;
    }
  }
}

// A += x yᵀ.
template <class E>
GL_INLINE void add_outer(const E* x, const E* y, int64_t rows, int64_t across, E* a) {
  for (int64_t i = 0; i < rows; ++i) add_multiple(across, x[i], y, a + i * across);
}

// to += Σ_i x_i (row i of A).
template <class E>
GL_INLINE void add_rows(const E* x, const E* a, int64_t rows, int64_t across, E* to) {
  for (int64_t i = 0; i < rows; ++i) add_multiple(across, x[i], a + i * across, to);
}

// Elements of scratch memory, all 0, as padding has to be.
template <class E>
struct Memory {
  Scratch scratch;
  E* free;

  // Of which the first `unset` are not.
  explicit Memory(int64_t size, int64_t unset = 0)
      : scratch(sizeof(E) * size), free(scratch.as<E>()) {
    clear(size - unset, free + unset);
  }
  E* take(int64_t size) {
    free += size;
    return free - size;
  }
};

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
