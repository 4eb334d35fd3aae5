// The LQ factorization of one matrix, or of those that share registers.
//
// By Householder reflections of rows, I - Vᵀ T V for many of them (Schreiber & Van Loan 1989), by
// halves (Elmroth & Gustavson 2000): a wide matrix is read as often as a product of matrices does.
#pragma once

#include "triangle.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// Of fewer rows than this a factorization is that of one thread: its rows are changed in turns, and
// would go from the cache of one processor to that of another.
constexpr int64_t least_of_threads = 192;

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
inline V largest_of_row(const V* x, int64_t n) {
  V largest{};
  int64_t j = 0;
  if constexpr (!Traits<V>::lanes) {
    Lanes<V> most{};
    for (; j + width<V> <= n; j += width<V>) {
      const Lanes<V> part = *reinterpret_cast<const typename Unaligned<V>::Lanes*>(x + j);
      most = larger(part < 0 ? -part : part, most);
    }
    for (int k = 0; k < width<V>; ++k) largest = larger(most[k], largest);
  }
  for (; j < n; ++j) largest = larger(magnitude(x[j]), largest);
  return largest;
}

// The reflection that turns (first, x) into (first', 0): its vector is (1, x), its factor returned.
template <class V>
inline V reflection(V* first, V* x, int64_t n) {
  const V unit = power_below(larger(magnitude(*first), largest_of_row(x, n))), inverse = 1 / unit;
  for (int64_t j = 0; j < n; ++j) x[j] *= inverse;
  const V head = *first * inverse, norm = root(head * head + dot(x, x, n));
  const V turned = signed_as(norm, -head);
  const V one = V{} + 1, none{};
  const V scale = 1 / (norm > 0 ? head - turned : one);
  for (int64_t j = 0; j < n; ++j) x[j] *= scale;
  *first = turned * unit;
  return norm > 0 ? (turned - head) / turned : none;
}

// Column i of T, of the products of vector i with those before it.
template <class V, class Product>
inline void column_of_t(View<V> t, int64_t i, V factor, const Product& product) {
  for (int64_t k = 0; k < i; ++k) t(k, i) = -factor * product(k);
  for (int64_t k = 0; k < i; ++k) {
    V sum{};
    for (int64_t p = k; p < i; ++p) sum += t(k, p) * t(p, i);
    t(k, i) = sum;
  }
  t(i, i) = factor;
}

template <class V>
void reflect_rows(const Reflections<V>& r, int64_t m, int64_t n) {
  const auto [v, l, t] = r;
  for (int64_t i = 0; i < m; ++i) {
    move_left_part(r, i, i);
    const int64_t size = n - i;
    V* x = &v(i, i);
    const V factor = reflection(x, x + 1, size - 1);
    l(i, i) = x[0];
    x[0] = V{} + 1;
    for (int64_t k = i + 1; k < m; ++k)
      add_row(-factor * dot(x, &v(k, i), size), x, &v(k, i), size);
    column_of_t(t, i, factor, [&](int64_t k) { return dot(x, &v(k, i), size); });
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
  set_product(1, below, v.transposed(), first, rest, h, n, threads, lower_right);
  set_product(1, first, t, second, rest, h, h, threads, upper_right);
  add_product(-1, second, v, below, rest, n, h, threads, upper_right);
  const Reflections<V> lower{below, l.from(h, 0), t};
  parallel_if(threads, rest, 0.5 * double(h), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) move_left_part(lower, i, h);
  });
  reflect(r.from(h), rest, n - h, room, threads);
  // -T1 V1 V2ᵀ T2.
  const auto across = view(room, rest), with_first = view(room + rest * h, rest);
  set_product(1, v.from(0, h), v.from(h, h).transposed(), across, h, rest, n - h, threads,
              lower_right);
  set_product(1, t, across, with_first, h, rest, h, threads, upper_left);
  add_product(-1, with_first, t.from(h, h), corner, h, rest, rest, threads, upper_right);
}

inline int64_t room_of(int64_t m) { return m * m / 2 + 32 * m; }

// L (m, m) of A = L Q, which is in v (m, n), with a diagonal >= 0; and Q as [S 0] - Mᵀ V, V in the
// place of A, the signs S being numbers and M (m, m) upper triangular. t is (m, m). Returns NaN
// where A is not finite.
template <class V>
V decompose(View<V> v, View<V> l, View<V> t, View<V> m_of, V* signs, int64_t m, int64_t n, V* room,
            bool threads) {
  const V failure = failure_of_all(v, m, n);
  fill(l, m, m, 0);
  fill(t, m, m, 0);
  reflect({v, l, t}, m, n, room, threads);
  // Q = S (E - (T V1)ᵀ V), with the first m columns E of the identity and V1 of V.
  set_product(1, t, v, m_of, m, m, m, threads, upper_left | upper_right);
  const V one = V{} + 1;
  for (int64_t i = 0; i < m; ++i) signs[i] = l(i, i) < 0 ? -one : one;
  for (int64_t k = 0; k < m; ++k) {
    V *of_m = &m_of(k, 0), *of_l = &l(k, 0);
    for (int64_t i = 0; i < m; ++i) of_m[i] *= signs[i];
    for (int64_t i = 0; i <= k; ++i) of_l[i] *= signs[i];
  }
  spoil(l, m, m, failure);
  return failure;
}

// Q (m, n) of what `decompose` found.
template <class V>
void orthogonal_rows(View<V> v, View<V> m_of, const V* signs, View<V> q, int64_t m, int64_t n,
                     V failure, bool threads) {
  fill(q, m, n, 0);
  for (int64_t i = 0; i < m; ++i) q(i, i) = signs[i];
  add_product(-1, m_of.transposed(), v, q, m, n, m, threads, lower_left | upper_right);
  spoil(q, m, n, failure);
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
