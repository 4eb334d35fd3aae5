// Batches of symmetric eigendecompositions.

#include "spectra.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

struct Sizes {
  int64_t batch, n, chosen;
};

Sizes sizes(const Call& call) {
  const Shape& a = call.input[0].shape;
  const int64_t top = call.attributes.integer("top_k", 0);
  return {a.product(0, -2), a[-1], top > 0 ? top : a[-1]};
}

void check(const Shape& a) {
  if (a.axes < 2 || a[-1] != a[-2]) fail("an eigendecomposition takes square matrices");
}

double nanoseconds(int64_t n) { return 0.7 * double(n * n * n) + 100; }

// The rows of z with their values in order, by lanes.
template <class V>
void sorted(const V* z, const V* values, V* sorted_z, V* sorted_values, int64_t n, bool descending) {
  Scratch scratch(sizeof(int64_t) * n);
  auto* order = scratch.as<int64_t>();
  for (int lane = 0; lane < lanes_of<V>; ++lane) {
    const auto* plain = reinterpret_cast<const double*>(values);
    const auto value = [&](int64_t i) { return plain[i * lanes_of<V> + lane]; };
    for (int64_t i = 0; i < n; ++i) {
      int64_t j = i;
      for (; j > 0 && (descending ? value(order[j - 1]) < value(i) : value(order[j - 1]) > value(i));
           --j)
        order[j] = order[j - 1];
      order[j] = i;
    }
    for (int64_t i = 0; i < n; ++i) {
      part(sorted_values[i], lane) = value(order[i]);
      if (!z) continue;
      const auto* from = reinterpret_cast<const double*>(z + order[i] * n) + lane;
      auto* to = reinterpret_cast<double*>(sorted_z + i * n) + lane;
      for (int64_t k = 0; k < n; ++k) to[k * lanes_of<V>] = from[k * lanes_of<V>];
    }
  }
}

// What `eigh` keeps of a group: the rows of U, the eigenvalues, and 1 or NaN.
GL_INLINE int64_t kept(int64_t n) { return n * n + n + 1; }

template <class V, class T>
void decompose(const Call& call, bool vectors, bool signs) {
  const auto [batch, n, chosen] = sizes(call);
  const T* in = call.input[0].as<T>();
  T* u_out = vectors ? call.output[0].as<T>() : nullptr;
  T* values_out = call.output[vectors].as<T>();
  const bool descending = call.attributes.flag("descending");
  const int64_t begin = descending ? 0 : n - chosen, size = n, rows = chosen;
  const int64_t groups = (batch + lanes_of<V> - 1) / lanes_of<V>;
  V* record = signs ? static_cast<V*>(call.record->of(sizeof(V) * groups * kept(n))) : nullptr;
  const auto group = [&](int64_t g, int64_t first, int count, V* memory, bool threads) {
    const int64_t n = size;
    V *a = memory, *values = a + n * n, *work = values + n;
    V* u = record ? record + g * kept(n) : work + eigen_memory<V>(n);
    V* ordered = record ? u + n * n : work;
    V finite;
    const V scale = load_symmetric<V>(in + first * n * n, n, count, a, &finite);
    eigen(a, values, work, n, vectors, threads);
    sorted(vectors ? a : static_cast<V*>(nullptr), values, u, ordered, n, descending);
    for (int64_t i = 0; i < n; ++i) ordered[i] *= scale;
    if (record) {
      u[n * n + n] = finite;
      for (int64_t i = 0; i < n; ++i) ordered[i] *= finite;
    }
    for (int64_t i = 0; i < rows; ++i) {
      put(values_out + first * rows + i, rows, ordered[begin + i], count);
    }
    if (!vectors) return;
    for (int64_t i = 0; i < n; ++i) {
      V* row = u + i * n;
      if (!signs) continue;
      const V sign = row_sign(row, n) * finite;
      for (int64_t k = 0; k < n; ++k) row[k] *= sign;
    }
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t k = 0; k < n; ++k)
        put(u_out + (first * rows + i) * n + k, rows * n, u[(begin + i) * n + k], count);
  };
  const int64_t memory = (vectors && !record ? 2 : 1) * n * n + 2 * n + 8 + eigen_memory<V>(n);
  over_groups<V>(batch, nanoseconds(n), memory, group);
}

