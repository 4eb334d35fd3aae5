// Products of matrices: of numbers by panels that stay in the caches, of registers by tiles.
//
// The scheme for numbers is that of Goto & van de Geijn 2008, Anatomy of high-performance matrix
// multiplication. How an element is summed does not depend on threads or on what is beside it.

#include "dense.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// As many sums as there are registers for, less those for the factors.
constexpr int tile_rows = GL_BYTES == 64 ? 8 : 6;
constexpr int most_registers = GL_BYTES == 64 ? 3 : 2;
constexpr int64_t depth = 192, height = 120, breadth = 960;

// C (rows, columns) += s A B for columns <= registers * width. A by its strides; rows of B are
// `b_row` apart and hold registers * width numbers.
template <class T, int rows, int registers>
inline void tile(T s, const T* a, int64_t a_row, int64_t a_col, const T* b, int64_t b_row, T* c,
                 int64_t c_row, int columns, int64_t k) {
  using Loose = typename Unaligned<T>::Lanes;
  Lanes<T> sum[rows][registers] = {};
  for (int64_t p = 0; p < k; ++p) {
    Lanes<T> right[registers];
#pragma GCC unroll 8
    for (int v = 0; v < registers; ++v)
      right[v] = reinterpret_cast<const Loose*>(b + p * b_row)[v];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const Lanes<T> left = all(a[r * a_row + p * a_col]);
#pragma GCC unroll 8
      for (int v = 0; v < registers; ++v) sum[r][v] += left * right[v];
    }
  }
  if (columns == registers * width<T>) {
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < registers; ++v) {
        auto* to = reinterpret_cast<Loose*>(c + r * c_row) + v;
        *to += s * sum[r][v];
      }
  } else {
    for (int r = 0; r < rows; ++r) {
      T line[registers * width<T>];
      std::memcpy(line, sum[r], sizeof line);
      for (int j = 0; j < columns; ++j) c[r * c_row + j] += s * line[j];
    }
  }
}

template <class T, int registers>
inline void tiles(T s, const T* a, int64_t a_row, int64_t a_col, const T* b, int64_t b_row, T* c,
                  int64_t c_row, int rows, int columns, int64_t k) {
  const auto some = [&](auto count) {
    tile<T, decltype(count)::value, registers>(s, a, a_row, a_col, b, b_row, c, c_row, columns, k);
    a += decltype(count)::value * a_row;
    c += decltype(count)::value * c_row;
    rows -= decltype(count)::value;
  };
  if (rows == tile_rows) return some(std::integral_constant<int, tile_rows>{});
  if (rows >= 4) some(std::integral_constant<int, 4>{});
  if (rows >= 2) some(std::integral_constant<int, 2>{});
  if (rows >= 1) some(std::integral_constant<int, 1>{});
}

// Rows of one panel of A after each other, and those of a panel of B with zeros after its end.
template <class T>
inline void pack_left(View<T> a, int64_t m, int64_t k, T* to) {
  for (int64_t i = 0; i < m; i += tile_rows) {
    const int64_t rows = m - i < tile_rows ? m - i : tile_rows;
    const auto from = a.from(i, 0);
    if (rows == tile_rows) {
      for (int64_t p = 0; p < k; ++p)
        for (int r = 0; r < tile_rows; ++r) to[p * tile_rows + r] = from(r, p);
    } else {
      for (int64_t p = 0; p < k; ++p)
        for (int r = 0; r < rows; ++r) to[p * tile_rows + r] = from(r, p);
    }
    to += tile_rows * k;
  }
}

template <class T>
inline void pack_right(View<T> b, int64_t k, int64_t n, T* to) {
  constexpr int64_t wide = most_registers * width<T>;
  for (int64_t j = 0; j < n; j += wide) {
    const int64_t columns = n - j < wide ? n - j : wide;
    const auto from = b.from(0, j);
    if (columns == wide && b.col == 1) {
      for (int64_t p = 0; p < k; ++p) std::memcpy(to + p * wide, &from(p, 0), sizeof(T) * wide);
    } else {
      if (columns < wide) std::memset(to, 0, sizeof(T) * wide * k);
      if (b.row == 1 || b.row == -1) {
        for (int64_t c = 0; c < columns; ++c)
          for (int64_t p = 0; p < k; ++p) to[p * wide + c] = from(p, c);
      } else {
        for (int64_t p = 0; p < k; ++p)
          for (int64_t c = 0; c < columns; ++c) to[p * wide + c] = from(p, c);
      }
    }
    to += wide * k;
  }
}

