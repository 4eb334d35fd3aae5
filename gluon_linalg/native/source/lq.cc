// The LQ factorization.
//
// gelqf              Q and L with A = L Q, Q Qᵀ = I, the diagonal of L >= 0, m <= n
// independent_rows   1 where the rows of L are independent up to rounding
//
// By Householder reflections of rows, I - Vᵀ T V for many of them (Schreiber & Van Loan 1989), by
// halves (Elmroth & Gustavson 2000): a wide matrix is read as often as a product of matrices does.

#include "dense.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

bool small(int64_t m, int64_t n) { return m <= 16 && n <= 48; }

double cost_of(int64_t m, int64_t n) { return 0.3 * double(m) * double(m) * double(n) + 50; }

// Rows that are reflected one by one.
template <class V>
constexpr int64_t leaf = Traits<V>::lanes ? 4 : 8;

template <class V>
struct Reflections {
  View<V> v;  // (m, n): A at first, at last the rows of V
  View<V> l;  // (m, m)
  View<V> t;  // (m, m): T, upper triangular, zeros below
  Reflections from(int64_t i) const { return {v.from(i, i), l.from(i, i), t.from(i, i)}; }
};

// What stands left of the diagonal of row i is done with: it is L's.
template <class V>
inline void move_left_part(const Reflections<V>& r, int64_t i, int64_t columns) {
  for (int64_t j = 0; j < columns; ++j) {
    r.l(i, j) = r.v(i, j);
    r.v(i, j) = V{};
  }
}

template <class V>
void reflect_rows(const Reflections<V>& r, int64_t m, int64_t n) {
  const auto [v, l, t] = r;
  for (int64_t i = 0; i < m; ++i) {
    move_left_part(r, i, i);
    const int64_t size = n - i;
    V* x = &v(i, i);
    V largest{};
    if constexpr (Traits<V>::lanes) {
      for (int64_t j = 0; j < size; ++j) largest = larger(magnitude(x[j]), largest);
    } else {
      Lanes<V> most{};
      int64_t j = 0;
      for (; j + width<V> <= size; j += width<V>) {
        const Lanes<V> part = *reinterpret_cast<const typename Unaligned<V>::Lanes*>(x + j);
        most = larger(part < 0 ? -part : part, most);
      }
      for (int k = 0; k < width<V>; ++k) largest = larger(most[k], largest);
      for (; j < size; ++j) largest = larger(magnitude(x[j]), largest);
    }
    const V unit = power_below(largest), inverse = 1 / unit;
    for (int64_t j = 0; j < size; ++j) x[j] *= inverse;
    const V first = x[0], rest = dot(x + 1, x + 1, size - 1);
    const V norm = root(first * first + rest);
    const V turned = signed_as(norm, -first);
    const V one = V{} + 1, none{};
    const V scale = 1 / (norm > 0 ? first - turned : one);
    const V tau = norm > 0 ? (turned - first) / turned : none;
    for (int64_t j = 1; j < size; ++j) x[j] *= scale;
    x[0] = one;
    l(i, i) = turned * unit;
    for (int64_t k = i + 1; k < m; ++k)
      add_row(-tau * dot(x, &v(k, i), size), x, &v(k, i), size);
    // The column of T.
    for (int64_t k = 0; k < i; ++k) t(k, i) = -tau * dot(x, &v(k, i), size);
    for (int64_t k = 0; k < i; ++k) {
      V sum{};
      for (int64_t p = k; p < i; ++p) sum += t(k, p) * t(p, i);
      t(k, i) = sum;
    }
    t(i, i) = tau;
  }
}