template <class Body>
void by_width(const Call& call, const Body& body) {
  const auto [batch, n, chosen] = sizes(call);
  (void)chosen;
  if (in_lanes(batch, n)) {
    body(Lanes<double>{});
  } else {
    body(double{});
  }
}

void run(const Call& call, bool vectors, bool signs) {
  by_type(call.input[0].type, [&](auto zero) {
    by_width(call, [&](auto v) { decompose<decltype(v), decltype(zero)>(call, vectors, signs); });
  });
}

// A is moved by dA, U by Ω U, Ω_ij = (U dA Uᵀ)_ij / (λ_i - λ_j) where that is no tie.
template <class V, class T>
void eigh_backward_of(const Call& call) {
  const auto [batch, size, chosen] = sizes(call);
  const int64_t n = size, rows = chosen;
  const T *u_gradient = call.output_gradient[0].as<T>(),
          *values_gradient = call.output_gradient[1].as<T>();
  T* out = call.input_gradient[0].as<T>();
  const int64_t begin = call.attributes.flag("descending") ? 0 : n - rows;
  const double roundoff = sizeof(T) == 4 ? 0x1p-24 : 0x1p-53;
  const double ties = (0.5 * double(n) > 64 ? 0.5 * double(n) : 64) * roundoff;
  auto* record = static_cast<V*>(call.record->data());
  const auto group = [&](int64_t g, int64_t first, int count, V* memory, bool threads) {
    V *u = record + g * kept(n), *values = u + n * n, finite = u[n * n + n];
    V *incoming = memory, *turned = incoming + n * n;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t k = 0; k < n; ++k)
        incoming[i * n + k] =
            finite * take<V>(u_gradient + (first * rows + i) * n + k, rows * n, count);
    set_product(1, view(incoming, n), view(u, n).transposed(), view(turned, n), rows, n, n,
                threads);
    const V bound = ties * larger(magnitude(values[0]), magnitude(values[n - 1]));
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const V gap = values[begin + i] - values[j];
        const auto apart = magnitude(gap) > bound;
        V& x = turned[i * n + j];
        x = apart ? x / (apart ? gap : V{} + 1) : V{};
      }
      turned[i * n + begin + i] +=
          finite * take<V>(values_gradient + first * rows + i, rows, count);
    }
    const bool all_rows = rows == n;
    if (all_rows) symmetrize(turned, n);
    set_product(1, view(turned, n), view(u, n), view(incoming, n), rows, n, n, threads);
    set_product(1, view(u + begin * n, n).transposed(), view(incoming, n), view(turned, n), n, n,
                rows, threads, all_rows ? lower_result : general);
    if (all_rows) {
      mirror_lower(view(turned, n), n);
    } else {
      symmetrize(turned, n);
    }
    for (int64_t i = 0; i < n * n; ++i) put(out + first * n * n + i, n * n, turned[i], count);
  };
  over_groups<V>(batch, 0.3 * double(n * n * n) + 50, 2 * n * n + 1, group);
}

void eigh_forward(const Call& call) { run(call, true, true); }
void syevd_forward(const Call& call) { run(call, true, false); }
void values_forward(const Call& call) { run(call, false, false); }

void eigh_backward(const Call& call) {
  if (call.input[0].shape[-1] == 0) return;
  by_type(call.input[0].type, [&](auto zero) {
    by_width(call, [&](auto v) { eigh_backward_of<decltype(v), decltype(zero)>(call); });
  });
}

void pair_shapes(const Attributes& attributes, const Shape* input, Shape* output) {
  check(input[0]);
  const int64_t top = attributes.integer("top_k", 0);
  if (top > input[0][-1]) fail("top_k is larger than the matrices");
  output[0] = output[1] = input[0];
  const int64_t rows = top > 0 ? top : input[0][-1];
  output[1].axes -= 1;
  output[0].size[output[0].axes - 2] = output[1].size[output[1].axes - 1] = rows;
}

void values_shapes(const Attributes&, const Shape* input, Shape* output) {
  check(input[0]);
  output[0] = input[0];
  output[0].axes -= 1;
}

GL_OPERATOR("_gluon_linalg_eigh", one, two, pair_shapes, eigh_forward, eigh_backward, true);
GL_OPERATOR("_gluon_linalg_syevd", one, two, pair_shapes, syevd_forward, no_gradient, false);
GL_OPERATOR("_gluon_linalg_eigvalsh", one, one, values_shapes, values_forward, no_gradient, false);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
