// General square matrices, by LU.
//
// inverse   A⁻¹
// slogdet   the sign of det A, and log|det A| with the gradient A⁻ᵀ
// det       det A, with its cofactors as gradient, also where A is singular
//
// A batch element that is not finite is NaN. What is singular to working precision, by the rule of
// functional/general.py (`invertible`), is NaN for inverse and (0, -inf) for slogdet.

#include "lu.h"
#include "pieces.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

constexpr int64_t most_abreast = 16;

double cost_of(int64_t n) { return 0.3 * double(n) * double(n) * double(n) + 50; }

void square(const Shape& a, const char* name) {
  if (a.axes < 2 || a[-1] != a[-2]) fail("%s takes square matrices (..., n, n)", name);
}

// ---- inverse

void same_square(const Attributes&, const Shape* input, Shape* output) {
  square(input[0], "inverse");
  output[0] = input[0];
}

void inverse(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T* given = call.input[0].as<T>();
    T* to = call.output[0].as<T>();
    for_each<T>(batch, n <= most_abreast, cost_of(n), n * n + 3 * n + 64, 2 * n * n,
                [&](auto piece) {
                  using V = typename decltype(piece)::Value;
                  const auto a = piece.read(given, n, n), x = piece.target(to, n, n);
                  const auto lu = piece.space(n, n), pivots = piece.space(1, n);
                  const auto sums = piece.space(2, n);
                  piece.copy(given, lu, n, n);
                  factor_lu(lu, n, n, pivots.at, piece.threads);
                  invert_by_lu(lu, pivots.at, x, n, piece.threads);
                  const V condition = condition_of(a, x, sums.at, n), none{};
                  spoil(x, n, n, condition * roundoff<V>() < 1 ? none : not_a_number(none));
                  piece.put(x, to, n, n);
                });
  });
}

// -Xᵀ X̄ Xᵀ.
void inverse_backward(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *inverses = call.output[0].as<T>(), *given = call.output_gradient[0].as<T>();
    T* to = call.input_gradient[0].as<T>();
    for_each<T>(batch, n <= most_abreast, cost_of(n), n * n + 16, 3 * n * n, [&](auto piece) {
      const auto x = piece.read(inverses, n, n), by_x = piece.read(given, n, n);
      const auto out = piece.target(to, n, n), half = piece.space(n, n);
      set_product(1, x.transposed(), by_x, half, n, n, n, piece.threads);
      set_product(-1, half, x.transposed(), out, n, n, n, piece.threads);
      piece.put(out, to, n, n);
    });
  });
}

GL_OPERATOR("_gluon_linalg_inverse", one, one, same_square, inverse, inverse_backward, false);

// ---- slogdet

void numbers(const Attributes&, const Shape* input, Shape* output) {
  square(input[0], "slogdet");
  output[0] = input[0];
  output[0].axes -= 2;
  output[1] = output[0];
}

void slogdet(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T* given = call.input[0].as<T>();
    T *to_sign = call.output[0].as<T>(), *to_logarithm = call.output[1].as<T>();
    T* kept = static_cast<T*>(call.record->of(sizeof(T) * batch * n * n));
    for_each<T>(
        batch, n <= most_abreast, cost_of(n), 2 * n * n + 5 * n + 128, n * n + 2, [&](auto piece) {
          using V = typename decltype(piece)::Value;
          const V one_ = V{} + 1, none{};
          const auto x = piece.target(kept, n, n), sign = piece.target(to_sign, 1, 1);
          const auto logarithm_of = piece.target(to_logarithm, 1, 1);
          const auto a = piece.space(n, n), lu = piece.space(n, n), pivots = piece.space(1, n);
          const auto units = piece.space(2, n), sums = piece.space(2, n);
          piece.copy(given, a, n, n);
          const V failure = failure_of_all(a, n, n);
          V *rows = units.at, *columns = units.at + n;
          equilibrate(a, rows, columns, n);
          for (int64_t i = 0; i < n; ++i)
            for (int64_t j = 0; j < n; ++j) lu(i, j) = a(i, j);
          factor_lu(lu, n, n, pivots.at, piece.threads);
          invert_by_lu(lu, pivots.at, x, n, piece.threads);
          const V condition = condition_of(a, x, sums.at, n);
          const V regular = condition * roundoff<V>() < 1 ? one_ : none;
          V own = one_, sum{}, exponent{};
          for (int64_t i = 0; i < n; ++i) {
            const V u = lu(i, i);
            own = u < 0 ? -own : own;
            own = pivots(0, i) == V{} + T(i) ? own : -own;
            sum += logarithm(magnitude(u));
            exponent += logarithm(rows[i]) + logarithm(columns[i]);
          }
          const V minus_infinity = none - T(__builtin_inf());
          sign(0, 0) = (regular > 0 ? own : none) + failure;
          logarithm_of(0, 0) = (regular > 0 ? sum + exponent : minus_infinity) + failure;
          for (int64_t i = 0; i < n; ++i)
            for (int64_t j = 0; j < n; ++j) x(i, j) = x(i, j) / columns[i] / rows[j];
          spoil(x, n, n, regular > 0 ? failure : not_a_number(none));
          piece.put(x, kept, n, n);
          piece.put(sign, to_sign, 1, 1);
          piece.put(logarithm_of, to_logarithm, 1, 1);
        });
  });
}

