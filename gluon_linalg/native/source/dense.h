// Dense linear algebra on views of matrices, of numbers (T) or of registers that hold one number of
// several batch elements each (Lanes<T>): one text for both.
//
// All of it comes down to `add_product`, which is written for either in product.cc. A transposed
// matrix is a view with its strides exchanged, an upper triangle one that is read from its end.
#pragma once

#include <type_traits>

#include "lanes.h"

namespace gluon_linalg {
namespace GL_LEVEL {

template <class V>
struct View {
  V* at;
  int64_t row, col;

  V& operator()(int64_t i, int64_t j) const { return at[i * row + j * col]; }
  View from(int64_t i, int64_t j) const { return {at + i * row + j * col, row, col}; }
  View transposed() const { return {at, col, row}; }
  // Its m rows, or its n rows and n columns, from the last to the first.
  View rows_reversed(int64_t m) const { return {at + (m - 1) * row, -row, col}; }
  View reversed(int64_t n) const { return {at + (n - 1) * (row + col), -row, -col}; }
};

template <class V>
inline View<V> view(V* at, int64_t columns) {
  return {at, columns, 1};
}
template <class V>
inline View<V> view(const V* at, int64_t columns) {
  return {const_cast<V*>(at), columns, 1};
}

// The number that a value is made of, and how many batch elements it holds.
template <class V>
struct Traits {
  using Number = std::remove_reference_t<decltype(V{}[0])>;
  static constexpr bool lanes = true;
  static constexpr int leaf = 4;
};
template <>
struct Traits<double> {
  using Number = double;
  static constexpr bool lanes = false;
  static constexpr int leaf = 16;
};
template <>
struct Traits<float> {
  using Number = float;
  static constexpr bool lanes = false;
  static constexpr int leaf = 16;
};
template <class V>
using Number = typename Traits<V>::Number;

// C += s A B, (m, k) and (k, n), on several threads where that is allowed and worth it. Columns or
// rows of C follow each other without gaps unless they are registers.
void add_product(double s, View<double> a, View<double> b, View<double> c, int64_t m, int64_t n,
                 int64_t k, bool threads);
void add_product(float s, View<float> a, View<float> b, View<float> c, int64_t m, int64_t n,
                 int64_t k, bool threads);
void add_product(double s, View<Lanes<double>> a, View<Lanes<double>> b, View<Lanes<double>> c,
                 int64_t m, int64_t n, int64_t k, bool threads);
void add_product(float s, View<Lanes<float>> a, View<Lanes<float>> b, View<Lanes<float>> c,
                 int64_t m, int64_t n, int64_t k, bool threads);

// Where a recursion halves n.
template <class V>
inline int64_t half_of(int64_t n) {
  constexpr int64_t leaf = Traits<V>::leaf;
  return (n / 2 + leaf - 1) / leaf * leaf;
}

// Numbers wherever they lie, as a register.
template <class T>
struct Unaligned {
  typedef T Lanes __attribute__((vector_size(GL_BYTES), aligned(sizeof(T)), may_alias));
};

// Σ_i f(a_i, b_i) of rows, in an order that depends on n alone.
template <class V, class Term>
inline V sum_over(const V* a, const V* b, int64_t n, const Term& term) {
  V total{};
  int64_t i = 0;
  if constexpr (!Traits<V>::lanes) {
    using Loose = typename Unaligned<V>::Lanes;
    constexpr int wide = width<V>;
    Lanes<V> sums[4] = {};
    for (; i + 4 * wide <= n; i += 4 * wide)
      for (int v = 0; v < 4; ++v)
        sums[v] += term(Lanes<V>(reinterpret_cast<const Loose*>(a + i)[v]),
                        Lanes<V>(reinterpret_cast<const Loose*>(b + i)[v]));
    const Lanes<V> sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (int v = 0; v < wide; ++v) total += sum[v];
  }
  for (; i < n; ++i) total += term(a[i], b[i]);
  return total;
}

template <class V>
inline V dot(const V* a, const V* b, int64_t n) {
  return sum_over(a, b, n, [](auto x, auto y) { return x * y; });
}

// y += w x, of rows that do not overlap.
template <class V>
inline void add_row(V w, const V* __restrict x, V* __restrict y, int64_t n) {
  for (int64_t j = 0; j < n; ++j) y[j] += w * x[j];
}

// 0 where all of A (m, n), whose rows are without gaps, is finite, NaN where it is not.
template <class V>
inline V failure_of_all(View<V> a, int64_t m, int64_t n) {
  V total{};
  for (int64_t i = 0; i < m; ++i)
    total += sum_over(&a(i, 0), &a(i, 0), n, [](auto x, auto) { return x * 0; });
  return total;
}

template <class V>
inline V largest_of(View<V> a, int64_t m, int64_t n) {
  V largest{};
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) largest = larger(magnitude(a(i, j)), largest);
  return largest;
}

// The power of 2 next below x > 0, 1 where x is 0 or subnormal: dividing by it rounds nothing.
template <class V>
inline V power_below(V x) {
  using Bits = std::conditional_t<sizeof(Number<V>) == 8, int64_t, int32_t>;
  constexpr Bits exponent = sizeof(Bits) == 8 ? Bits(0x7ff0000000000000) : Bits(0x7f800000);
  V power;
  if constexpr (Traits<V>::lanes) {
    using Mask = typename Pack<Number<V>>::Mask;
    power = (V)((Mask)x & exponent);
  } else {
    Bits bits;
    std::memcpy(&bits, &x, sizeof x);
    bits &= exponent;
    std::memcpy(&power, &bits, sizeof x);
  }
  return power > 0 ? power : V{} + 1;
}

// All of A (m, n), whose rows are without gaps.
template <class V>
inline void fill(View<V> a, int64_t m, int64_t n, Number<V> value) {
  for (int64_t i = 0; i < m; ++i) {
    V* row = &a(i, 0);
    for (int64_t j = 0; j < n; ++j) row[j] = V{} + value;
  }
}

template <class V>
inline void zero_above_diagonal(View<V> a, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = i + 1; j < n; ++j) a(i, j) = V{};
}

