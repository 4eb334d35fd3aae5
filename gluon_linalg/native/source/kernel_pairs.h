// Kernels at pairs of points, for all elements of a batch and on several threads.
#pragma once

#include "pair_coordinates.h"
#include "pair_derivatives.h"
#include "pair_values.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

inline void check_kernel_shapes(const Program& program, const Shape* input) {
  const int arrays = program.points * (program.cross ? 2 : 1);
  if (!program.points) fail("kernel: no points");
  for (int i = 0; i < arrays; ++i) {
    const Shape& own = input[i];
    const Shape& first = input[i < program.points ? 0 : program.points];
    if (own.axes != 3 || own[0] != input[0][0] || own[1] != first[1])
      fail("kernel: points that do not belong together");
    if (i >= program.points && own[2] != input[i - program.points][2])
      fail("kernel: x has %d columns and z has %d", int(input[i - program.points][2]),
           int(own[2]));
  }
  for (int h = 0; h < program.hyperparameters; ++h) {
    const Shape& own = input[arrays + h];
    if (own.axes != 2 || (own[0] != 1 && own[0] != input[0][0]))
      fail("kernel: a hyperparameter of another batch");
  }
  for (int s = 0; s < program.count; ++s) {
    const Step& step = program.step[s];
    if (!program.has_points(s)) {
      const Code code = step.code;
      if ((code == Code::scale || code == Code::shift || code == Code::rational) &&
          input[arrays + step.number[0]][1] != 1)
        fail("kernel: a hyperparameter of several numbers where one is expected");
      continue;
    }
    const int64_t columns = input[step.number[0]][2];
    for (int i = 1; i < words[int(step.code)].numbers; ++i) {
      const int64_t values = input[arrays + step.number[i]][1];
      if (values != 1 && values != columns)
        fail("kernel: %d hyperparameters for %d columns", int(values), int(columns));
    }
  }
}

// How the threads are used: for several batch elements at once, or for the pairs of one.
struct Plan {
  int parts = 1, workers = 1;

  Plan() = default;
  explicit Plan(const Shape& points) {
    const int64_t batch = points[0];
    const int threads = thread_limit();
    if (batch >= 2 * threads || points[1] < 2 * rows_of_a_block) {
      parts = int(batch < threads ? batch : threads);
    } else {
      workers = threads;
    }
  }
};

// Calls body(kernel, b, part) for each element b of the batch, of which every part has its own.
template <class T, class Body>
inline void over_elements(const Program& program, const KernelArrays& arrays, const Plan& plan,
                          const Body& body) {
  const int64_t batch = arrays.points->shape[0];
  if (batch == 0) return;
  const double pairs = double(arrays.points->shape[1]) *
                       double((program.cross ? arrays.others : arrays.points)->shape[1]);
  const double each = 2000.0 + 2.0 * program.count * pairs;
  parallel_for(plan.parts, each * double(batch) / plan.parts, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      PairKernel kernel(program, arrays, plan.workers);
      for (int64_t b = batch * part / plan.parts; b < batch * (part + 1) / plan.parts; ++b) {
        kernel.set<T>(b);
        body(kernel, b, part);
      }
    }
  });
}

// Calls body(worker), at the same time where that is worth it.
template <class Body>
inline void over_workers(const PairKernel& kernel, const Plan& plan, const Body& body) {
  const double each = kernel.cost() * double(kernel.n) * double(kernel.m) / plan.workers;
  parallel_for(plan.workers, each, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) body(int(k));
  });
}

// As `over_elements`, where the body calls `differentiate`; then the gradients are written.
template <class T, class Body>
inline void differentiate_elements(const Program& program, const KernelArrays& arrays,
                                   const KernelArrays& gradients, const Plan& plan,
                                   const Body& body) {
  int64_t count = 0;
  for (int h = 0; h < program.hyperparameters; ++h)
    count += arrays.hyperparameters[h].shape.elements();
  Scratch memory(sizeof(double) * plan.parts * count);
  double* const sums = memory.as<double>();
  for (int64_t i = 0; i < plan.parts * count; ++i) sums[i] = 0.0;
  over_elements<T>(program, arrays, plan, [&](PairKernel& kernel, int64_t b, int64_t part) {
    body(kernel, b);
    kernel.finish<T>(b, gradients, sums + part * count);
  });
  const double* next = sums;
  for (int h = 0; h < program.hyperparameters; ++h) {
    T* out = gradients.hyperparameters[h].as<T>();
    for (int64_t i = 0; i < gradients.hyperparameters[h].shape.elements(); ++i, ++next) {
      double sum = 0.0;
      for (int part = 0; part < plan.parts; ++part) sum += next[part * count];
      out[i] = T(sum);
    }
  }
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
