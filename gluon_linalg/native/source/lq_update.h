// The LQ factorization of [L B], L lower triangular: what columns that are appended make of L. One
// matrix, or those that share registers.
//
// The reflections are I - [I V]ᵀ T [I V], V in the place of B and T upper triangular: zeros of L are
// neither read nor filled. A matrix with many columns is factored some columns at a time, which the
// caches hold (Demmel, Grigori, Hoemmen & Langou 2012, the sequential form).
#pragma once

#include "lq.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

template <class V>
struct Appended {
  View<V> l;  // (m, m)
  View<V> v;  // (m, c): B at first, at last V
  View<V> t;  // (m, m), zeros below the diagonal
  Appended from(int64_t i) const { return {l.from(i, i), v.from(i, 0), t.from(i, i)}; }
};

template <class V>
void append_to_rows(const Appended<V>& r, int64_t m, int64_t c) {
  const auto [l, v, t] = r;
  for (int64_t i = 0; i < m; ++i) {
    V* x = &v(i, 0);
    const V factor = reflection(&l(i, i), x, c);
    for (int64_t k = i + 1; k < m; ++k) {
      const V along = factor * (l(k, i) + dot(x, &v(k, 0), c));
      l(k, i) -= along;
      add_row(-along, x, &v(k, 0), c);
    }
    column_of_t(t, i, factor, [&](int64_t k) { return dot(x, &v(k, 0), c); });
  }
}

// room: `room_of(m)` of lq.h.
template <class V>
void append(const Appended<V>& r, int64_t m, int64_t c, V* room, bool threads) {
  if (m <= leaf<V>) return append_to_rows(r, m, c);
  const int64_t h = (m / 2 + leaf<V> - 1) / leaf<V> * leaf<V>, rest = m - h;
  const auto [l, v, t] = r;
  append(r, h, c, room, threads);
  const auto below = v.from(h, 0), l_below = l.from(h, 0), corner = t.from(0, h);
  const auto along = view(room, h), turned = view(room + rest * h, h);
  for (int64_t i = 0; i < rest; ++i)
    for (int64_t j = 0; j < h; ++j) along(i, j) = l_below(i, j);
  add_product(1, below, v.transposed(), along, rest, h, c, threads);
  set_product(1, along, t, turned, rest, h, h, threads, upper_right);
  for (int64_t i = 0; i < rest; ++i)
    for (int64_t j = 0; j < h; ++j) l_below(i, j) -= turned(i, j);
  add_product(-1, turned, v, below, rest, c, h, threads);
  append(r.from(h), rest, c, room, threads);
  // -T1 V1 V2ᵀ T2.
  const auto across = view(room, rest), with_first = view(room + rest * h, rest);
  set_product(1, v, v.from(h, 0).transposed(), across, h, rest, c, threads);
  set_product(1, t, across, with_first, h, rest, h, threads, upper_left);
  add_product(-1, with_first, t.from(h, h), corner, h, rest, rest, threads, upper_right);
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
