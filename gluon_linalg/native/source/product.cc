// Products of matrices: of numbers by panels that stay in the caches, of registers by tiles.
//
// The scheme for numbers is that of Goto & van de Geijn 2008, Anatomy of high-performance matrix
// multiplication. How an element is summed does not depend on threads or on what is beside it.

#include "product.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// As many sums as there are registers for, less those for the factors.
constexpr int tile_rows = GL_BYTES == 64 ? 8 : 6;
constexpr int most_registers = GL_BYTES == 64 ? 3 : 2;
constexpr int64_t depth = 256, height = 120, breadth = 960;

GL_INLINE int64_t least(int64_t x, int64_t y) { return x < y ? x : y; }

// The form of Cᵀ = Bᵀ Aᵀ.
GL_INLINE int transposed(int form) {
  const auto moved = [form](Form from, Form to) { return form & from ? to : general; };
  return moved(lower_result, upper_result) | moved(upper_result, lower_result) |
         moved(lower_left, upper_right) | moved(upper_left, lower_right) |
         moved(lower_right, upper_left) | moved(upper_right, lower_left);
}

struct Range {
  int64_t begin, end;
  GL_INLINE int64_t size() const { return end - begin; }
};

// Which terms k of the sums of C[rows, columns] need be added, of those in `terms`.
GL_INLINE Range terms_of(int form, Range rows, Range columns, Range terms) {
  if (((form & lower_result) && columns.begin >= rows.end) ||
      ((form & upper_result) && rows.begin >= columns.end))
    return {terms.begin, terms.begin};
  const auto from = [&](int64_t first) {
    if (terms.begin < first) terms.begin = first;
  };
  if (form & upper_left) from(rows.begin);
  if (form & lower_right) from(columns.begin);
  if (form & lower_left) terms.end = least(terms.end, rows.end);
  if (form & upper_right) terms.end = least(terms.end, columns.end);
  return terms;
}