// A⁻ᵀ times a number, transposed or not; 0 where that is 0.
void kept_times(const Call& call, const Array& factor, bool transpose) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *kept = static_cast<const T*>(call.record->data()), *given = factor.as<T>();
    T* to = call.input_gradient[0].as<T>();
    parallel_for(batch, double(n * n), [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const T *x = kept + b * n * n, scale = given[b];
        T* out = to + b * n * n;
        for (int64_t i = 0; i < n; ++i)
          for (int64_t j = 0; j < n; ++j) {
            const T value = transpose ? x[j * n + i] : x[i * n + j];
            out[i * n + j] = scale == 0 ? T(0) : scale * value;
          }
      }
    });
  });
}

void slogdet_backward(const Call& call) { kept_times(call, call.output_gradient[1], true); }

GL_OPERATOR("_gluon_linalg_slogdet", one, two, numbers, slogdet, slogdet_backward, true);

// ---- det

// m 2ᵏ with 1 <= |m| < 2, or m = 0.
template <class V>
struct Scaled {
  V mantissa, exponent;
  void operator*=(V x) {
    mantissa *= x;
    const V power = power_below(magnitude(mantissa));
    mantissa /= power;
    exponent += logarithm_of_power(power);
  }
  static V logarithm_of_power(V power) {
    V k;
    if constexpr (Traits<V>::lanes) {
      for (int i = 0; i < width<Number<V>>; ++i) k[i] = Number<V>(__builtin_ilogb(power[i]));
    } else {
      k = V(__builtin_ilogb(power));
    }
    return k;
  }
};

// x 2ᵏ.
template <class V>
V times_power(V x, V k) {
  const auto one = [](Number<V> x, Number<V> k) {
    return Number<V>(__builtin_ldexp(double(x), int(k < -4000 ? -4000 : k > 4000 ? 4000 : k)));
  };
  if constexpr (Traits<V>::lanes) {
    for (int i = 0; i < width<Number<V>>; ++i) x[i] = one(x[i], k[i]);
    return x;
  } else {
    return one(x, k);
  }
}

// P A Q = L U in place: the largest number that is left becomes the pivot, so that what is singular
// shows at the end. The sign is that of P Q.
template <class V>
V factor_completely(View<V> a, int64_t n, V* row_pivots, V* column_pivots) {
  const V one = V{} + 1;
  V sign = one;
  for (int64_t k = 0; k < n; ++k) {
    V largest = magnitude(a(k, k)), row = V{} + Number<V>(k), column = row;
    for (int64_t i = k; i < n; ++i)
      for (int64_t j = k; j < n; ++j) {
        const V size = magnitude(a(i, j));
        row = size > largest ? V{} + Number<V>(i) : row;
        column = size > largest ? V{} + Number<V>(j) : column;
        largest = size > largest ? size : largest;
      }
    row_pivots[k] = row;
    column_pivots[k] = column;
    sign = row == V{} + Number<V>(k) ? sign : -sign;
    sign = column == V{} + Number<V>(k) ? sign : -sign;
    swap_rows(a, k, row, n, n);
    swap_rows(a.transposed(), k, column, n, n);
    const V pivot = a(k, k) == 0 ? one : a(k, k);
    for (int64_t i = k + 1; i < n; ++i) {
      a(i, k) /= pivot;
      if constexpr (Traits<V>::lanes) {
        for (int64_t j = k + 1; j < n; ++j) a(i, j) -= a(i, k) * a(k, j);
      } else {
        add_row(-a(i, k), &a(k, k + 1), &a(i, k + 1), n - k - 1);
      }
    }
  }
  return sign;
}