// room: m² / 2 + 32 m.
template <class V>
void reflect(const Reflections<V>& r, int64_t m, int64_t n, V* room, bool threads) {
  if (m <= leaf<V>) return reflect_rows(r, m, n);
  const int64_t h = (m / 2 + leaf<V> - 1) / leaf<V> * leaf<V>, rest = m - h;
  const auto [v, l, t] = r;
  reflect(r, h, n, room, threads);
  const auto below = v.from(h, 0), corner = t.from(0, h);
  const auto first = view(room, h), second = view(room + rest * h, h);
  fill(first, rest, h, 0);
  fill(second, rest, h, 0);
  add_product(1, below, v.transposed(), first, rest, h, n, threads);
  add_lower_times(Number<V>(1), t.transposed(), first.transposed(), second.transposed(), h, rest,
                  threads);
  add_product(-1, second, v, below, rest, n, h, threads);
  const Reflections<V> lower{below, l.from(h, 0), t};
  for (int64_t i = 0; i < rest; ++i) move_left_part(lower, i, h);
  reflect(r.from(h), rest, n - h, room, threads);
  // -T1 V1 V2ᵀ T2.
  const auto across = view(room, rest), with_first = view(room + rest * h, rest);
  fill(across, h, rest, 0);
  fill(with_first, h, rest, 0);
  add_product(1, v.from(0, h), v.from(h, h).transposed(), across, h, rest, n - h, threads);
  add_upper_times(Number<V>(1), t, across, with_first, h, rest, threads);
  add_lower_times(Number<V>(-1), t.from(h, h).transposed(), with_first.transposed(),
                  corner.transposed(), rest, h, threads);
}

int64_t room_of(int64_t m) { return m * m / 2 + 32 * m; }

// Q (m, n) and L (m, m) of what is in v, which it overwrites; t and m2 are (m, m).
template <class V>
void decompose(View<V> v, View<V> l, View<V> q, View<V> t, View<V> m2, int64_t m, int64_t n,
               V* room, bool threads) {
  const V failure = failure_of_all(v, m, n);
  fill(l, m, m, 0);
  fill(t, m, m, 0);
  reflect({v, l, t}, m, n, room, threads);
  // Q = S (E - (T V1)ᵀ V), with the first m columns V1 of V and the signs S of L's diagonal.
  fill(m2, m, m, 0);
  add_upper_times(Number<V>(1), t, v, m2, m, m, threads);
  fill(q, m, n, 0);
  V* signs = room;
  const V one = V{} + 1;
  for (int64_t i = 0; i < m; ++i) q(i, i) = signs[i] = l(i, i) < 0 ? -one : one;
  for (int64_t k = 0; k < m; ++k) {
    V *of_m = &m2(k, 0), *of_l = &l(k, 0);
    for (int64_t i = 0; i < m; ++i) of_m[i] *= signs[i];
    for (int64_t i = 0; i <= k; ++i) of_l[i] *= signs[i];
  }
  add_lower_times(Number<V>(-1), m2.transposed(), v, q, m, n, threads);
  spoil(q, m, n, failure);
  spoil(l, m, m, failure);
}

// 1 where |L⁻¹| < 1 / (32 ε) for the rows of L (m, m) at length 1, as functional/lq.py says.
template <class V>
V independent(View<V> l, View<V> room, int64_t m, bool threads) {
  using T = Number<V>;
  const V one = V{} + 1, none{};
  for (int64_t i = 0; i < m; ++i) {
    V largest{}, squares{};
    for (int64_t j = 0; j <= i; ++j) largest = larger(magnitude(l(i, j)), largest);
    for (int64_t j = 0; j <= i; ++j) {
      room(i, j) = l(i, j) / largest;
      squares += room(i, j) * room(i, j);
    }
    const V length = root(squares);
    for (int64_t j = 0; j <= i; ++j) room(i, j) /= length;
  }
  invert_lower(room, m, threads);
  V squares{};
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j <= i; ++j) squares += room(i, j) * room(i, j);
  const T bound = 32 * (sizeof(T) == 8 ? T(0x1p-53) : T(0x1p-24));
  return squares * (bound * bound) < 1 ? one : none;
}

// ---- gelqf