// C (rows, columns) += s A B for columns <= registers * width. A by its strides; rows of B are
// `b_row` apart and hold registers * width numbers.
template <class T, int rows, int registers>
inline void tile(T s, const T* a, int64_t a_row, int64_t a_col, const T* b, int64_t b_row, T* c,
                 int64_t c_row, int columns, int64_t k) {
  using Loose = typename Unaligned<T>::Lanes;
  // Unrolled everywhere: an array that is looked at in a loop is kept in memory.
  Lanes<T> sum[rows][registers];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < registers; ++v) {
      __builtin_prefetch(c + r * c_row + v * width<T>, 1);
      sum[r][v] = Lanes<T>{};
    }
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
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < registers; ++v) {
        auto* to = reinterpret_cast<Loose*>(c + r * c_row) + v;
        *to += s * sum[r][v];
      }
  } else {
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      Lanes<T> kept[registers];
#pragma GCC unroll 8
      for (int v = 0; v < registers; ++v) kept[v] = sum[r][v];
      const T* line = reinterpret_cast<const T*>(kept);
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

// Numbers of a panel of `wide` columns of B after each other, with zeros after its end.
template <int wide, class T>
inline void pack_panel(View<T> b, int64_t k, int64_t columns, T* to) {
  constexpr int part = wide % width<T> ? wide : width<T>;
  for (int64_t first = 0; first < wide; first += part) {
    const auto from = b.from(0, first);
    T* own = to + first;
    const int64_t count = least(columns - first, part);
    if (count == part && b.col == 1) {
      for (int64_t p = 0; p < k; ++p) std::memcpy(own + p * wide, &from(p, 0), sizeof(T) * part);
    } else if (count == part && b.row == 1) {
      copy_transposed<part>(from.at, b.col, k, own, wide);
    } else {
      for (int64_t p = 0; p < k; ++p)
        for (int c = 0; c < part; ++c) own[p * wide + c] = c < count ? from(p, c) : 0;
    }
  }
}

template <int wide, class T>
inline void pack(View<T> b, int64_t k, int64_t columns, T* to) {
  for (int64_t j = 0; j < columns; j += wide, to += wide * k)
    pack_panel<wide>(b.from(0, j), k, least(columns - j, wide), to);
}

// C[rows, columns] += s A B.
template <class T>
void by_panels(T s, View<T> a, View<T> b, View<T> c, Range rows, Range columns, int64_t k,
               int form) {
  constexpr int64_t wide = most_registers * width<T>;
  const int64_t deep = least(k, depth);
  const int64_t broad = (least(columns.size(), breadth) + wide - 1) / wide * wide;
  const int64_t high = (least(rows.size(), height) + tile_rows - 1) / tile_rows * tile_rows;
  // A side that is read a few times only stays where it is, where it can be read from there.
  const bool packs_left = columns.size() > 4 * wide;
  const bool packs_right = rows.size() > 2 * tile_rows || b.col != 1;
  Scratch scratch(sizeof(T) * (broad * deep + (packs_left ? high * deep : 0)));
  T *right = scratch.as<T>(), *left = right + broad * deep;
  for (int64_t j0 = columns.begin; j0 < columns.end; j0 += breadth) {
    const Range own{j0, least(columns.end, j0 + breadth)};
    for (int64_t p0 = 0; p0 < k; p0 += depth) {
      const Range inner{p0, least(k, p0 + depth)};
      if (terms_of(form, rows, own, inner).size() <= 0) continue;
      const int64_t in_place = packs_right ? 0 : own.size() / wide * wide;
      pack<int(wide)>(b.from(p0, j0 + in_place), inner.size(), own.size() - in_place,
                      right + in_place * inner.size());
      for (int64_t i0 = rows.begin; i0 < rows.end; i0 += height) {
        const Range some{i0, least(rows.end, i0 + height)};
        if (terms_of(form, some, own, inner).size() <= 0) continue;
        if (packs_left)
          pack<tile_rows>(a.from(i0, p0).transposed(), inner.size(), some.size(), left);
        for (int64_t j = own.begin; j < own.end; j += wide) {
          const int seen = int(least(own.end - j, wide));
          for (int64_t i = some.begin; i < some.end; i += tile_rows) {
            const int count = int(least(some.end - i, tile_rows));
            const Range terms = terms_of(form, {i, i + count}, {j, j + seen}, inner);
            if (terms.size() <= 0) continue;
            const int64_t skipped = terms.begin - p0;
            const T* from = packs_left ? left + (i - i0) * inner.size() + skipped * tile_rows
                                       : &a(i, terms.begin);
            const int64_t row = packs_left ? 1 : a.row, col = packs_left ? tile_rows : a.col;
            const bool placed = j - j0 < in_place;
            const T* beside = placed ? &b(terms.begin, j)
                                     : right + (j - j0) * inner.size() + skipped * wide;
            const int64_t next = placed ? b.row : wide;
            T* to = &c(i, j);
            const int64_t size = terms.size();
            if (seen <= width<T>) {
              tiles<T, 1>(s, from, row, col, beside, next, to, c.row, count, seen, size);
            } else if (seen <= 2 * width<T>) {
              tiles<T, 2>(s, from, row, col, beside, next, to, c.row, count, seen, size);
            } else {
              tiles<T, most_registers>(s, from, row, col, beside, next, to, c.row, count, seen,
                                       size);
            }
          }
        }
      }
    }
  }
}

// C += s A Bᵀ of few rows that are long, B (n, k).
template <class T>
void by_rows_of_both(T s, View<T> a, View<T> b, View<T> c, int64_t m, int64_t n, int64_t k,
                     int form) {
  using Loose = typename Unaligned<T>::Lanes;
  constexpr int high = 4, broad = GL_BYTES == 64 ? 4 : 2, wide = width<T>;
  for (int64_t i = 0; i < m; i += high)
    for (int64_t j = 0; j < n; j += broad) {
      const Range terms = terms_of(form, {i, least(m, i + high)}, {j, least(n, j + broad)}, {0, k});
      if (terms.size() <= 0) continue;
      const T *left[high], *right[broad];
      for (int r = 0; r < high; ++r) left[r] = &a(least(i + r, m - 1), 0);
      for (int q = 0; q < broad; ++q) right[q] = &b(least(j + q, n - 1), 0);
      Lanes<T> sum[high * broad] = {};
      int64_t p = terms.begin;
      for (; p + wide <= terms.end; p += wide) {
        Lanes<T> of_right[broad];
#pragma GCC unroll 4
        for (int q = 0; q < broad; ++q) of_right[q] = *reinterpret_cast<const Loose*>(right[q] + p);
#pragma GCC unroll 4
        for (int r = 0; r < high; ++r) {
          const Lanes<T> of_left = *reinterpret_cast<const Loose*>(left[r] + p);
#pragma GCC unroll 4
          for (int q = 0; q < broad; ++q) sum[r * broad + q] += of_left * of_right[q];
        }
      }
      T total[high * broad];
      for (int g = 0; g < high * broad; g += wide) {
        exchange<T>(sum + g);
        Lanes<T> all_lanes = sum[g];
        for (int v = 1; v < wide; ++v) all_lanes += sum[g + v];
        std::memcpy(total + g, &all_lanes, sizeof all_lanes);
      }
      for (int r = 0; r < high && i + r < m; ++r)
        for (int q = 0; q < broad && j + q < n; ++q) {
          T rest = total[r * broad + q];
          for (int64_t t = p; t < terms.end; ++t) rest += left[r][t] * right[q][t];
          c(i + r, j + q) += s * rest;
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

// Where part t of `parts` begins, of which all have as much to do: of 0, ..., size - 1, where what
// is to be done with i is i, at most `span` (growth 1), span - i, at least 0 (-1), or the same (0).
inline int64_t beginning(int64_t t, int64_t parts, int64_t size, int growth, int64_t span) {
  constexpr int64_t step = 24;
  if (t == parts) return size;
  const double share = double(t) / double(parts), all = double(size), most = double(span);
  const double triangle = 0.5 * most * most, wedge = 0.5 * all * all;
  double first = share * all;
  if (growth > 0) {
    const double work = share * (all < most ? wedge : triangle + most * (all - most));
    first = work < triangle ? __builtin_sqrt(2 * work) : most + (work - triangle) / most;
  }
  if (growth < 0) {
    const double work = share * (all < most ? most * all - wedge : triangle);
    first = most - __builtin_sqrt(2 * (triangle - work));
  }
  return int64_t(first) / step * step;
}

template <class T>
void multiply(T s, View<T> a, View<T> b, View<T> c, int64_t m, int64_t n, int64_t k, bool threads,
              int form) {
  if (m <= 0 || n <= 0 || k <= 0) return;
  if (n == 1) return times_vector(s, a, b, c, m, k);
  const bool by_columns = c.col != 1 && c.col != -1;
  if (m == 1 || by_columns) {
    const auto other = a;
    a = b.transposed(), b = other.transposed(), c = c.transposed();
    const int64_t size = m;
    m = n, n = size;
    form = transposed(form);
    if (n == 1) return times_vector(s, a, b, c, m, k);
  }
  // What runs backwards on both sides runs forwards as well.
  if (c.col == -1) {
    c = {&c(0, n - 1), c.row, 1}, b = {&b(0, n - 1), b.row, -b.col};
    form = general;
  }
  if (c.row < 0) {
    c = {&c(m - 1, 0), -c.row, c.col}, a = {&a(m - 1, 0), -a.row, a.col};
    form = general;
  }
  if (a.col < 0 && b.row < 0) {
    a = {&a(0, k - 1), a.row, -a.col}, b = {&b(k - 1, 0), -b.row, b.col};
    form = general;
  }
  if (m <= 32 && n <= 64 && k >= 8 * width<T> && a.col == 1 && b.row == 1)
    return by_rows_of_both(s, a, b.transposed(), c, m, n, k, form);
  const bool by_rows = m > n || (form & (lower_result | upper_result));
  const int64_t size = by_rows ? m : n, limit = threads ? thread_limit() : 1;
  // Two for each thread, so that none waits long for another; each packs what it needs.
  const int64_t parts = least(size / 48, limit > 1 ? 2 * limit : 1);
  if (parts < 2) return by_panels(s, a, b, c, {0, m}, {0, n}, k, form);
  const int rising = lower_result | (by_rows ? lower_left : upper_right);
  const int falling = upper_result | (by_rows ? upper_left : lower_right);
  const int growth = form & rising ? 1 : form & falling ? -1 : 0;
  const int64_t span = form & (lower_result | upper_result) ? n : k;
  const double cost = 0.025 * double(m) * double(n) * double(k) / double(parts);
  parallel_for(parts, growth ? 0.5 * cost : cost, [&](int64_t begin, int64_t end) {
    const Range own{beginning(begin, parts, size, growth, span),
                    beginning(end, parts, size, growth, span)};
    if (by_rows) {
      by_panels(s, a, b, c, own, {0, n}, k, form);
    } else {
      by_panels(s, a, b, c, {0, m}, own, k, form);
    }
  });
}

template <bool fresh, class V, int rows, int columns>
inline void tile_of_lanes(Number<V> s, View<V> a, View<V> b, View<V> c, int64_t k) {
  V sum[rows][columns] = {};
  for (int64_t p = 0; p < k; ++p) {
    V right[columns];
#pragma GCC unroll 4
    for (int j = 0; j < columns; ++j) right[j] = b(p, j);
#pragma GCC unroll 6
    for (int r = 0; r < rows; ++r) {
      const V left = a(r, p);
#pragma GCC unroll 4
      for (int j = 0; j < columns; ++j) sum[r][j] += left * right[j];
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int j = 0; j < columns; ++j) c(r, j) = fresh ? s * sum[r][j] : c(r, j) + s * sum[r][j];
}

// C += s A B, or C = s A B.
template <bool fresh, class V>
void multiply_lanes(Number<V> s, View<V> a, View<V> b, View<V> c, int64_t m, int64_t n, int64_t k,
                    int form) {
  constexpr int most = GL_BYTES == 64 ? 4 : 2;
  const auto some = [&](int64_t i, auto rows) {
    constexpr int high = decltype(rows)::value;
    const auto part = [&](int64_t j, auto columns) {
      constexpr int broad = decltype(columns)::value;
      const Range terms = terms_of(form, {i, i + high}, {j, j + broad}, {0, k});
      if (fresh || terms.size() > 0)
        tile_of_lanes<fresh, V, high, broad>(s, a.from(i, terms.begin), b.from(terms.begin, j),
                                      c.from(i, j), terms.size());
    };
    int64_t j = 0;
    for (; j + most <= n; j += most) part(j, std::integral_constant<int, most>{});
    for (; j < n; ++j) part(j, std::integral_constant<int, 1>{});
  };
  constexpr int high = GL_BYTES == 64 ? 6 : 4;
  int64_t i = 0;
  for (; i + high <= m; i += high) some(i, std::integral_constant<int, high>{});
  if constexpr (high > 4)
    if (i + 4 <= m) some(i, std::integral_constant<int, 4>{}), i += 4;
  for (; i < m; ++i) some(i, std::integral_constant<int, 1>{});
}

}  // namespace

#define GL_PRODUCT(T)                                                                          \
  void add_product(T s, View<T> a, View<T> b, View<T> c, int64_t m, int64_t n, int64_t k,      \
                   bool threads, int form) {                                                   \
    multiply(s, a, b, c, m, n, k, threads, form);                                              \
  }                                                                                            \
  void add_product(T s, View<Lanes<T>> a, View<Lanes<T>> b, View<Lanes<T>> c, int64_t m,       \
                   int64_t n, int64_t k, bool, int form) {                                     \
    multiply_lanes<false>(s, a, b, c, m, n, k, form);                                          \
  }                                                                                            \
  void set_product(T s, View<Lanes<T>> a, View<Lanes<T>> b, View<Lanes<T>> c, int64_t m,       \
                   int64_t n, int64_t k, bool, int form) {                                     \
    multiply_lanes<true>(s, a, b, c, m, n, k, form);                                           \
  }
GL_PRODUCT(double)
GL_PRODUCT(float)

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
