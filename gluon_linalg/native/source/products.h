// Products of matrices, of one or of as many as there are lanes. Sums run over k = 0, 1, ... in
// both, so that their bits are the same.
#pragma once

#include "lanes.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// Element (i, j) is at[i * row + j * column].
template <class V>
struct View {
  V* at;
  int64_t row, column;
  GL_INLINE View transposed() const { return {at, column, row}; }
  GL_INLINE V& operator()(int64_t i, int64_t j) const { return at[i * row + j * column]; }
};

// What is computed of a product: all, or what lies on the diagonal and below (and some of the
// rest).
enum Part { whole, lower };

constexpr bool many_registers = GL_BYTES == 64;

template <int R, int C, class V>
GL_INLINE void tile(View<V> a, View<V> b, View<V> c, int64_t i, int64_t j, int64_t length) {
  V sum[R][C] = {};
  for (int64_t k = 0; k < length; ++k)
    for (int r = 0; r < R; ++r)
      for (int s = 0; s < C; ++s) sum[r][s] += a(i + r, k) * b(k, j + s);
  for (int r = 0; r < R; ++r)
    for (int s = 0; s < C; ++s) c(i + r, j + s) = sum[r][s];
}

template <int R, class V>
GL_INLINE void tiles(View<V> a, View<V> b, View<V> c, int64_t i, int64_t columns, int64_t length) {
  int64_t j = 0;
  for (; j + 4 <= columns; j += 4) tile<R, 4>(a, b, c, i, j, length);
  for (; j < columns; ++j) tile<R, 1>(a, b, c, i, j, length);
}

// C = A B of matrices in lanes, (rows, length) and (length, columns).
inline void product(View<Lanes<double>> a, View<Lanes<double>> b, View<Lanes<double>> c,
                    int64_t rows, int64_t columns, int64_t length, Part part, bool) {
  constexpr int R = many_registers ? 4 : 2;
  int64_t i = 0;
  for (; i + R <= rows; i += R) {
    const int64_t end = part == lower && i + R < columns ? i + R : columns;
    tiles<R>(a, b, c, i, end, length);
  }
  for (; i < rows; ++i) {
    const int64_t end = part == lower && i + 1 < columns ? i + 1 : columns;
    tiles<1>(a, b, c, i, end, length);
  }
}

// C = A B of one matrix, or C - A B; `threads`: on several.
inline void product(View<double> a, View<double> b, View<double> c, int64_t rows, int64_t columns,
                    int64_t length, Part part, bool threads, bool subtract = false) {
  constexpr int R = many_registers ? 8 : 4, S = 3, W = width<double>, C = S * W;
  const int64_t row_panels = (rows + R - 1) / R, column_panels = (columns + C - 1) / C;
  Scratch scratch(sizeof(double) * length * (row_panels * R + column_panels * C));
  double* left = scratch.as<double>();
  double* right = left + row_panels * R * length;
  const auto pack = [length](View<double> from, int64_t count, int64_t size, int64_t panel,
                             double* to) {
    const int64_t first = panel * size;
    for (int64_t k = 0; k < length; ++k)
      for (int64_t r = 0; r < size; ++r)
        to[k * size + r] = first + r < count ? from(first + r, k) : 0.0;
  };
  // Right panels first: they start on whole registers.
  right = scratch.as<double>();
  left = right + column_panels * C * length;
  const double nanoseconds = 0.1 * double(length) * R * double(columns);
  const auto over_panels = [&](int64_t count, double each, const auto& body) {
    if (threads) {
      parallel_for(count, each, body);
    } else {
      body(0, count);
    }
  };
  over_panels(row_panels + column_panels, 10.0 * double(length), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      if (p < column_panels) {
        pack(b.transposed(), columns, C, p, right + p * C * length);
      } else {
        const int64_t q = p - column_panels;
        pack(a, rows, R, q, left + q * R * length);
      }
    }
  });
  const auto one = [&](int64_t p, int64_t q) {
    const double* x = left + p * R * length;
    const auto* y = reinterpret_cast<const Lanes<double>*>(right + q * C * length);
    Lanes<double> sum[R][S] = {};
    for (int64_t k = 0; k < length; ++k, x += R, y += S)
      for (int r = 0; r < R; ++r)
        for (int s = 0; s < S; ++s) sum[r][s] += x[r] * y[s];
    const int64_t i = p * R, j = q * C;
    for (int r = 0; r < R && i + r < rows; ++r)
      for (int s = 0; s < C && j + s < columns; ++s) {
        const double x = sum[r][s / W][s % W];
        double& to = c(i + r, j + s);
        to = subtract ? to - x : x;
      }
  };
  // Rows are dealt out in turns, since the lower triangle has more of the last ones.
  const int64_t parts = threads ? thread_limit() : 1;
  over_panels(parts, nanoseconds * double(row_panels) / double(parts),
              [&](int64_t begin, int64_t end) {
                for (int64_t t = begin; t < end; ++t)
                  for (int64_t q = 0; q < column_panels; ++q)
                    for (int64_t p = t; p < row_panels; p += parts)
                      if (part == whole || q * C < (p + 1) * R) one(p, q);
              });
}

// The upper triangle from the lower one.
template <class V>
inline void mirror(V* a, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j) a[j * n + i] = a[i * n + j];
}

// ½(A + Aᵀ) in place.
template <class V>
inline void symmetrize(V* a, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j) a[j * n + i] = a[i * n + j] = 0.5 * (a[i * n + j] + a[j * n + i]);
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