void orthogonal_and_lower(const Attributes&, const Shape* input, Shape* output) {
  const Shape& a = input[0];
  if (a.axes < 2 || a[-2] > a[-1]) fail("gelqf takes matrices (..., m, n) with m <= n");
  output[0] = output[1] = a;
  output[1].size[a.axes - 1] = a[-2];
}

void gelqf(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t m = shape[-2], n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T* a = call.input[0].as<T>();
    T *to_q = call.output[0].as<T>(), *to_l = call.output[1].as<T>();
    const int64_t room = room_of(m);
    for_each<T>(batch, small(m, n), cost_of(m, n), m * n + 2 * m * m + room + 64,
                m * (m + n), [&](auto piece) {
                  const auto q = piece.target(to_q, m, n), l = piece.target(to_l, m, m);
                  const auto v = piece.space(m, n), t = piece.space(m, m);
                  const auto m2 = piece.space(m, m);
                  piece.copy(a, v, m, n);
                  decompose(v, l, q, t, m2, m, n, piece.space(1, room).at, piece.threads);
                  piece.put(q, to_q, m, n);
                  piece.put(l, to_l, m, m);
                });
  });
}

template <class T>
bool all_zero(const T* x, int64_t size) {
  for (int64_t first = 0; first < size; first += 1024) {
    const int64_t past = first + 1024 < size ? first + 1024 : size;
    bool some = false;
    for (int64_t i = first; i < past; ++i) some |= !(x[i] == 0);
    if (some) return false;
  }
  return true;
}

// The gradient that functional/lq.py states, with U the part above the diagonal and
// N = Lᵀ tril(L̄), S = Q̄ Qᵀ:
//
//   Ā = tril(L̄) Q + L⁻ᵀ (Q̄ - S Q + U(S - N - (S - N)ᵀ) Q).
//
// With `uses_q` false Q̄ is 0. NaN where the rows are dependent and Q̄ is not 0.
template <class V>
void decompose_adjoint(View<V> q, View<V> l, View<V> by_q, View<V> by_l, View<V> out, View<V> scaled,
                       View<V> inner, View<V> work, V* kept, int64_t m, int64_t n, bool uses_q,
                       bool threads) {
  using T = Number<V>;
  const V one = V{} + 1, none{};
  // Pivots that are rounding are left out, with their rows.
  const T rounding = 32 * (sizeof(T) == 8 ? T(0x1p-53) : T(0x1p-24));
  V greatest{};
  for (int64_t i = 0; i < m; ++i) {
    V largest{};
    const V* row = &l(i, 0);
    for (int64_t j = 0; j <= i; ++j) largest = larger(magnitude(row[j]), largest);
    kept[i] = magnitude(row[i]) > rounding * largest ? one : none;
    greatest = larger(largest, greatest);
  }
  const V inverse = 1 / power_below(greatest);
  const auto lower_part = [&] {
    for (int64_t i = 0; i < m; ++i) {
      V* to = &work(i, 0);
      const V* from = &by_l(i, 0);
      for (int64_t j = 0; j <= i; ++j) to[j] = from[j];
      for (int64_t j = i + 1; j < m; ++j) to[j] = none;
    }
  };
  lower_part();
  for (int64_t i = 0; i < m; ++i) {
    V* to = &scaled(i, 0);
    const V* from = &l(i, 0);
    for (int64_t j = 0; j < m; ++j) to[j] = from[j] * inverse;
  }
  // -N, then S - N.
  fill(inner, m, m, 0);
  add_upper_times(T(-1), scaled.transposed(), work, inner, m, m, threads);
  V failure{};
  if (uses_q) {
    V used{};
    for (int64_t i = 0; i < m; ++i) {
      V* to = &out(i, 0);
      const V* from = &by_q(i, 0);
      for (int64_t j = 0; j < n; ++j) to[j] = from[j] * inverse;
      used += sum_over(from, from, n, [](auto x, auto) { return x < 0 ? -x : x; });
    }
    const V holds = independent(l, work, m, threads);
    failure = holds > 0 ? none : used > 0 ? not_a_number(one) : none;
    fill(work, m, m, 0);
    add_product(1, out, q.transposed(), work, m, m, n, threads);
  } else {
    fill(work, m, m, 0);
  }
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = i + 1; j < m; ++j) {
      // Above the diagonal U - S, below it -S.
      inner(i, j) = inner(i, j) - inner(j, i) - work(j, i);
      inner(j, i) = -work(j, i);
    }
    inner(i, i) = -work(i, i);
  }
  for (int64_t i = 0; i < m; ++i) {
    V* row = &scaled(i, 0);
    for (int64_t j = 0; j < i; ++j) row[j] = kept[i] > 0 ? row[j] : none;
    row[i] = kept[i] > 0 ? row[i] : one;
  }
  const auto solve_and_mask = [&](View<V> x, int64_t columns) {
    solve_upper(scaled.transposed(), x, m, columns, threads);
    for (int64_t i = 0; i < m; ++i) {
      V* row = &x(i, 0);
      for (int64_t j = 0; j < columns; ++j) row[j] = kept[i] > 0 ? row[j] : none;
    }
  };
  lower_part();
  if (uses_q) {
    add_product(1, inner, q, out, m, n, m, threads);
    solve_and_mask(out, n);
    add_lower_times(T(1), work, q, out, m, n, threads);
  } else {
    solve_and_mask(inner, m);
    for (int64_t i = 0; i < m; ++i) add_row(one, &inner(i, 0), &work(i, 0), m);
    fill(out, m, n, 0);
    add_product(1, work, q, out, m, n, m, threads);
  }
  spoil(out, m, n, failure);
}

