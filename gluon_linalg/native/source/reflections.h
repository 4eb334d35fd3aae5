// The orthonormal rows of an LQ factorization, one after another, the projections being those of
// Householder reflections of the array beside as many columns of zeros (Björck 1967): row i of Q,
// u, is what is left of row i, over its length; what it has in common with the later rows is column
// i of the triangle, and is taken out of them.
#pragma once

#include "small_matrix.h"

namespace gluon_linalg {
namespace GL_LEVEL {

// Sums of squares within these are exact to rounding; others are computed in other units.
template <class T>
inline constexpr T least_square = sizeof(T) == 8 ? T(1e-280) : T(1e-26);
template <class T>
inline constexpr T largest_square = sizeof(T) == 8 ? T(1e280) : T(1e34);

// What row `pivot` of an array, given as arrayT (length, across), has in common with others: the
// products of `count` registers from column `first` on, in sums. With `update` the rows of arrayT
// have u times the triangle taken out before.
template <bool update, int count, class E>
GL_INLINE void common_tile(int64_t from, int64_t length, int64_t across, int64_t first,
                           int64_t pivot, E* arrayT, const E* u, const E* triangle, E* sums) {
  typedef typename Element<E>::Row Row;
  Row sum[2][count], gone[count];
  auto* total = reinterpret_cast<Row*>(sums + first);
  for (int k = 0; k < count; ++k) {
    sum[0][k] = total[k], sum[1][k] = Row{};
    if (update) gone[k] = reinterpret_cast<const Row*>(triangle + first)[k];
  }
  const auto step = [&](int64_t j, int way) __attribute__((always_inline)) {
    auto* row = reinterpret_cast<Row*>(arrayT + j * across + first);
    Row x[count];
    for (int k = 0; k < count; ++k) {
      x[k] = row[k];
      if (update) row[k] = x[k] -= spread<E>(u[j]) * gone[k];
    }
    const Row factor = spread<E>(arrayT[j * across + pivot]);
    for (int k = 0; k < count; ++k) sum[way][k] += factor * x[k];
  };
  int64_t j = from;
  for (; j + 2 <= length; j += 2) step(j, 0), step(j + 1, 1);
  if (j < length) step(j, 0);
  for (int k = 0; k < count; ++k) total[k] = sum[0][k] + sum[1][k];
}
template <bool update, class E>
GL_INLINE void common(int64_t from, int64_t length, int64_t across, int64_t pivot, E* arrayT,
                      const E* u, const E* triangle, E* sums) {
  constexpr int64_t block = Element<E>::block;
  int64_t first = begin_of<E>(pivot);
  for (; across - first >= 4 * block; first += 4 * block)
    common_tile<update, 4>(from, length, across, first, pivot, arrayT, u, triangle, sums);
  for (; across - first >= 2 * block; first += 2 * block)
    common_tile<update, 2>(from, length, across, first, pivot, arrayT, u, triangle, sums);
  for (; across > first; first += block)
    common_tile<update, 1>(from, length, across, first, pivot, arrayT, u, triangle, sums);
}

// Where the square of a row is out of range: u, and column i of the triangle, in other units.
template <class E>
__attribute__((noinline)) void orthogonalize_rescaled(int64_t i, int64_t length, int64_t across,
                                                      const E* arrayT, E hidden, E* triangle,
                                                      E* u) {
  typedef typename Element<E>::T T;
  E largest = hidden;
  for (int64_t j = 0; j < length; ++j) {
    const E size = signed_as(arrayT[j * across + i], E{} + T(1));
    largest = size > largest ? size : largest;
  }
  const E unit = largest > 0 ? largest : E{} + T(1);
  E sum = hidden;
  for (int64_t j = 0; j < length; ++j) {
    u[j] = arrayT[j * across + i] / unit;
    sum += u[j] * u[j];
  }
  const E size = root(sum);
  for (int64_t j = 0; j < length; ++j) u[j] = sum > 0 ? u[j] / size : sum;
  const int64_t first = begin_of<E>(i);
  product<set, E>(1, length, across - first, {u, 0, 1}, arrayT + first, across, triangle + first,
                  across);
  triangle[i] = size * unit;
}

// The first `rows` rows of Q, u (rows, stride), and columns of the triangle, triangleT (rows,
// across), of an array given, and used up, as arrayT (length, across). The first `short_rows` rows
// have only `short_length` columns. Where `hidden` (short_rows) is 1 the row, being 0, counts as 1
// beside all others.
template <class E>
__attribute__((noinline)) void triangularize(int64_t rows, int64_t short_rows, int64_t short_length,
                                             int64_t length, int64_t across, E* arrayT,
                                             const E* hidden, E* triangleT, int64_t stride, E* u) {
  typedef typename Element<E>::T T;
  const int64_t first_length = short_rows ? short_length : length;
  clear(across, triangleT);
  if (rows) common<false, E>(0, first_length, across, 0, arrayT, nullptr, nullptr, triangleT);
  for (int64_t i = 0; i < rows; ++i, u += stride, triangleT += across) {
    const int64_t own_length = i < short_rows ? short_length : length,
                  next_length = i + 1 < short_rows ? short_length : length,
                  first = begin_of<E>(i);
    const E beside = i < short_rows ? hidden[i] : E{}, square = triangleT[i] + beside;
    for (int64_t j = own_length; j < stride; ++j) u[j] = E{};
    if (__builtin_expect(any(!(square >= least_square<T> && square <= largest_square<T>)), 0)) {
      orthogonalize_rescaled<E>(i, own_length, across, arrayT, beside, triangleT, u);
    } else {
      const E size = root(square), inverse = T(1) / size;
      multiply(across - first, inverse, triangleT + first);
      triangleT[i] = size;
      for (int64_t j = 0; j < own_length; ++j) u[j] = arrayT[j * across + i] * inverse;
    }
    if (i + 1 == rows) break;
    clear(across, triangleT + across);
    common<true, E>(0, own_length, across, i + 1, arrayT, u, triangleT, triangleT + across);
    if (own_length < next_length)
      common<false, E>(own_length, next_length, across, i + 1, arrayT, nullptr, nullptr,
                       triangleT + across);
  }
}

// The same where the number of rows and of short rows are known when the code is compiled: one pass
// over the columns for each row, which takes out what there is of it and adds up what the next one
// has in common with the others.
template <class E, int N, int P>
struct Straight {
  typedef typename Element<E>::T T;
  typedef typename Element<E>::Row Row;
  static constexpr int block = Element<E>::block, across = padded<E>(N), registers = across / block;

