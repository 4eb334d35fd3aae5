// Triangles, by halves: what is not a product of matrices is small.

#include "triangle.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// Factors of the pivots where they are numbers that lose nothing; else 0, and pivots divide.
template <class V>
GL_INLINE V inverse_of(V pivot) {
  const V inverse = 1 / pivot, size = inverse < 0 ? -inverse : inverse;
  const V least = sizeof(V) == 8 ? V(0x1p-1000) : V(0x1p-120);
  return size > least && size < 1 / least ? inverse : 0;
}

// L X = B in place for n <= leaf, of so many registers of columns; row i of X is x + i * step.
template <int registers, class V>
inline void solve_rows(const V (&l)[16][16], const V* inverse, V* x, int64_t step, int64_t n,
                       bool unit) {
  using Loose = typename Unaligned<V>::Lanes;
  for (int64_t i = 0; i < n; ++i) {
    auto* own = reinterpret_cast<Loose*>(x + i * step);
    Lanes<V> sum[registers];
    for (int r = 0; r < registers; ++r) sum[r] = own[r];
    for (int64_t j = 0; j < i; ++j) {
      const auto* other = reinterpret_cast<const Loose*>(x + j * step);
      for (int r = 0; r < registers; ++r) sum[r] -= l[i][j] * other[r];
    }
    for (int r = 0; r < registers; ++r)
      own[r] = unit ? sum[r] : inverse[i] != 0 ? sum[r] * inverse[i] : sum[r] / l[i][i];
  }
}

// L X = B in place for n <= leaf.
template <class V>
inline void solve_leaf(View<V> l, View<V> x, int64_t n, int64_t columns, bool unit) {
  if constexpr (Traits<V>::lanes) {
    for (int64_t c = 0; c < columns; ++c)
      for (int64_t i = 0; i < n; ++i) {
        V sum = x(i, c);
        for (int64_t j = 0; j < i; ++j) sum -= l(i, j) * x(j, c);
        x(i, c) = unit ? sum : sum / l(i, i);
      }
  } else {
    constexpr int leaf = Traits<V>::leaf;
    V own[leaf][leaf], inverse[leaf];
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j <= i; ++j) own[i][j] = l(i, j);
      inverse[i] = inverse_of(own[i][i]);
    }
    const auto chunks = [&](auto registers) {
      constexpr int count = decltype(registers)::value, wide = count * width<V>;
      int64_t first = 0;
      if (x.col == 1)
        for (; first + wide <= columns; first += wide)
          solve_rows<count>(own, inverse, &x(0, first), x.row, n, unit);
      // What lies otherwise is copied, columns that follow each other by blocks.
      alignas(64) V part[leaf][wide];
      const bool upwards = x.row == 1, downwards = x.row == -1;
      for (; first < columns; first += wide) {
        const int64_t some = columns - first < wide ? columns - first : wide;
        const auto from = x.from(0, first);
        V* start = &part[downwards ? n - 1 : 0][0];
        const int64_t step = downwards ? -wide : wide;
        if ((upwards || downwards) && some == wide) {
          copy_transposed<wide>(&from(downwards ? n - 1 : 0, 0), x.col, n, part[0], wide);
        } else {
          if (some < wide) std::memset(part, 0, sizeof part);
          for (int64_t i = 0; i < n; ++i)
            for (int64_t c = 0; c < some; ++c) start[i * step + c] = from(i, c);
        }
        solve_rows<count>(own, inverse, start, step, n, unit);
        if ((upwards || downwards) && some == wide && n == leaf) {
          copy_transposed<leaf>(part[0], wide, wide, &from(downwards ? n - 1 : 0, 0), x.col);
        } else {
          for (int64_t c = 0; c < some; ++c)
            for (int64_t i = 0; i < n; ++i) from(i, c) = start[i * step + c];
        }
      }
    };
    if (columns <= width<V>) {
      chunks(std::integral_constant<int, 1>{});
    } else {
      chunks(std::integral_constant<int, 4>{});
    }
  }
}

template <class V>
void solve_part(View<V> l, View<V> x, int64_t n, int64_t columns, bool unit) {
  if (n <= Traits<V>::leaf) return solve_leaf(l, x, n, columns, unit);
  const int64_t h = half_of<V>(n);
  solve_part(l, x, h, columns, unit);
  add_product(-1, l.from(h, 0), x, x.from(h, 0), n - h, columns, h, false);
  solve_part(l.from(h, h), x.from(h, 0), n - h, columns, unit);
}

}  // namespace

template <class V>
void solve_lower(View<V> l, View<V> x, int64_t n, int64_t columns, bool threads, bool unit) {
  if (n == 0 || columns == 0) return;
  constexpr int64_t strip = 64;
  if (!threads || columns < 2 * strip) return solve_part(l, x, n, columns, unit);
  parallel_for((columns + strip - 1) / strip, 0.02 * double(n * n * strip),
               [&](int64_t begin, int64_t end) {
                 const int64_t last = end * strip < columns ? end * strip : columns;
                 solve_part(l, x.from(0, begin * strip), n, last - begin * strip, unit);
               });
}

