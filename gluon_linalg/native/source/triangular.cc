// Triangular systems and products.
//
// trsm     op(L)⁻¹ B; keywords transpose and lower
// trmm     op(L) B; keyword transpose
// potrs    (L Lᵀ)⁻¹ B

#include "pieces.h"
#include "triangle.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

constexpr int64_t most_abreast = 24;

void right_sides(const Attributes&, const Shape* input, Shape* output) {
  const Shape &a = input[0], &b = input[1];
  bool fits = a.axes >= 2 && a.axes == b.axes && a[-1] == a[-2] && a[-1] == b[-2];
  for (int i = 0; fits && i < a.axes - 2; ++i) fits = a[i] == b[i];
  if (!fits) fail("a triangular system takes matrices (..., n, n) and right sides (..., n, k)");
  output[0] = b;
}

double cost_of(int64_t n, int64_t k) { return 0.1 * double(n) * double(n) * double(k) + 20; }

bool small(int64_t n, int64_t k) { return n <= most_abreast && k <= 2 * most_abreast; }

// op(T)⁻¹ B in place of B.
template <class V>
void solve(View<V> t, View<V> b, int64_t n, int64_t k, bool lower, bool transpose, bool threads) {
  if (transpose) t = t.transposed();
  if (lower != transpose) {
    solve_lower(t, b, n, k, threads);
  } else {
    solve_upper(t, b, n, k, threads);
  }
}

void trsm(const Call& call) {
  const Shape& shape = call.input[1].shape;
  const int64_t n = shape[-2], k = shape[-1], batch = shape.product(0, -2);
  const bool lower = call.attributes.flag("lower", true);
  const bool transpose = call.attributes.flag("transpose");
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *factors = call.input[0].as<T>(), *given = call.input[1].as<T>();
    T* out = call.output[0].as<T>();
    for_each<T>(batch, small(n, k), cost_of(n, k), 0, n * (n + k), [&](auto piece) {
      const auto t = piece.read(factors, n, n), x = piece.target(out, n, k);
      piece.copy(given, x, n, k);
      solve(t, x, n, k, lower, transpose, piece.threads);
      piece.put(x, out, n, k);
    });
  });
}

// B̄ = op(T)⁻ᵀ X̄, and the triangle of -B̄ Xᵀ or of its transpose.
void trsm_backward(const Call& call) {
  const Shape& shape = call.input[1].shape;
  const int64_t n = shape[-2], k = shape[-1], batch = shape.product(0, -2);
  const bool lower = call.attributes.flag("lower", true);
  const bool transpose = call.attributes.flag("transpose");
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *factors = call.input[0].as<T>(), *solutions = call.output[0].as<T>();
    const T* given = call.output_gradient[0].as<T>();
    T *to_factor = call.input_gradient[0].as<T>(), *to_b = call.input_gradient[1].as<T>();
    for_each<T>(batch, small(n, k), 2 * cost_of(n, k), 0, 2 * n * (n + k), [&](auto piece) {
      const auto t = piece.read(factors, n, n), x = piece.read(solutions, n, k);
      const auto by_t = piece.target(to_factor, n, n), by_b = piece.target(to_b, n, k);
      piece.copy(given, by_b, n, k);
      solve(t, by_b, n, k, lower, !transpose, piece.threads);
      auto left = by_b, right = x;
      if (transpose) left = x, right = by_b;
      fill(by_t, n, n, 0);
      const auto to = lower ? by_t : by_t.transposed();
      if (!lower) {
        const auto other = left;
        left = right, right = other;
      }
      add_product(-1, left, right.transposed(), to, n, n, k, piece.threads, lower_result);
      zero_above_diagonal(to, n);
      piece.put(by_t, to_factor, n, n);
      piece.put(by_b, to_b, n, k);
    });
  });
}

GL_OPERATOR("_gluon_linalg_trsm", two, one, right_sides, trsm, trsm_backward, false);

// The lower triangle of an input, with zeros above it, in a space.
template <class Piece, class T>
auto triangle_of(Piece& piece, const T* factors, int64_t n) {
  const auto t = piece.space(n, n);
  piece.copy(factors, t, n, n);
  zero_above_diagonal(t, n);
  return t;
}

void trmm(const Call& call) {
  const Shape& shape = call.input[1].shape;
  const int64_t n = shape[-2], k = shape[-1], batch = shape.product(0, -2);
  const bool transpose = call.attributes.flag("transpose");
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *factors = call.input[0].as<T>(), *given = call.input[1].as<T>();
    T* out = call.output[0].as<T>();
    for_each<T>(batch, small(n, k), cost_of(n, k), n * n + 16, 2 * n * k, [&](auto piece) {
      const auto t = triangle_of(piece, factors, n);
      const auto b = piece.read(given, n, k), y = piece.target(out, n, k);
      set_product(1, transpose ? t.transposed() : t, b, y, n, k, n, piece.threads,
                  transpose ? upper_left : lower_left);
      piece.put(y, out, n, k);
    });
  });
}