  int64_t rows, short_length, length;
  E* arrayT;
  const E* hidden;
  E* triangleT;
  int64_t stride;
  E* u;

  static GL_INLINE E number(const Row* x, int i) {
    if constexpr (is_batch<E>)
      return x[i];
    else
      return x[i / block][i % block];
  }

  template <int first>
  static GL_INLINE void add_common(const Row* x, int pivot, Row* sum) {
    const Row factor = spread<E>(number(x, pivot));
#pragma GCC unroll 16
    for (int k = first; k < registers; ++k) sum[k] += factor * x[k];
  }

  GL_INLINE void run() {
    Row sum[2][registers];
#pragma GCC unroll 16
    for (int k = 0; k < registers; ++k) sum[0][k] = sum[1][k] = Row{};
    for (int64_t j = 0; j < (P ? short_length : length); ++j)
      add_common<0>(reinterpret_cast<const Row*>(arrayT + j * across), 0, sum[0]);
    row<0>(sum);
  }

  template <int I>
  GL_INLINE void row(Row (*sum)[registers]) {
    constexpr int first = I / block, next = (I + 1) / block;
    const int64_t own_length = I < P ? short_length : length;
    E *triangle = triangleT + I * across, *own = u + I * stride;
    auto* column = reinterpret_cast<Row*>(triangle);
    const E beside = I < P ? hidden[I] : E{};
#pragma GCC unroll 16
    for (int k = 0; k < first; ++k) column[k] = Row{};
#pragma GCC unroll 16
    for (int k = first; k < registers; ++k) column[k] = sum[0][k] += sum[1][k];
    for (int64_t j = own_length; j < stride; ++j) own[j] = E{};
    const E square = number(sum[0], I) + beside;
    if (__builtin_expect(any(!(square >= least_square<T> && square <= largest_square<T>)), 0)) {
      rescaled_row(I, own_length, beside, triangle, own);
      if (I + 1 < N)
        for (int k = next; k < registers; ++k)
          sum[0][k] = reinterpret_cast<Row*>(triangle + across)[k], sum[1][k] = Row{};
    } else {
      const E size = root(square), inverse = T(1) / size;
      const Row factor = spread<E>(inverse);
      Row gone[registers];
#pragma GCC unroll 16
      for (int k = first; k < registers; ++k) column[k] = gone[k] = sum[0][k] * factor;
      triangle[I] = size;
#pragma GCC unroll 16
      for (int k = first; k < registers; ++k) sum[0][k] = sum[1][k] = Row{};
      const auto step = [&](int64_t j, int way) __attribute__((always_inline)) {
        auto* from = reinterpret_cast<Row*>(arrayT + j * across);
        Row x[registers];
#pragma GCC unroll 16
        for (int k = first; k < registers; ++k) x[k] = from[k];
        const E share = number(x, I) * inverse;
        own[j] = share;
        if constexpr (I + 1 < N) {
          const Row part = spread<E>(share);
#pragma GCC unroll 16
          for (int k = next; k < registers; ++k) from[k] = x[k] -= part * gone[k];
          add_common<next>(x, I + 1, sum[way]);
        }
      };
      int64_t j = 0;
      for (; j + 2 <= own_length; j += 2) step(j, 0), step(j + 1, 1);
      if (j < own_length) step(j, 0);
    }
    if constexpr (I + 1 < N) {
      if (I + 1 == P) {
        if (rows == P) return;
        for (int64_t j = own_length; j < length; ++j)
          add_common<next>(reinterpret_cast<const Row*>(arrayT + j * across), I + 1, sum[0]);
      }
      row<I + 1>(sum);
    }
  }

