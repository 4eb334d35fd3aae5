// Functions of symmetric matrices, f(A) = Zᵀ diag(f(λ)) Z, and their derivative by Daleckii and
// Krein, dF = Zᵀ (D ∘ (Z dA Zᵀ)) Z with the divided differences D_ij = (f(λ_i) - f(λ_j)) /
// (λ_i - λ_j), each in a form without cancellation. `functional/spectral.py` derives them.

#include "spectra.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

#define GL_OF_LANES(name, function)                                     \
  template <class V>                                                    \
  V name(V x) {                                                         \
    for (int i = 0; i < lanes_of<V>; ++i) part(x, i) = function(part(x, i)); \
    return x;                                                           \
  }
GL_OF_LANES(exponential_of, __builtin_exp)
GL_OF_LANES(exponential_less_1, __builtin_expm1)
GL_OF_LANES(logarithm_of, __builtin_log)
GL_OF_LANES(logarithm_of_1_and, __builtin_log1p)
#undef GL_OF_LANES

template <class V>
V powers(V x, double power) {
  for (int i = 0; i < lanes_of<V>; ++i) part(x, i) = __builtin_pow(part(x, i), power);
  return x;
}

enum Function { square_root, inverse_root, log_of, exp_of, power_of, nearest };
enum Domain { all_matrices, semidefinite, definite, snapped };
// What becomes of a matrix; Python reads it.
enum Status { computed = 0, not_finite = 1, not_positive = 2, too_large = 3 };

struct Rule {
  Function function;
  Domain domain;
  bool lifted;  // whether the inverse root has a floor
  double parameter;  // the power, or the floor
  double roundoff, most;  // of the dtype

  Rule(const Attributes& attributes, bool single) {
    const char* name = attributes.text("function", "");
    parameter = attributes.number("parameter", 0);
    lifted = attributes.flag("lifted");
    roundoff = single ? 0x1p-24 : 0x1p-53;
    most = single ? double(__FLT_MAX__) : __DBL_MAX__;
    static const char* const names[] = {"sqrt", "inverse_sqrt", "log", "exp", "power", "nearest"};
    int found = 0;
    while (found < 6 && __builtin_strcmp(name, names[found])) ++found;
    if (found == 6) fail("no function of matrices is called '%s'", name);
    function = Function(found);
    domain = function == exp_of                                        ? all_matrices
             : function == nearest                                     ? snapped
             : function == square_root || (function == inverse_root && lifted) ? semidefinite
                                                                       : definite;
  }
};

// λ as the rule takes it; returns 1 where the matrix is in the domain, and else 0.
template <class V>
V restrict_to(const Rule& rule, V* values, int64_t n, V* largest_magnitude) {
  const V one = V{} + 1;
  V fine = one;
  V smallest = values[0], largest{};
  for (int64_t i = 0; i < n; ++i) {
    smallest = values[i] < smallest ? values[i] : smallest;
    largest = larger(largest, magnitude(values[i]));
  }
  const double size = 0.25 * double(n) > 8 ? 0.25 * double(n) : 8;
  const V bound = size * rule.roundoff * largest;
  if (rule.domain == definite) fine = smallest > bound ? one : V{};
  if (rule.domain == semidefinite) {
    fine = smallest >= -bound ? one : V{};
    const V explained = smallest < 0 ? -16 * smallest : V{};
    for (int64_t i = 0; i < n; ++i) values[i] = values[i] > explained ? values[i] : V{};
    largest = V{};
    for (int64_t i = 0; i < n; ++i) largest = larger(largest, values[i]);
  }
  if (rule.domain == snapped)
    for (int64_t i = 0; i < n; ++i)
      values[i] = magnitude(values[i] - rule.parameter) > bound ? values[i] : V{} + rule.parameter;
  *largest_magnitude = largest;
  return fine;
}

template <class V>
V value_of(const Rule& rule, V x, V largest) {
  switch (rule.function) {
    case square_root: return root(x);
    case inverse_root:
      return 1 / root(rule.lifted ? larger(x, rule.parameter * largest) : x);
    case log_of: return logarithm_of(x);
    case exp_of: return exponential_of(x);
    case power_of: return powers(x, rule.parameter);
    default: return larger(x, V{} + rule.parameter);
  }
}

// D(x, y) of x >= y.
template <class V>
V divided_difference(const Rule& rule, V x, V y, V largest) {
  const V one = V{} + 1;
  const V gap = x - y;
  switch (rule.function) {
    case square_root: {
      const auto regular = x > 8 * rule.roundoff * largest;
      return regular ? 1 / (regular ? root(x) + root(y) : one) : V{};
    }
    case inverse_root: {
      const V floor = rule.parameter * largest;
      const V a = rule.lifted ? larger(x, floor) : x, b = rule.lifted ? larger(y, floor) : y;
      const V quotient = gap == 0 ? (a == x ? one : V{}) : (a - b) / (gap == 0 ? one : gap);
      const V root_a = root(a), root_b = root(b);
      return -quotient / root_a / root_b / (root_a + root_b);
    }
    case log_of: {
      const V excess = gap / y;
      return (excess == 0 ? one : logarithm_of_1_and(excess) / (excess == 0 ? one : excess)) / y;
    }
    case exp_of:
      return exponential_of(x) *
             (gap == 0 ? one : -exponential_less_1(-gap) / (gap == 0 ? one : gap));
    case power_of: {
      const double power = rule.parameter, size = power < 0 ? -power : power;
      const V excess = gap / y;
      const V quotient =
          excess == 0 ? V{} + size
                      : -exponential_less_1(-size * logarithm_of_1_and(excess)) /
                            (excess == 0 ? one : excess);
      return powers(power > 0 ? x : y, power) * (quotient / y) * (power > 0 ? 1.0 : -1.0);
    }
    default: {
      const double floor = rule.parameter;
      const auto both = y > floor;
      const auto either = x > floor;
      return both ? one : either ? (x - floor) / (either ? gap : one) : V{};
    }
  }
}