// B̄ = op(L)ᵀ Ȳ, and the lower triangle of Ȳ Bᵀ or of its transpose.
void trmm_backward(const Call& call) {
  const Shape& shape = call.input[1].shape;
  const int64_t n = shape[-2], k = shape[-1], batch = shape.product(0, -2);
  const bool transpose = call.attributes.flag("transpose");
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *factors = call.input[0].as<T>(), *given = call.input[1].as<T>();
    const T* slopes = call.output_gradient[0].as<T>();
    T *to_factor = call.input_gradient[0].as<T>(), *to_b = call.input_gradient[1].as<T>();
    for_each<T>(batch, small(n, k), 2 * cost_of(n, k), n * n + 16, n * (n + 3 * k),
                [&](auto piece) {
                  const auto t = triangle_of(piece, factors, n);
                  const auto b = piece.read(given, n, k), by_y = piece.read(slopes, n, k);
                  const auto by_t = piece.target(to_factor, n, n), by_b = piece.target(to_b, n, k);
                  set_product(1, transpose ? t : t.transposed(), by_y, by_b, n, k, n,
                              piece.threads, transpose ? lower_left : upper_left);
                  const auto left = transpose ? b : by_y, right = transpose ? by_y : b;
                  set_product(1, left, right.transposed(), by_t, n, n, k, piece.threads,
                              lower_result);
                  zero_above_diagonal(by_t, n);
                  piece.put(by_t, to_factor, n, n);
                  piece.put(by_b, to_b, n, k);
                });
  });
}

GL_OPERATOR("_gluon_linalg_trmm", two, one, right_sides, trmm, trmm_backward, false);

// Y = X L, (m, n) and the lower triangle of (n, n).
template <class V>
void times_lower(View<V> x, View<V> l, View<V> y, int64_t m, int64_t n, bool threads) {
  if (n <= Traits<V>::leaf) {
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        V sum{};
        for (int64_t k = j; k < n; ++k) sum += x(i, k) * l(k, j);
        y(i, j) = sum;
      }
    return;
  }
  const int64_t h = half_of<V>(n);
  times_lower(x, l, y, m, h, threads);
  add_product(1, x.from(0, h), l.from(h, 0), y, m, h, n - h, threads);
  times_lower(x.from(0, h), l.from(h, h), y.from(0, h), m, n - h, threads);
}

void potrs(const Call& call) {
  const Shape& shape = call.input[1].shape;
  const int64_t n = shape[-2], k = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *factors = call.input[0].as<T>(), *given = call.input[1].as<T>();
    T* out = call.output[0].as<T>();
    for_each<T>(batch, small(n, k), 2 * cost_of(n, k), 0, n * (n + k), [&](auto piece) {
      const auto l = piece.read(factors, n, n), x = piece.target(out, n, k);
      piece.copy(given, x, n, k);
      solve_lower(l, x, n, k, piece.threads);
      solve_upper(l.transposed(), x, n, k, piece.threads);
      piece.put(x, out, n, k);
    });
  });
}

// B̄ = (L Lᵀ)⁻¹ X̄, and the lower triangle of -(B̄ Xᵀ + X B̄ᵀ) L.
void potrs_backward(const Call& call) {
  const Shape& shape = call.input[1].shape;
  const int64_t n = shape[-2], k = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *factors = call.input[0].as<T>(), *solutions = call.output[0].as<T>();
    const T* given = call.output_gradient[0].as<T>();
    T *to_factor = call.input_gradient[0].as<T>(), *to_b = call.input_gradient[1].as<T>();
    for_each<T>(batch, small(n, k), 4 * cost_of(n, k), 2 * n * k + 32, 2 * n * (n + k),
                [&](auto piece) {
                  const auto l = piece.read(factors, n, n), x = piece.read(solutions, n, k);
                  const auto by_l = piece.target(to_factor, n, n), by_b = piece.target(to_b, n, k);
                  const auto by_xl = piece.space(k, n), by_bl = piece.space(k, n);
                  const bool threads = piece.threads;
                  piece.copy(given, by_b, n, k);
                  solve_lower(l, by_b, n, k, threads);
                  solve_upper(l.transposed(), by_b, n, k, threads);
                  times_lower(x.transposed(), l, by_xl, k, n, threads);
                  times_lower(by_b.transposed(), l, by_bl, k, n, threads);
                  fill(by_l, n, n, 0);
                  add_product(-1, by_b, by_xl, by_l, n, n, k, threads, lower_result);
                  add_product(-1, x, by_bl, by_l, n, n, k, threads, lower_result);
                  zero_above_diagonal(by_l, n);
                  piece.put(by_l, to_factor, n, n);
                  piece.put(by_b, to_b, n, k);
                });
  });
}

GL_OPERATOR("_gluon_linalg_potrs", two, one, right_sides, potrs, potrs_backward, false);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