template <class T>
void by_panels(T s, View<T> a, View<T> b, View<T> c, int64_t m, int64_t n, int64_t k) {
  constexpr int64_t wide = most_registers * width<T>;
  const auto least = [](int64_t x, int64_t y) { return x < y ? x : y; };
  const int64_t deep = least(k, depth), broad = (least(n, breadth) + wide - 1) / wide * wide;
  const int64_t high = (least(m, height) + tile_rows - 1) / tile_rows * tile_rows;
  const bool packs_left = n > 4 * wide;
  Scratch scratch(sizeof(T) * (broad * deep + (packs_left ? high * deep : 0)));
  T *right = scratch.as<T>(), *left = right + broad * deep;
  for (int64_t j0 = 0; j0 < n; j0 += breadth) {
    const int64_t columns = least(n - j0, breadth);
    for (int64_t p0 = 0; p0 < k; p0 += depth) {
      const int64_t inner = least(k - p0, depth);
      pack_right(b.from(p0, j0), inner, columns, right);
      for (int64_t i0 = 0; i0 < m; i0 += height) {
        const int64_t rows = least(m - i0, height);
        if (packs_left) pack_left(a.from(i0, p0), rows, inner, left);
        for (int64_t j = 0; j < columns; j += wide) {
          const int seen = int(least(columns - j, wide));
          for (int64_t i = 0; i < rows; i += tile_rows) {
            const int some = int(least(rows - i, tile_rows));
            const T* from = packs_left ? left + i * inner : &a(i0 + i, p0);
            const int64_t row = packs_left ? 1 : a.row, col = packs_left ? tile_rows : a.col;
            T* to = &c(i0 + i, j0 + j);
            const T* beside = right + j * inner;
            if (seen <= width<T>) {
              tiles<T, 1>(s, from, row, col, beside, wide, to, c.row, some, seen, inner);
            } else if (seen <= 2 * width<T>) {
              tiles<T, 2>(s, from, row, col, beside, wide, to, c.row, some, seen, inner);
            } else {
              tiles<T, most_registers>(s, from, row, col, beside, wide, to, c.row, some, seen,
                                       inner);
            }
          }
        }
      }
    }
  }
}

// y += s A x.
template <class T>
void times_vector(T s, View<T> a, View<T> x, View<T> y, int64_t m, int64_t k) {
  using Loose = typename Unaligned<T>::Lanes;
  constexpr int wide = width<T>;
  Scratch scratch(sizeof(T) * (k + m));
  T *in = scratch.as<T>(), *out = in + k;
  const bool backwards = a.col == -1;
  for (int64_t p = 0; p < k; ++p) in[p] = x(backwards ? k - 1 - p : p, 0);
  if (a.col == 1 || backwards) {
    for (int64_t i = 0; i < m; ++i) {
      const T* line = &a(i, backwards ? k - 1 : 0);
      Lanes<T> sums[4] = {};
      int64_t p = 0;
      for (; p + 4 * wide <= k; p += 4 * wide)
        for (int v = 0; v < 4; ++v)
          sums[v] += reinterpret_cast<const Loose*>(line + p)[v] *
                     reinterpret_cast<const Loose*>(in + p)[v];
      const Lanes<T> sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
      T total = 0;
      for (int v = 0; v < wide; ++v) total += sum[v];
      for (; p < k; ++p) total += line[p] * in[p];
      y(i, 0) += s * total;
    }
    return;
  }
  for (int64_t i = 0; i < m; ++i) out[i] = 0;
  const bool upwards = a.row == -1;
  for (int64_t p = 0; p < k; ++p) {
    const T* line = &a(upwards ? m - 1 : 0, p);
    const int64_t step = upwards ? 1 : a.row;
    if (step == 1) {
      for (int64_t i = 0; i < m; ++i) out[i] += line[i] * in[p];
    } else {
      for (int64_t i = 0; i < m; ++i) out[i] += line[i * step] * in[p];
    }
  }
  for (int64_t i = 0; i < m; ++i) y(i, 0) += s * out[upwards ? m - 1 - i : i];
}