// What a group keeps: Z and D.
GL_INLINE int64_t kept(int64_t n) { return 2 * n * n; }

template <class V, class T>
void forward_of(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  const Rule rule(call.attributes, sizeof(T) == 4);
  const T* in = call.input[0].as<T>();
  T *out = call.output[0].as<T>(), *status_out = call.output[1].as<T>();
  const int64_t groups = (batch + lanes_of<V> - 1) / lanes_of<V>;
  V* record = static_cast<V*>(call.record->of(sizeof(V) * groups * kept(n)));
  const auto group = [&](int64_t g, int64_t first, int count, V* memory, bool threads) {
    V *z = record + g * kept(n), *differences = z + n * n;
    V *values = memory, *work = values + n, *scaled = work + eigen_memory<V>(n), *result = scaled + n * n;
    V finite, largest;
    const V scale = load_symmetric<V>(in + first * n * n, n, count, z, &finite);
    eigen(z, values, work, n, true, threads);
    for (int64_t i = 0; i < n; ++i) values[i] *= scale;
    const V fine = restrict_to(rule, values, n, &largest);
    // Matrices without a value are computed as if they were 1.
    if (rule.domain == definite)
      for (int64_t i = 0; i < n; ++i) values[i] = fine > 0 ? values[i] : V{} + 1;
    V unfit{};
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        const auto swapped = values[i] < values[j];
        const V d = divided_difference(rule, swapped ? values[j] : values[i],
                                       swapped ? values[i] : values[j], largest);
        unfit = magnitude(d) <= rule.most ? unfit : V{} + 1;
        differences[i * n + j] = differences[j * n + i] = d;
      }
      const V f = value_of(rule, values[i], largest);
      unfit = magnitude(f) <= rule.most ? unfit : V{} + 1;
      for (int64_t k = 0; k < n; ++k) scaled[i * n + k] = f * z[i * n + k];
    }
    V status = unfit * double(too_large);
    status = fine > 0 ? status : V{} + double(not_positive);
    status = finite == 1 ? status : V{} + double(not_finite);
    const V marked = status == 0 ? V{} + 1 : V{} * 0 + __builtin_nan("");
    set_product(1, view(z, n).transposed(), view(scaled, n), view(result, n), n, n, n, threads,
                lower_result);
    mirror_lower(view(result, n), n);
    for (int64_t i = 0; i < n * n; ++i) {
      put(out + first * n * n + i, n * n, marked * result[i], count);
      differences[i] *= marked;
    }
    put(status_out + first, 1, status, count);
  };
  if (n == 0) {
    for (int64_t b = 0; b < batch; ++b) status_out[b] = 0;
    return;
  }
  over_groups<V>(batch, 1.0 * double(n * n * n) + 100, 2 * n * n + n + eigen_memory<V>(n), group);
}

template <class V, class T>
void backward_of(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  const T* gradient = call.output_gradient[0].as<T>();
  T* out = call.input_gradient[0].as<T>();
  auto* record = static_cast<V*>(call.record->data());
  const auto group = [&](int64_t g, int64_t first, int count, V* memory, bool threads) {
    V *z = record + g * kept(n), *differences = z + n * n;
    V *one = memory, *two = one + n * n;
    for (int64_t i = 0; i < n * n; ++i) one[i] = take<V>(gradient + first * n * n + i, n * n, count);
    symmetrize(one, n);
    const View<V> rows{z, n, 1}, first_view{one, n, 1}, second_view{two, n, 1};
    set_product(1, rows, first_view, second_view, n, n, n, threads);
    set_product(1, second_view, rows.transposed(), first_view, n, n, n, threads, lower_result);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j <= i; ++j)
        one[i * n + j] = one[j * n + i] = one[i * n + j] * differences[i * n + j];
    set_product(1, first_view, rows, second_view, n, n, n, threads);
    set_product(1, rows.transposed(), second_view, first_view, n, n, n, threads, lower_result);
    mirror_lower(first_view, n);
    for (int64_t i = 0; i < n * n; ++i) put(out + first * n * n + i, n * n, one[i], count);
  };
  over_groups<V>(batch, 0.3 * double(n * n * n) + 50, 2 * n * n + 1, group);
}

template <class Body>
void by_kind(const Call& call, const Body& body) {
  const Shape& shape = call.input[0].shape;
  by_type(call.input[0].type, [&](auto zero) {
    if (in_lanes(shape.product(0, -2), shape[-1])) {
      body(Lanes<double>{}, zero);
    } else {
      body(double{}, zero);
    }
  });
}

void forward(const Call& call) {
  by_kind(call, [&](auto v, auto zero) { forward_of<decltype(v), decltype(zero)>(call); });
}

void backward(const Call& call) {
  by_kind(call, [&](auto v, auto zero) { backward_of<decltype(v), decltype(zero)>(call); });
}

void shapes(const Attributes&, const Shape* input, Shape* output) {
  const Shape& a = input[0];
  if (a.axes < 2 || a[-1] != a[-2]) fail("functions of matrices take square matrices");
  output[0] = output[1] = a;
  output[1].axes -= 2;
}

GL_OPERATOR("_gluon_linalg_symmetric_function", one, two, shapes, forward, backward, true);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