template <class V>
inline void mirror_lower(View<V> a, int64_t n) {
  constexpr int64_t block = Traits<V>::lanes ? 1 << 20 : 32;
  for (int64_t first = 0; first < n; first += block)
    for (int64_t i = first; i < n; ++i)
      for (int64_t j = first; j < i && j < first + block; ++j) a(j, i) = a(i, j);
}

// X of L X = B in place of B (n, columns); L lower triangular, with ones on its diagonal if `unit`.
template <class V>
void solve_lower(View<V> l, View<V> x, int64_t n, int64_t columns, bool threads,
                 bool unit = false);

// The lower triangle of C += s A B, (n, k) and (k, n); what is above the diagonal is undefined.
template <class V>
void add_lower_product(Number<V> s, View<V> a, View<V> b, View<V> c, int64_t n, int64_t k,
                       bool threads);

// C += s L B, with the lower triangle of L (m, m) and zeros above it; B (m, n).
template <class V>
void add_lower_times(Number<V> s, View<V> l, View<V> b, View<V> c, int64_t m, int64_t n,
                     bool threads);

// C += s U B, with U (m, m) upper triangular and zeros below.
template <class V>
inline void add_upper_times(Number<V> s, View<V> u, View<V> b, View<V> c, int64_t m, int64_t n,
                            bool threads) {
  if (m > 0)
    add_lower_times(s, u.reversed(m), b.rows_reversed(m), c.rows_reversed(m), m, n, threads);
}

// L of A = L Lᵀ in place of the lower triangle, which alone is read; what is above the diagonal is
// undefined. From the first pivot on that is not positive the diagonal is NaN.
template <class V>
void factor_lower(View<V> a, int64_t n, bool threads);

// L⁻¹ in place of L, of which the lower triangle is read and written.
template <class V>
void invert_lower(View<V> l, int64_t n, bool threads);

// The lower triangle of Wᵀ W in place of that of W; room: n² / 4.
template <class V>
void square_of_lower(View<V> w, int64_t n, V* room, bool threads);

// X of U X = B in place of B (n, columns); U upper triangular. Of Lᵀ, give l.transposed().
template <class V>
inline void solve_upper(View<V> u, View<V> x, int64_t n, int64_t columns, bool threads,
                        bool unit = false) {
  if (n == 0 || columns == 0) return;
  solve_lower(u.reversed(n), x.rows_reversed(n), n, columns, threads, unit);
}

// The lower triangle of C += s B Bᵀ, B (n, k).
template <class V>
inline void add_square(Number<V> s, View<V> b, View<V> c, int64_t n, int64_t k, bool threads) {
  add_lower_product(s, b, b.transposed(), c, n, k, threads);
}

template <class V>
inline V not_a_number(V like) {
  return like * 0 + Number<V>(__builtin_nan(""));
}

// 0 where no number of the diagonal is NaN or infinite, NaN where one is.
template <class V>
inline V failure_of(View<V> l, int64_t n) {
  V sum{};
  for (int64_t i = 0; i < n; ++i) sum += l(i, i) * 0;
  return sum;
}

