// Positive definite matrices: Cholesky factors, and what is computed from them.
//
// potrf          L of A = L Lᵀ
// potri          (L Lᵀ)⁻¹ of L
// log_det        log|A|, with the gradient A⁻¹
// inverse_spd    A⁻¹
// solve_spd      A⁻¹ B
//
// The lower triangle of A is read, and its gradient is symmetric. A batch element that has no
// factor, or one that is not finite, is NaN.

#include "pieces.h"
#include "triangle.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// Whether batch elements share registers: from 25 rows on only if half a register is used. (There
// the last bits of a result depend on whether the batch is that large, and on nothing else.)
template <class T>
bool abreast(int64_t n, int64_t batch) {
  return n <= 24 || (n <= 64 && batch >= 4 && 2 * batch >= width<T>);
}

void square(const Shape& a, const char* name) {
  if (a.axes < 2 || a[-1] != a[-2]) fail("%s takes square matrices (..., n, n)", name);
}

// What a product of n x n matrices costs, in nanoseconds.
double cost_of(int64_t n) { return 0.1 * double(n) * double(n) * double(n) + 20; }

template <class V>
void halve_and_mirror(View<V> g, int64_t first, int64_t n) {
  for (int64_t i = first; i < n; ++i)
    for (int64_t j = 0; j < (first ? first : i); ++j) {
      g(i, j) *= Number<V>(0.5);
      g(j, i) = g(i, j);
    }
}

// The symmetric gradient of A in place of that of L, of which the lower triangle is read.
// Murray 2016, Differentiation of the Cholesky decomposition; by halves in place of blocks.
template <class V>
void factor_adjoint(View<V> l, View<V> g, int64_t n, bool threads) {
  if (n <= Traits<V>::leaf) {
    for (int64_t k = n - 1; k >= 0; --k) {
      const V pivot = l(k, k);
      V sum{};
      for (int64_t i = k + 1; i < n; ++i) {
        sum += l(i, k) * g(i, k);
        g(i, k) /= pivot;
      }
      const V own = (g(k, k) - sum / pivot) / pivot;
      for (int64_t j = 0; j < k; ++j) g(k, j) -= own * l(k, j);
      for (int64_t i = k + 1; i < n; ++i) {
        const V factor = g(i, k);
        for (int64_t j = 0; j < k; ++j) {
          g(k, j) -= factor * l(i, j);
          g(i, j) -= factor * l(k, j);
        }
      }
      g(k, k) = own * Number<V>(0.5);
    }
    return halve_and_mirror(g, 0, n);
  }
  const int64_t h = half_of<V>(n);
  const auto across = l.from(h, 0), by_across = g.from(h, 0);
  factor_adjoint(l.from(h, h), g.from(h, h), n - h, threads);
  add_product(-2, g.from(h, h), across, by_across, n - h, h, n - h, threads);
  solve_upper(l.transposed(), by_across.transposed(), h, n - h, threads);
  add_product(-1, by_across.transposed(), across, g, h, h, n - h, threads, lower_result);
  factor_adjoint(l, g, h, threads);
  halve_and_mirror(g, h, n);
}

// C = -½ (A B + (A B)ᵀ), A (n, k), B (k, n).
template <class V>
void negative_symmetric_product(View<V> a, View<V> b, View<V> c, int64_t n, int64_t k,
                                bool threads) {
  const Number<V> half = Number<V>(-0.5);
  set_product(half, a, b, c, n, n, k, threads, lower_result);
  add_product(half, b.transposed(), a.transposed(), c, n, n, k, threads, lower_result);
  mirror_lower(c, n);
}

// ---- potrf

void same_square(const Attributes&, const Shape* input, Shape* output) {
  square(input[0], "potrf");
  output[0] = input[0];
}

void potrf(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T* a = call.input[0].as<T>();
    T* out = call.output[0].as<T>();
    for_each<T>(batch, abreast<T>(n, batch), cost_of(n), 0, n * n, [&](auto piece) {
      const auto l = piece.target(out, n, n);
      piece.copy(a, l, n, n);
      factor(l, n, piece.threads);
      piece.put(l, out, n, n);
    });
  });
}

