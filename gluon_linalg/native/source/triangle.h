// Triangular matrices: solutions, Cholesky factors and inverses, in place on views of numbers or of
// registers.
#pragma once

#include "product.h"

namespace gluon_linalg {
namespace GL_LEVEL {

// Where a recursion halves n.
template <class V>
inline int64_t half_of(int64_t n) {
  constexpr int64_t leaf = Traits<V>::leaf;
  return (n / 2 + leaf - 1) / leaf * leaf;
}

// X of L X = B in place of B (n, columns); L lower triangular, with ones on its diagonal if `unit`.
template <class V>
void solve_lower(View<V> l, View<V> x, int64_t n, int64_t columns, bool threads,
                 bool unit = false);

// X of U X = B in place of B (n, columns); U upper triangular. Of Lᵀ, give l.transposed().
template <class V>
inline void solve_upper(View<V> u, View<V> x, int64_t n, int64_t columns, bool threads,
                        bool unit = false) {
  if (n == 0 || columns == 0) return;
  solve_lower(u.reversed(n), x.rows_reversed(n), n, columns, threads, unit);
}

// L of A = L Lᵀ in place of the lower triangle, which alone is read; what is above the diagonal is
// undefined. From the first pivot on that is not positive the diagonal is NaN.
template <class V>
void factor_lower(View<V> a, int64_t n, bool threads);

// Columns that are multiplied at once where a product takes the place of a factor.
constexpr int64_t inverse_strip = 240;
inline int64_t room_of_inverse(int64_t n) {
  return (n / 2 + 16) * (n / 2 + 16 < inverse_strip ? n / 2 + 16 : inverse_strip);
}

// L⁻¹ in place of L, of which the lower triangle is read and written.
template <class V>
void invert_lower(View<V> l, int64_t n, bool threads);

// The lower triangle of Wᵀ W in place of that of W; room: `room_of_inverse`.
template <class V>
void square_of_lower(View<V> w, int64_t n, V* room, bool threads);

// As `factor_lower`, with zeros above the diagonal; NaN in all of it where there is no factor.
template <class V>
inline V factor(View<V> a, int64_t n, bool threads) {
  factor_lower(a, n, threads);
  zero_above_diagonal(a, n);
  const V failure = failure_of(a, n);
  spoil(a, n, n, failure);
  return failure;
}

// (L Lᵀ)⁻¹ in place of L; room: `room_of_inverse`.
template <class V>
inline void invert_by_factor(View<V> l, int64_t n, V* room, bool threads) {
  invert_lower(l, n, threads);
  square_of_lower(l, n, room, threads);
  mirror_lower(l, n);
}


}  // namespace GL_LEVEL
}  // namespace gluon_linalg