template <class T>
void multiply(T s, View<T> a, View<T> b, View<T> c, int64_t m, int64_t n, int64_t k, bool threads) {
  if (m <= 0 || n <= 0 || k <= 0) return;
  if (n == 1) return times_vector(s, a, b, c, m, k);
  const bool by_columns = c.col != 1 && c.col != -1;
  if (m == 1 || by_columns) {
    const auto other = a;
    a = b.transposed(), b = other.transposed(), c = c.transposed();
    const int64_t size = m;
    m = n, n = size;
    if (n == 1) return times_vector(s, a, b, c, m, k);
  }
  if (c.col == -1) {
    c = {c.at - (n - 1), c.row, 1};
    b = {&b(0, n - 1), b.row, -b.col};
  }
  if (!threads) return by_panels(s, a, b, c, m, n, k);
  const int64_t strip = 24, long_side = m > n ? m : n;
  const double cost = 0.05 * double(k) * double(m > n ? n : m) * double(strip);
  parallel_for((long_side + strip - 1) / strip, cost, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * strip, past = end * strip < long_side ? end * strip : long_side;
    if (m > n) {
      by_panels(s, a.from(first, 0), b, c.from(first, 0), past - first, n, k);
    } else {
      by_panels(s, a, b.from(0, first), c.from(0, first), m, past - first, k);
    }
  });
}

template <class V, int rows, int columns>
inline void tile_of_lanes(Number<V> s, View<V> a, View<V> b, View<V> c, int64_t k) {
  V sum[rows][columns] = {};
  for (int64_t p = 0; p < k; ++p) {
    V left[rows], right[columns];
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) left[r] = a(r, p);
#pragma GCC unroll 4
    for (int j = 0; j < columns; ++j) right[j] = b(p, j);
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
      for (int j = 0; j < columns; ++j) sum[r][j] += left[r] * right[j];
  }
  for (int r = 0; r < rows; ++r)
    for (int j = 0; j < columns; ++j) c(r, j) += s * sum[r][j];
}

template <class V, int rows>
inline void rows_of_lanes(Number<V> s, View<V> a, View<V> b, View<V> c, int64_t n, int64_t k) {
  constexpr int most = GL_BYTES == 64 ? 4 : 2;
  int64_t j = 0;
  for (; j + most <= n; j += most)
    tile_of_lanes<V, rows, most>(s, a, b.from(0, j), c.from(0, j), k);
  for (; j < n; ++j) tile_of_lanes<V, rows, 1>(s, a, b.from(0, j), c.from(0, j), k);
}

template <class V>
void multiply_lanes(Number<V> s, View<V> a, View<V> b, View<V> c, int64_t m, int64_t n,
                    int64_t k) {
  int64_t i = 0;
  for (; i + 4 <= m; i += 4) rows_of_lanes<V, 4>(s, a.from(i, 0), b, c.from(i, 0), n, k);
  for (; i < m; ++i) rows_of_lanes<V, 1>(s, a.from(i, 0), b, c.from(i, 0), n, k);
}

}  // namespace

void add_product(double s, View<double> a, View<double> b, View<double> c, int64_t m, int64_t n,
                 int64_t k, bool threads) {
  multiply(s, a, b, c, m, n, k, threads);
}

void add_product(float s, View<float> a, View<float> b, View<float> c, int64_t m, int64_t n,
                 int64_t k, bool threads) {
  multiply(s, a, b, c, m, n, k, threads);
}

void add_product(double s, View<Lanes<double>> a, View<Lanes<double>> b, View<Lanes<double>> c,
                 int64_t m, int64_t n, int64_t k, bool) {
  multiply_lanes(s, a, b, c, m, n, k);
}

void add_product(float s, View<Lanes<float>> a, View<Lanes<float>> b, View<Lanes<float>> c,
                 int64_t m, int64_t n, int64_t k, bool) {
  multiply_lanes(s, a, b, c, m, n, k);
}

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