void gelqf_backward(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t m = shape[-2], n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *q_given = call.output[0].as<T>(), *l_given = call.output[1].as<T>();
    const T *by_q_given = call.output_gradient[0].as<T>();
    const T *by_l_given = call.output_gradient[1].as<T>();
    T* to = call.input_gradient[0].as<T>();
    const bool uses_q = !all_zero(by_q_given, batch * m * n);
    for_each<T>(batch, small(m, n), 2 * cost_of(m, n), 3 * m * m + m + 64, 3 * m * n + 2 * m * m,
                [&](auto piece) {
                  const auto q = piece.read(q_given, m, n), l = piece.read(l_given, m, m);
                  const auto by_q = piece.read(by_q_given, m, n);
                  const auto by_l = piece.read(by_l_given, m, m), out = piece.target(to, m, n);
                  const auto scaled = piece.space(m, m), inner = piece.space(m, m);
                  const auto work = piece.space(m, m), kept = piece.space(1, m);
                  decompose_adjoint(q, l, by_q, by_l, out, scaled, inner, work, kept.at, m, n,
                                    uses_q, piece.threads);
                  piece.put(out, to, m, n);
                });
  });
}

GL_OPERATOR("_gluon_linalg_gelqf", one, two, orthogonal_and_lower, gelqf, gelqf_backward, false);

// ---- independent_rows

void one_number(const Attributes&, const Shape* input, Shape* output) {
  const Shape& l = input[0];
  if (l.axes < 2 || l[-1] != l[-2]) fail("independent_rows takes square matrices (..., m, m)");
  output[0] = l;
  output[0].axes -= 1;
  output[0].size[l.axes - 2] = 1;
}

void independent_rows(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t m = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T* given = call.input[0].as<T>();
    T* to = call.output[0].as<T>();
    for_each<T>(batch, small(m, m), cost_of(m, m), m * m + 16, m * m + 1, [&](auto piece) {
      const auto l = piece.read(given, m, m), out = piece.target(to, 1, 1);
      out(0, 0) = independent(l, piece.space(m, m), m, piece.threads);
      piece.put(out, to, 1, 1);
    });
  });
}

GL_OPERATOR("_gluon_linalg_independent_rows", one, one, one_number, independent_rows, no_gradient,
            false);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
