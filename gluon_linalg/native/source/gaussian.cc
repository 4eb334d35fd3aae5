// Log-likelihoods of normal distributions, among them those of Gaussian processes.
//
// φ = ½ rᵀA⁻¹r + ½ log|A| + ½ n log 2π and its gradient ½(A⁻¹ - ααᵀ), α = A⁻¹r (Seeger et al.
// 2017, section 2.1). The factor of A, and later A⁻¹, is all that is kept: of a Gaussian process
// neither the matrix nor its gradient is ever there.

#include "kernel_pairs.h"
#include "triangle.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

constexpr double half_log_2pi = 0.91893853320467274178;

inline Real widened(const double* p) { return load_from(p); }
inline Real widened(const float* p) {
  typedef float Half __attribute__((vector_size(GL_BYTES / 2)));
  Half x;
  __builtin_memcpy(&x, p, sizeof x);
  return __builtin_convertvector(x, Real);
}

template <class T>
double wide_dot(const T* a, const double* b, int64_t n) {
  constexpr int w = width<double>;
  Real sum[4] = {};
  int64_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w)
    for (int k = 0; k < 4; ++k) sum[k] += widened(a + i + k * w) * load_from(b + i + k * w);
  double rest = 0.0;
  for (; i < n; ++i) rest += double(a[i]) * b[i];
  return rest + sum_of_lanes((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

// What forward leaves for backward.
template <class T>
struct Kept {
  // Whether the matrices are A⁻¹ already, in place of L.
  bool* inverted;
  double* weights;  // α (B, n)
  T* matrices;      // (B, n, n)
  int64_t n;

  static Kept of(Record& record, int64_t batch, int64_t n, bool forward) {
    const size_t weights = sizeof(double) * batch * n, flags = (batch + 63) / 64 * 64;
    char* data = static_cast<char*>(
        forward ? record.of(flags + weights + sizeof(T) * batch * n * n) : record.data());
    return {reinterpret_cast<bool*>(data), reinterpret_cast<double*>(data + flags),
            reinterpret_cast<T*>(data + flags + weights), n};
  }

  T* matrix(int64_t b) const { return matrices + b * n * n; }
  double* alpha(int64_t b) const { return weights + b * n; }

  // φ of the batch element whose matrix is A; NaN, also in α, where there is none.
  double likelihood(int64_t b, const T* residual, int threads) const {
    T* const a = matrix(b);
    double* const x = alpha(b);
    inverted[b] = false;
    factor_lower(view(a, n), n, threads > 1);
    double value = half_log_2pi * double(n), check = 0.0;
    for (int64_t i = 0; i < n; ++i) {
      const T* row = a + i * n;
      x[i] = (double(residual[i]) - wide_dot(row, x, i)) / double(row[i]);
      value += 0.5 * x[i] * x[i] + __builtin_log(double(row[i]));
      check += 0.0 * (double(row[i]) + double(residual[i]));
    }
    const bool holds = check == 0.0;
    for (int64_t i = n - 1; holds && i >= 0; --i) {
      const T* row = a + i * n;
      x[i] /= double(row[i]);
      const double own = x[i];
      for (int64_t j = 0; j < i; ++j) x[j] -= own * double(row[j]);
    }
    if (holds) return value;
    // What backward makes of it is NaN, too.
    inverted[b] = true;
    for (int64_t i = 0; i < n; ++i) x[i] = __builtin_nan("");
    for (int64_t i = 0; i < n * n; ++i) a[i] = 0;
    return __builtin_nan("");
  }

  // A⁻¹ of the batch element, of which the lower triangle is there.
  const T* inverse(int64_t b, int threads) const {
    if (!inverted[b]) {
      Scratch room(sizeof(T) * room_of_inverse(n));
      const auto l = view(matrix(b), n);
      invert_lower(l, n, threads > 1);
      square_of_lower(l, n, room.as<T>(), threads > 1);
    }
    inverted[b] = true;
    return matrix(b);
  }
};

// ---- of a given covariance: A (B, n, n), r (B, n) -> (B,) ----

void normal_shapes(const Attributes&, const Shape* input, Shape* output) {
  const Shape &a = input[0], &r = input[1];
  if (a.axes != 3 || r.axes != 2 || a[1] != a[2] || a[0] != r[0] || a[1] != r[1])
    fail("gaussian_nll takes matrices (B, n, n) and rows (B, n)");
  output[0] = Shape::of(a[0]);
}

template <class Body>
void over_matrices(const Plan& plan, int64_t batch, int64_t n, const Body& body) {
  const double each = 1000.0 + double(n) * double(n) * double(n) / 10.0;
  parallel_for(plan.parts, each * double(batch) / plan.parts, [&](int64_t begin, int64_t end) {
    for (int64_t b = batch * begin / plan.parts; b < batch * end / plan.parts; ++b) body(b);
  });
}

template <class T>
void normal_forward_of(const Call& call) {
  const Shape& shape = call.input[1].shape;
  const int64_t batch = shape[0], n = shape[1];
  const Plan plan(shape);
  const auto kept = Kept<T>::of(*call.record, batch, n, true);
  over_matrices(plan, batch, n, [&](int64_t b) {
    const T* from = call.input[0].as<T>() + b * n * n;
    for (int64_t i = 0; i < n; ++i)
      __builtin_memcpy(kept.matrix(b) + i * n, from + i * n, sizeof(T) * (i + 1));
    call.output[0].as<T>()[b] =
        T(kept.likelihood(b, call.input[1].as<T>() + b * n, plan.workers));
  });
}

template <class T>
void normal_backward_of(const Call& call) {
  const Shape& shape = call.input[1].shape;
  const int64_t batch = shape[0], n = shape[1];
  const Plan plan(shape);
  const auto kept = Kept<T>::of(*call.record, batch, n, false);
  over_matrices(plan, batch, n, [&](int64_t b) {
    const double change = double(call.output_gradient[0].as<T>()[b]);
    const T* inverse = kept.inverse(b, plan.workers);
    const double* alpha = kept.alpha(b);
    T* to_matrix = call.input_gradient[0].as<T>() + b * n * n;
    T* to_residual = call.input_gradient[1].as<T>() + b * n;
    for (int64_t i = 0; i < n; ++i) to_residual[i] = T(change * alpha[i]);
    constexpr int64_t block = rows_of_a_block;
    for (int64_t first = 0; first < n; first += block)
      for (int64_t column = 0; column <= first; column += block)
        for (int64_t i = first; i < first + block && i < n; ++i)
          for (int64_t j = column; j < column + block && j <= i; ++j) {
            const double own = 0.5 * (double(inverse[i * n + j]) - alpha[i] * alpha[j]);
            to_matrix[i * n + j] = to_matrix[j * n + i] = T(change * own);
          }
  });
}

// ---- of a Gaussian process: a kernel, its arrays, r (B, n), v (B, n) -> (B,) ----

int process_inputs(const Attributes& attributes) {
  return 2 + int(attributes.integer("points", 0)) +
         int(attributes.integer("hyperparameters", 0));
}

void process_shapes(const Attributes& attributes, const Shape* input, Shape* output) {
  const Program program(attributes);
  if (program.cross) fail("gaussian_process_nll takes a kernel of x alone");
  check_kernel_shapes(program, input);
  for (const Shape* row = input + process_inputs(attributes) - 2;
       row < input + process_inputs(attributes); ++row)
    if (row->axes != 2 || (*row)[0] != input[0][0] || (*row)[1] != input[0][1])
      fail("gaussian_process_nll takes rows of one number for each point");
  output[0] = Shape::of(input[0][0]);
}

template <class T>
void process_forward_of(const Call& call) {
  const Program program(call.attributes);
  const KernelArrays arrays(program, call.input);
  const T* residual = call.input[call.inputs - 2].as<T>();
  const T* variances = call.input[call.inputs - 1].as<T>();
  const Plan plan(call.input[0].shape);
  const int64_t batch = call.input[0].shape[0], n = call.input[0].shape[1];
  const auto kept = Kept<T>::of(*call.record, batch, n, true);
  over_elements<T>(program, arrays, plan, [&](PairKernel& kernel, int64_t b, int64_t) {
    T* const matrix = kept.matrix(b);
    over_workers(kernel, plan, [&](int k) {
      over_pairs(n, n, true, k, plan.workers, [&](const Chunk& chunk) {
        const double* values = kernel.evaluate(k, chunk);
        for (int g = 0; g < chunk.segments; ++g) {
          const Segment& part = chunk.segment[g];
          const double* own = values + part.offset;
          T* row = matrix + part.row * n + part.column;
          for (int i = 0; i < part.count; ++i) row[i] = T(own[i]);
        }
      });
    });
    for (int64_t i = 0; i < n; ++i) matrix[i * n + i] += variances[b * n + i];
    call.output[0].as<T>()[b] = T(kept.likelihood(b, residual + b * n, plan.workers));
  });
}

template <class T>
void process_backward_of(const Call& call) {
  const Program program(call.attributes);
  const KernelArrays arrays(program, call.input), gradients(program, call.input_gradient);
  T* to_residual = call.input_gradient[call.inputs - 2].as<T>();
  T* to_variances = call.input_gradient[call.inputs - 1].as<T>();
  const Plan plan(call.input[0].shape);
  const int64_t batch = call.input[0].shape[0], n = call.input[0].shape[1];
  const auto kept = Kept<T>::of(*call.record, batch, n, false);
  const auto body = [&](PairKernel& kernel, int64_t b) {
    const double change = double(call.output_gradient[0].as<T>()[b]);
    const T* inverse = kept.inverse(b, plan.workers);
    const double* alpha = kept.alpha(b);
    for (int64_t i = 0; i < n; ++i) {
      const double own = 0.5 * (double(inverse[i * n + i]) - alpha[i] * alpha[i]);
      to_residual[b * n + i] = T(change * alpha[i]);
      to_variances[b * n + i] = T(change * own);
    }
    over_workers(kernel, plan, [&](int k) {
      over_pairs(n, n, true, k, plan.workers, [&](const Chunk& chunk) {
        kernel.evaluate(k, chunk);
        double* adjoint = kernel.adjoint(k);
        for (int i = 0; i < chunk.used; ++i) adjoint[i] = 0.0;
        for (int g = 0; g < chunk.segments; ++g) {
          const Segment& part = chunk.segment[g];
          const T* row = inverse + part.row * n + part.column;
          double* own = adjoint + part.offset;
          const double* other = alpha + part.column;
          const double one = alpha[part.row];
          // Twice the half, for the other triangle.
          for (int i = 0; i < part.count; ++i) own[i] = change * (double(row[i]) - one * other[i]);
          const int64_t last = part.row - part.column;
          if (last < part.count) own[last] *= 0.5;
        }
        kernel.differentiate(k, chunk);
      });
    });
  };
  differentiate_elements<T>(program, arrays, gradients, plan, body);
}

#define GL_BY_TYPE(name)                                                              \
  void name(const Call& call) {                                                       \
    by_type(call.input[0].type, [&](auto zero) { name##_of<decltype(zero)>(call); }); \
  }
GL_BY_TYPE(normal_forward)
GL_BY_TYPE(normal_backward)
GL_BY_TYPE(process_forward)
GL_BY_TYPE(process_backward)

GL_OPERATOR("_gluon_linalg_gaussian_nll", two, one, normal_shapes, normal_forward,
            normal_backward, true);
GL_OPERATOR("_gluon_linalg_gaussian_process_nll", process_inputs, one, process_shapes,
            process_forward, process_backward, true);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