void potrf_backward(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *factors = call.output[0].as<T>(), *given = call.output_gradient[0].as<T>();
    T* out = call.input_gradient[0].as<T>();
    for_each<T>(batch, abreast<T>(n, batch), 2 * cost_of(n), 0, 2 * n * n, [&](auto piece) {
      const auto l = piece.read(factors, n, n), g = piece.target(out, n, n);
      piece.copy(given, g, n, n);
      factor_adjoint(l, g, n, piece.threads);
      piece.put(g, out, n, n);
    });
  });
}

GL_OPERATOR("_gluon_linalg_potrf", one, one, same_square, potrf, potrf_backward, false);

// ---- potri

void potri(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T* factors = call.input[0].as<T>();
    T* out = call.output[0].as<T>();
    const int64_t room = room_of_inverse(n);
    for_each<T>(batch, abreast<T>(n, batch), 2 * cost_of(n), room, n * n, [&](auto piece) {
      const auto x = piece.target(out, n, n);
      piece.copy(factors, x, n, n);
      invert_by_factor(x, n, piece.space(1, room).at, piece.threads);
      piece.put(x, out, n, n);
    });
  });
}

// dX = -X (dL Lᵀ + L dLᵀ) X: the gradient is that of L alone, -(G + Gᵀ) L with G = X X̄ X.
void potri_backward(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *factors = call.input[0].as<T>(), *inverses = call.output[0].as<T>();
    const T* given = call.output_gradient[0].as<T>();
    T* out = call.input_gradient[0].as<T>();
    for_each<T>(batch, abreast<T>(n, batch), 6 * cost_of(n), 2 * n * n + 32, 4 * n * n,
                [&](auto piece) {
                  const auto x = piece.read(inverses, n, n), l = piece.read(factors, n, n);
                  const auto by_x = piece.read(given, n, n), to = piece.target(out, n, n);
                  const auto half = piece.space(n, n), whole = piece.space(n, n);
                  const bool threads = piece.threads;
                  set_product(1, x, by_x, half, n, n, n, threads);
                  negative_symmetric_product(half, x, whole, n, n, threads);
                  for (int64_t i = 0; i < n; ++i)
                    for (int64_t j = 0; j < n; ++j) half(i, j) = j > i ? 0 * x(i, j) : l(i, j);
                  set_product(2, whole, half, to, n, n, n, threads, lower_result | lower_right);
                  zero_above_diagonal(to, n);
                  piece.put(to, out, n, n);
                });
  });
}

GL_OPERATOR("_gluon_linalg_potri", one, one, same_square, potri, potri_backward, false);

// ---- log_det

void one_number(const Attributes&, const Shape* input, Shape* output) {
  square(input[0], "log_det");
  output[0] = input[0];
  output[0].axes -= 2;
}

void log_det(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T* a = call.input[0].as<T>();
    T *out = call.output[0].as<T>(), *kept = static_cast<T*>(call.record->of(sizeof(T) * batch * n * n));
    for_each<T>(batch, abreast<T>(n, batch), cost_of(n), 16, n * n + 1, [&](auto piece) {
      const auto l = piece.target(kept, n, n);
      piece.copy(a, l, n, n);
      const auto value = piece.target(out, 1, 1);
      auto sum = factor(l, n, piece.threads);
      for (int64_t i = 0; i < n; ++i) sum += logarithm(l(i, i));
      value(0, 0) = 2 * sum;
      piece.put(l, kept, n, n);
      piece.put(value, out, 1, 1);
    });
  });
}

void log_det_backward(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *kept = static_cast<const T*>(call.record->data()), *given = call.output_gradient[0].as<T>();
    T* out = call.input_gradient[0].as<T>();
    const int64_t room = room_of_inverse(n);
    for_each<T>(batch, abreast<T>(n, batch), 2 * cost_of(n), room, n * n + 1, [&](auto piece) {
      const auto x = piece.target(out, n, n);
      piece.copy(kept, x, n, n);
      const auto scale = piece.read(given, 1, 1)(0, 0);
      invert_by_factor(x, n, piece.space(1, room).at, piece.threads);
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < n; ++j) x(i, j) *= scale;
      piece.put(x, out, n, n);
    });
  });
}

GL_OPERATOR("_gluon_linalg_log_det", one, one, one_number, log_det, log_det_backward, true);

// ---- inverse_spd