  __attribute__((noinline)) void rescaled_row(int64_t i, int64_t own_length, E beside, E* triangle,
                                              E* own) {
    orthogonalize_rescaled<E>(i, own_length, across, arrayT, beside, triangle, own);
    if (i + 1 == rows) return;
    clear(across, triangle + across);
    common<true, E>(0, own_length, across, i + 1, arrayT, own, triangle, triangle + across);
  }
};

// Q as the product of reflections that it is, n rows u_i (., c) with `stride` between them, of
// which the first `short_rows` have only so many numbers other than 0 as `short_length`. Where the
// array is singular the u are not orthogonal to each other; this is all the same.

// w (c) = the c columns of Qᵀ z: zᵀ [.. Q] for z (n); `w` comes in as what stands beside z in the
// columns that Q does not span, mostly 0.
template <class E>
GL_INLINE void turn_back(int64_t n, int64_t c, int64_t stride, const E* u, const E* z, E* w) {
  for (int64_t i = n - 1; i >= 0; --i) {
    const E change = z[i] - dot(padded<E>(c), u + i * stride, w);
    add_multiple(padded<E>(c), change, u + i * stride, w);
  }
}

// The same for several z at once, rows of `columns` numbers: zs (n, columns), ws (c, columns).
template <class E>
GL_INLINE void turn_back_all(int64_t n, int64_t c, int64_t stride, const E* u, const E* zs,
                             int64_t columns, E* change, E* ws) {
  for (int64_t i = n - 1; i >= 0; --i) {
    const E* row = u + i * stride;
    for (int64_t k = 0; k < columns; ++k) change[k] = zs[i * columns + k];
    product<subtract, E>(1, c, columns, {row, 0, 1}, ws, columns, change, columns);
    product<add, E>(c, 1, columns, {row, 1, 0}, change, columns, ws, columns);
  }
}

// Some registers of u wᵀ taken out of the rows w of `rest` (c, across), and what is then left of
// them in the next row of Q, in the row after `head`: one pass over them.
template <int count, class E>
GL_INLINE void turn_tile(int64_t c, int64_t across, int64_t first, const E* u, const E* next,
                         E* head, E* rest) {
  typedef typename Element<E>::Row Row;
  Row gone[count], sum[2][count];
#pragma GCC unroll 2
  for (int k = 0; k < count; ++k) {
    gone[k] = reinterpret_cast<const Row*>(head + first)[k];
    sum[0][k] = sum[1][k] = Row{};
  }
  const auto step = [&](int64_t j, int way) __attribute__((always_inline)) {
    auto* row = reinterpret_cast<Row*>(rest + j * across + first);
#pragma GCC unroll 2
    for (int k = 0; k < count; ++k) {
      const Row x = row[k] = row[k] - spread<E>(u[j]) * gone[k];
      if (next) sum[way][k] += spread<E>(next[j]) * x;
    }
  };
  int64_t j = 0;
  for (; j + 2 <= c; j += 2) step(j, 0), step(j + 1, 1);
  if (j < c) step(j, 0);
  if (next)
    for (int k = 0; k < count; ++k)
      reinterpret_cast<Row*>(head + across + first)[k] = sum[0][k] + sum[1][k];
}

// The first d columns of the orthogonal matrix that Q is part of: Ω and Θ in the rows of
// head (n, across d), and Ψ, what completes them, in those of rest (c, across d).
template <class E>
__attribute__((noinline)) void first_columns(int64_t n, int64_t c, int64_t d, int64_t stride,
                                             const E* u, E* head, E* rest) {
  constexpr int64_t block = Element<E>::block;
  const int64_t across = padded<E>(d);
  clear(c * across, rest);
  for (int64_t j = 0; j < d; ++j) rest[j * across + j] += 1;
  if (n == 0) return;
  copy(across, u, head);
  for (int64_t k = d; k < across; ++k) head[k] = E{};
  for (int64_t i = 0; i < n; ++i, u += stride, head += across) {
    const E* next = i + 1 < n ? u + stride : nullptr;
    int64_t first = 0;
    for (; across - first >= 2 * block; first += 2 * block)
      turn_tile<2>(c, across, first, u, next, head, rest);
    for (; across > first; first += block) turn_tile<1>(c, across, first, u, next, head, rest);
  }
}

// A square lower factor of an array, given and used up as arrayT (columns, across d); factorT
// (d, across d); u: memory (d, columns).
template <class E>
inline void lower_factor(int64_t d, int64_t columns, E* arrayT, E* u, E* factorT) {
  const int64_t across = padded<E>(d);
  triangularize<E>(d, 0, 0, columns, across, arrayT, nullptr, factorT, columns, u);
  for (int64_t i = 0; i < d; ++i)
    for (int64_t k = 0; k < across; ++k)
      if (k < i || k >= d) factorT[i * across + k] = E{};
}

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