namespace {

// Where it is a number > 0, its root; NaN elsewhere.
template <class V>
inline V pivot_of(V square) {
  return root(square > 0 ? square : not_a_number(V{}));
}

template <class V>
inline void factor_leaf(View<V> a, int64_t n) {
  if constexpr (Traits<V>::lanes) {
    for (int64_t j = 0; j < n; ++j)
      for (int64_t i = j; i < n; ++i) {
        V sum = a(i, j);
        for (int64_t k = 0; k < j; ++k) sum -= a(i, k) * a(j, k);
        a(i, j) = i == j ? pivot_of(sum) : sum / a(j, j);
      }
  } else {
    constexpr int leaf = Traits<V>::leaf;
    // By rows of Lᵀ.
    alignas(64) V u[leaf][leaf] = {};
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j <= i; ++j) u[j][i] = a(i, j);
    for (int64_t k = 0; k < n; ++k) {
      const V pivot = pivot_of(u[k][k]);
      for (int j = 0; j < leaf; ++j) u[k][j] /= pivot;
      u[k][k] = pivot;
      for (int64_t i = k + 1; i < n; ++i)
        for (int j = 0; j < leaf; ++j) u[i][j] -= u[k][i] * u[k][j];
    }
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j <= i; ++j) a(i, j) = u[j][i];
  }
}

}  // namespace

template <class V>
void factor_lower(View<V> a, int64_t n, bool threads) {
  if (n <= Traits<V>::leaf) return factor_leaf(a, n);
  const int64_t h = half_of<V>(n);
  factor_lower(a, h, threads);
  solve_lower(a, a.from(h, 0).transposed(), h, n - h, threads);
  add_square(Number<V>(-1), a.from(h, 0), a.from(h, h), n - h, h, threads);
  factor_lower(a.from(h, h), n - h, threads);
}

template <class V>
void invert_lower(View<V> l, int64_t n, bool threads) {
  if (n == 0) return;
  if (n == 1) {
    l(0, 0) = 1 / l(0, 0);
    return;
  }
  if (n <= Traits<V>::leaf) {
    for (int64_t j = 0; j < n; ++j) {
      const V inverse = 1 / l(j, j);
      l(j, j) = inverse;
      for (int64_t i = j + 1; i < n; ++i) {
        V sum = l(i, j) * inverse;
        for (int64_t k = j + 1; k < i; ++k) sum += l(i, k) * l(k, j);
        l(i, j) = -sum / l(i, i);
      }
    }
    return;
  }
  const int64_t h = half_of<V>(n);
  // -L22⁻¹ L21 L11⁻¹.
  const auto across = l.from(h, 0);
  solve_lower(l.from(h, h), across, n - h, h, threads);
  solve_upper(l.transposed(), across.transposed(), h, n - h, threads);
  for (int64_t i = 0; i < n - h; ++i)
    for (int64_t j = 0; j < h; ++j) across(i, j) = -across(i, j);
  invert_lower(l, h, threads);
  invert_lower(l.from(h, h), n - h, threads);
}

template <class V>
void square_of_lower(View<V> w, int64_t n, V* room, bool threads) {
  if (n <= Traits<V>::leaf) {
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j <= i; ++j) {
        V sum{};
        for (int64_t k = i; k < n; ++k) sum += w(k, i) * w(k, j);
        w(i, j) = sum;
      }
    return;
  }
  const int64_t h = half_of<V>(n);
  const auto across = w.from(h, 0), last = w.from(h, h);
  square_of_lower(w, h, room, threads);
  add_square(Number<V>(1), across.transposed(), w, h, n - h, threads);
  // W22ᵀ W21, some columns at a time.
  zero_above_diagonal(last, n - h);
  for (int64_t first = 0; first < h; first += inverse_strip) {
    const int64_t some = h - first < inverse_strip ? h - first : inverse_strip;
    const auto copy = view(room, some), own = across.from(0, first);
    for (int64_t i = 0; i < n - h; ++i)
      for (int64_t j = 0; j < some; ++j) copy(i, j) = own(i, j);
    set_product(1, last.transposed(), copy, own, n - h, some, n - h, threads, upper_left);
  }
  square_of_lower(last, n - h, room, threads);
}

#define GL_INSTANCES(V)                                                                       \
  template void solve_lower(View<V>, View<V>, int64_t, int64_t, bool, bool);                  \
  template void factor_lower(View<V>, int64_t, bool);                                         \
  template void invert_lower(View<V>, int64_t, bool);                                         \
  template void square_of_lower(View<V>, int64_t, V*, bool);
GL_INSTANCES(double)
GL_INSTANCES(float)
GL_INSTANCES(Lanes<double>)
GL_INSTANCES(Lanes<float>)

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