void inverse_spd(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T* a = call.input[0].as<T>();
    T* out = call.output[0].as<T>();
    const int64_t room = room_of_inverse(n);
    for_each<T>(batch, abreast<T>(n, batch), 3 * cost_of(n), room, n * n, [&](auto piece) {
      const auto x = piece.target(out, n, n);
      piece.copy(a, x, n, n);
      const auto failure = factor(x, n, piece.threads);
      invert_by_factor(x, n, piece.space(1, room).at, piece.threads);
      spoil(x, n, n, failure);
      piece.put(x, out, n, n);
    });
  });
}

// -½ X (X̄ + X̄ᵀ) X.
void inverse_spd_backward(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *inverses = call.output[0].as<T>(), *given = call.output_gradient[0].as<T>();
    T* out = call.input_gradient[0].as<T>();
    for_each<T>(batch, abreast<T>(n, batch), 4 * cost_of(n), n * n + 16, 3 * n * n, [&](auto piece) {
      const auto x = piece.read(inverses, n, n), by_x = piece.read(given, n, n);
      const auto to = piece.target(out, n, n), half = piece.space(n, n);
      set_product(1, x, by_x, half, n, n, n, piece.threads);
      negative_symmetric_product(half, x, to, n, n, piece.threads);
      piece.put(to, out, n, n);
    });
  });
}

GL_OPERATOR("_gluon_linalg_inverse_spd", one, one, same_square, inverse_spd, inverse_spd_backward,
            false);

// ---- solve_spd

void right_sides(const Attributes&, const Shape* input, Shape* output) {
  const Shape &a = input[0], &b = input[1];
  square(a, "solve_spd");
  bool fits = a.axes == b.axes && a[-1] == b[-2];
  for (int i = 0; fits && i < a.axes - 2; ++i) fits = a[i] == b[i];
  if (!fits) fail("solve_spd takes matrices (..., n, n) and right sides (..., n, k)");
  output[0] = b;
}

void solve_spd(const Call& call) {
  const Shape& shape = call.input[1].shape;
  const int64_t n = shape[-2], k = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *a = call.input[0].as<T>(), *b = call.input[1].as<T>();
    T *out = call.output[0].as<T>(), *kept = static_cast<T*>(call.record->of(sizeof(T) * batch * n * n));
    for_each<T>(batch, k <= 64 && abreast<T>(n, batch), cost_of(n), 16, n * (n + k),
                [&](auto piece) {
                  const auto l = piece.target(kept, n, n), x = piece.target(out, n, k);
                  piece.copy(a, l, n, n);
                  piece.copy(b, x, n, k);
                  const auto failure = factor(l, n, piece.threads);
                  solve_lower(l, x, n, k, piece.threads);
                  solve_upper(l.transposed(), x, n, k, piece.threads);
                  spoil(x, n, k, failure);
                  piece.put(l, kept, n, n);
                  piece.put(x, out, n, k);
                });
  });
}

// B̄ = A⁻¹ X̄ and -½ (B̄ Xᵀ + X B̄ᵀ).
void solve_spd_backward(const Call& call) {
  const Shape& shape = call.input[1].shape;
  const int64_t n = shape[-2], k = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *kept = static_cast<const T*>(call.record->data()), *solutions = call.output[0].as<T>();
    const T* given = call.output_gradient[0].as<T>();
    T *to_a = call.input_gradient[0].as<T>(), *to_b = call.input_gradient[1].as<T>();
    for_each<T>(batch, k <= 64 && abreast<T>(n, batch), cost_of(n), 16,
                2 * n * (n + k), [&](auto piece) {
                  const auto l = piece.read(kept, n, n), x = piece.read(solutions, n, k);
                  const auto by_a = piece.target(to_a, n, n), by_b = piece.target(to_b, n, k);
                  piece.copy(given, by_b, n, k);
                  solve_lower(l, by_b, n, k, piece.threads);
                  solve_upper(l.transposed(), by_b, n, k, piece.threads);
                  negative_symmetric_product(by_b, x.transposed(), by_a, n, k, piece.threads);
                  piece.put(by_a, to_a, n, n);
                  piece.put(by_b, to_b, n, k);
                });
  });
}

GL_OPERATOR("_gluon_linalg_solve_spd", two, one, right_sides, solve_spd, solve_spd_backward, true);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
