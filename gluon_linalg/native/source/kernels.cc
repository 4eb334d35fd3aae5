// Covariance matrices of kernels, and their diagonals.

#include "kernel_pairs.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

int arrays_of(const Attributes& attributes) {
  return int(attributes.integer("points", 0)) * (attributes.flag("cross") ? 2 : 1) +
         int(attributes.integer("hyperparameters", 0));
}

void matrix_shapes(const Attributes& attributes, const Shape* input, Shape* output) {
  const Program program(attributes);
  check_kernel_shapes(program, input);
  const Shape& x = input[0];
  output[0] = Shape::of(x[0], x[1], program.cross ? input[program.points][1] : x[1]);
}

template <class T>
void matrix_forward_of(const Call& call) {
  const Program program(call.attributes);
  const KernelArrays arrays(program, call.input);
  T* const out = call.output[0].as<T>();
  const bool symmetric = !program.cross;
  const Plan plan(call.input[0].shape);
  over_elements<T>(program, arrays, plan, [&](PairKernel& kernel, int64_t b, int64_t) {
    const int64_t n = kernel.n, m = kernel.m;
    T* const matrix = out + b * n * m;
    over_workers(kernel, plan, [&](int k) {
      over_pairs(n, m, symmetric, k, plan.workers, [&](const Chunk& chunk) {
        const double* values = kernel.evaluate(k, chunk);
        for (int g = 0; g < chunk.segments; ++g) {
          const Segment& part = chunk.segment[g];
          const double* own = values + part.offset;
          T* row = matrix + part.row * m + part.column;
          for (int i = 0; i < part.count; ++i) row[i] = T(own[i]);
          if (!symmetric) continue;
          T* column = matrix + part.column * m + part.row;
          for (int i = 0; i < part.count; ++i) column[i * m] = T(own[i]);
        }
      });
    });
  });
}

template <class T>
void matrix_backward_of(const Call& call) {
  const Program program(call.attributes);
  const KernelArrays arrays(program, call.input);
  const T* const change = call.output_gradient[0].as<T>();
  const bool symmetric = !program.cross;
  const Plan plan(call.input[0].shape);
  const auto body = [&](PairKernel& kernel, int64_t b) {
    const int64_t n = kernel.n, m = kernel.m;
    const T* const matrix = change + b * n * m;
    over_workers(kernel, plan, [&](int k) {
      over_pairs(n, m, symmetric, k, plan.workers, [&](const Chunk& chunk) {
        kernel.evaluate(k, chunk);
        double* adjoint = kernel.adjoint(k);
        for (int i = 0; i < chunk.used; ++i) adjoint[i] = 0.0;
        for (int g = 0; g < chunk.segments; ++g) {
          const Segment& part = chunk.segment[g];
          const T* row = matrix + part.row * m + part.column;
          const T* column = matrix + part.column * m + part.row;
          double* own = adjoint + part.offset;
          for (int i = 0; i < part.count; ++i) own[i] = double(row[i]);
          if (!symmetric) continue;
          const int64_t last = part.row - part.column;
          for (int i = 0; i < part.count; ++i)
            if (i != last) own[i] += double(column[i * m]);
        }
        kernel.differentiate(k, chunk);
      });
    });
  };
  const KernelArrays gradients(program, call.input_gradient);
  differentiate_elements<T>(program, arrays, gradients, plan, body);
}

void diagonal_shapes(const Attributes& attributes, const Shape* input, Shape* output) {
  const Program program(attributes);
  check_kernel_shapes(program, input);
  output[0] = Shape::of(input[0][0], input[0][1]);
}

// Calls body(chunk) for the pairs of each point with itself.
template <class Body>
void over_points(int64_t n, const Body& body) {
  constexpr int64_t together = chunk_size / width<double>;
  for (int64_t first = 0; first < n; first += together) {
    Chunk chunk;
    for (int64_t i = first; i < n && i < first + together; ++i) chunk.add(i, i, 1);
    body(chunk);
  }
}

template <class T>
void diagonal_forward_of(const Call& call) {
  const Program program(call.attributes);
  T* const out = call.output[0].as<T>();
  const KernelArrays arrays(program, call.input);
  over_elements<T>(program, arrays, Plan(), [&](PairKernel& kernel, int64_t b, int64_t) {
    over_points(kernel.n, [&](const Chunk& chunk) {
      const double* values = kernel.evaluate(0, chunk);
      for (int g = 0; g < chunk.segments; ++g) {
        const Segment& part = chunk.segment[g];
        out[b * kernel.n + part.row] = T(values[part.offset]);
      }
    });
  });
}

template <class T>
void diagonal_backward_of(const Call& call) {
  const Program program(call.attributes);
  const T* const change = call.output_gradient[0].as<T>();
  const KernelArrays arrays(program, call.input), gradients(program, call.input_gradient);
  const auto body = [&](PairKernel& kernel, int64_t b) {
    over_points(kernel.n, [&](const Chunk& chunk) {
      kernel.evaluate(0, chunk);
      double* adjoint = kernel.adjoint(0);
      for (int i = 0; i < chunk.used; ++i) adjoint[i] = 0.0;
      for (int g = 0; g < chunk.segments; ++g) {
        const Segment& part = chunk.segment[g];
        adjoint[part.offset] = double(change[b * kernel.n + part.row]);
      }
      kernel.differentiate(0, chunk);
    });
  };
  differentiate_elements<T>(program, arrays, gradients, Plan(), body);
}

#define GL_BY_TYPE(name)                                                                 \
  void name(const Call& call) {                                                          \
    by_type(call.input[0].type, [&](auto zero) { name##_of<decltype(zero)>(call); });    \
  }
GL_BY_TYPE(matrix_forward)
GL_BY_TYPE(matrix_backward)
GL_BY_TYPE(diagonal_forward)
GL_BY_TYPE(diagonal_backward)

GL_OPERATOR("_gluon_linalg_kernel_matrix", arrays_of, one, matrix_shapes, matrix_forward,
            matrix_backward, false);
GL_OPERATOR("_gluon_linalg_kernel_diagonal", arrays_of, one, diagonal_shapes, diagonal_forward,
            diagonal_backward, false);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