// det A and, in x, the transposed cofactors of what `factor_completely` left, but for a factor. The
// last pivot δ may be 0: with U = [U1 u; 0 δ] the adjugate is det U1 [δ U1⁻¹, -U1⁻¹ u; 0, 1].
template <class V>
void adjugate(View<V> lu, const V* row_pivots, const V* column_pivots, View<V> x, int64_t n,
              bool threads) {
  const int64_t h = n - 1;
  const V one = V{} + 1;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) x(i, j) = j >= i ? lu(i, j) : V{};
  // Where U1 is singular, its determinant makes all of it 0.
  for (int64_t i = 0; i < h; ++i) x(i, i) = x(i, i) == 0 ? one : x(i, i);
  const V last = lu(h, h);
  solve_upper(x, x.from(0, h), h, 1, false);
  if (h) invert_lower(x.reversed(h), h, threads);
  for (int64_t i = 0; i < h; ++i) {
    for (int64_t j = i; j < h; ++j) x(i, j) *= last;
    x(i, h) = -x(i, h);
  }
  x(h, h) = one;
  solve_upper(lu.transposed(), x.transposed(), n, n, threads, true);
  for (int64_t k = n - 1; k >= 0; --k) {
    swap_rows(x.transposed(), k, row_pivots[k], n, n);
    swap_rows(x, k, column_pivots[k], n, n);
  }
}

void one_number(const Attributes&, const Shape* input, Shape* output) {
  square(input[0], "det");
  output[0] = input[0];
  output[0].axes -= 2;
}

void det(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T* given = call.input[0].as<T>();
    T* to = call.output[0].as<T>();
    T* kept = static_cast<T*>(call.record->of(sizeof(T) * batch * n * n));
    for_each<T>(
        batch, n <= most_abreast, 2 * cost_of(n), 2 * n * n + 7 * n + 128, n * n + 1,
        [&](auto piece) {
          using V = typename decltype(piece)::Value;
          const V one_ = V{} + 1, none{};
          const auto cofactors = piece.target(kept, n, n), value = piece.target(to, 1, 1);
          const auto a = piece.space(n, n), x = piece.space(n, n);
          const auto pivots = piece.space(2, n), units = piece.space(2, n);
          piece.copy(given, a, n, n);
          V failure = failure_of_all(a, n, n);
          V *rows = units.at, *columns = units.at + n;
          equilibrate(a, rows, columns, n);
          Scaled<V> own{one_, none}, others{one_, none};
          if (n) {
            const V sign = factor_completely(a, n, pivots.at, pivots.at + n);
            own *= sign;
            for (int64_t i = 0; i < n; ++i) {
              if (i == n - 1) others = own;
              own *= a(i, i);
            }
            adjugate(a, pivots.at, pivots.at + n, x, n, piece.threads);
          }
          V power{};
          for (int64_t i = 0; i < n; ++i) {
            rows[i] = Scaled<V>::logarithm_of_power(rows[i]);
            columns[i] = Scaled<V>::logarithm_of_power(columns[i]);
            power += rows[i] + columns[i];
          }
          value(0, 0) = times_power(own.mantissa, own.exponent + power);
          failure += value(0, 0) * 0;
          for (int64_t i = 0; i < n; ++i)
            for (int64_t j = 0; j < n; ++j) {
              // Of the transpose of what is in x.
              const V exponent = others.exponent + power - rows[i] - columns[j];
              cofactors(i, j) = times_power(x(j, i) * others.mantissa, exponent);
              failure += cofactors(i, j) * 0;
            }
          spoil(cofactors, n, n, failure);
          spoil(value, 1, 1, failure);
          piece.put(cofactors, kept, n, n);
          piece.put(value, to, 1, 1);
        });
  });
}

void det_backward(const Call& call) { kept_times(call, call.output_gradient[0], false); }

GL_OPERATOR("_gluon_linalg_det", one, one, one_number, det, det_backward, true);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
