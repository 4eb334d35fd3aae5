// Batches of Cholesky factors.

#include "lanes.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

void shapes(const Attributes&, const Shape* input, Shape* output) {
  const Shape& a = input[0];
  if (a.axes < 2 || a[-1] != a[-2]) fail("potrf takes square matrices");
  output[0] = a;
}

// L of A = L Lᵀ in place, a[i * n + j]; NaN from the first pivot on that is not positive.
template <class V>
void factor(V* a, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    V* row = a + j * n;
    for (int64_t i = j; i < n; ++i) {
      V* other = a + i * n;
      V sum = other[j];
      for (int64_t k = 0; k < j; ++k) sum -= other[k] * row[k];
      other[j] = sum;
    }
    const V pivot = root(row[j]);
    const V inverse = pivot > 0 ? 1 / pivot : pivot * 0 / 0;
    row[j] = pivot;
    for (int64_t i = j + 1; i < n; ++i) a[i * n + j] *= inverse;
    for (int64_t k = j + 1; k < n; ++k) row[k] = V{};
  }
}

template <class T>
void forward_of(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t n = shape[-1], batch = shape.product(0, -2);
  const T* in = call.input[0].as<T>();
  T* out = call.output[0].as<T>();
  over_lanes<T>(batch, 0.3 * double(n * n * n) + 50, [&](int64_t first, int count) {
    Scratch scratch(sizeof(Lanes<T>) * n * n);
    auto* a = scratch.as<Lanes<T>>();
    for (int64_t i = 0; i < n * n; ++i) a[i] = load(in + first * n * n + i, n * n, count);
    factor(a, n);
    for (int64_t i = 0; i < n * n; ++i) store(out + first * n * n + i, n * n, a[i], count);
  });
}

void forward(const Call& call) {
  by_type(call.input[0].type, [&](auto zero) { forward_of<decltype(zero)>(call); });
}

GL_OPERATOR("_gluon_linalg_potrf", one, one, shapes, forward, nullptr, false);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