// NaN in all of A (m, n) where `failure` is.
template <class V>
inline void spoil(View<V> a, int64_t m, int64_t n, V failure) {
  if constexpr (Traits<V>::lanes) {
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) a(i, j) = failure == failure ? a(i, j) : failure;
  } else {
    if (!(failure == failure)) fill(a, m, n, failure);
  }
}

// As `factor_lower`, with zeros above the diagonal; NaN in all of it where there is no factor.
template <class V>
inline V factor(View<V> a, int64_t n, bool threads) {
  factor_lower(a, n, threads);
  zero_above_diagonal(a, n);
  const V failure = failure_of(a, n);
  spoil(a, n, n, failure);
  return failure;
}

// (L Lᵀ)⁻¹ in place of L; room: n² / 3 + 16 n.
template <class V>
inline void invert_by_factor(View<V> l, int64_t n, V* room, bool threads) {
  invert_lower(l, n, threads);
  square_of_lower(l, n, room, threads);
  mirror_lower(l, n);
}

inline int64_t room_of_inverse(int64_t n) { return n * n / 3 + 16 * n; }

// The backward call of an operator whose outputs are constants.
inline void no_gradient(const Call& call) {
  for (int i = 0; i < call.inputs; ++i) {
    const Array& to = call.input_gradient[i];
    std::memset(to.data, 0, size_t(to.shape.elements()) * (to.type == float64 ? 8 : 4));
  }
}

// What an operator works on, one batch element or those that share registers: `read` gives an input
// (m, n), `target` a place for an output, which `put` hands over, and `space` what is in between.
template <class T>
struct Alone {
  using Value = T;
  int64_t first;
  bool threads;
  T* room;

  View<T> space(int64_t m, int64_t n) {
    const auto found = view(room, n);
    room += (m * n + 15) / 16 * 16;
    return found;
  }
  View<T> read(const T* from, int64_t m, int64_t n) { return view(from + first * m * n, n); }
  View<T> target(T* to, int64_t m, int64_t n) { return view(to + first * m * n, n); }
  void copy(const T* from, View<T> to, int64_t m, int64_t n) {
    for (int64_t i = 0; i < m; ++i)
      std::memcpy(&to(i, 0), from + first * m * n + i * n, sizeof(T) * n);
  }
  void put(View<T>, T*, int64_t, int64_t) {}
};

template <class T>
struct Abreast {
  using Value = Lanes<T>;
  int64_t first;
  int count;
  Lanes<T>* room;
  static constexpr bool threads = false;

  View<Value> space(int64_t m, int64_t n) {
    const auto found = view(room, n);
    room += m * n;
    return found;
  }
  View<Value> read(const T* from, int64_t m, int64_t n) {
    const auto to = space(m, n);
    copy(from, to, m, n);
    return to;
  }
  View<Value> target(T*, int64_t m, int64_t n) { return space(m, n); }
  // To a view whose rows follow each other.
  void copy(const T* from, View<Value> to, int64_t m, int64_t n) {
    interleave(from + first * m * n, m * n, count, m * n, to.at);
  }
  void put(View<Value> from, T* to, int64_t m, int64_t n) {
    separate(from.at, m * n, to + first * m * n, m * n, count);
  }
};

// Calls body(piece) for each batch element, or where they are small for those that share registers.
// nanoseconds: what one costs about; room: how many numbers the spaces take, of which `kept` only
// where registers are shared (inputs and targets).
template <class T, class Body>
void for_each(int64_t batch, bool small, double nanoseconds, int64_t room, int64_t kept,
              const Body& body) {
  if (small) {
    const int64_t groups = (batch + width<T> - 1) / width<T>;
    parallel_for(groups, nanoseconds * width<T>, [&](int64_t begin, int64_t end) {
      Scratch scratch(sizeof(Lanes<T>) * (room + kept));
      for (int64_t g = begin; g < end; ++g) {
        const int64_t first = g * width<T>, left = batch - first;
        body(Abreast<T>{first, left < width<T> ? int(left) : width<T>,
                        scratch.as<Lanes<T>>()});
      }
    });
    return;
  }
  const bool threads = batch < thread_limit();
  const auto part = [&](int64_t begin, int64_t end) {
    Scratch scratch(sizeof(T) * (room + 256));
    for (int64_t i = begin; i < end; ++i) body(Alone<T>{i, threads, scratch.as<T>()});
  };
  if (threads) {
    part(0, batch);
  } else {
    parallel_for(batch, nanoseconds, part);
  }
}

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
