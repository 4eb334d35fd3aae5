// The values of a kernel at a chunk of pairs, step by step.
#pragma once

#include "pair_kernel.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

inline void PairKernel::evaluate_step(int k, int s, const Chunk& chunk) {
  const Step& step = program_.step[s];
  double* out = values(k, s);
  const double* left = step.left < 0 ? nullptr : values(k, step.left);
  const double* right = step.right < 0 ? nullptr : values(k, step.right);
  const double own = step.code == Code::power || program_.has_points(s) || step.left < 0
                         ? 0.0
                         : first_[step.number[0]];
  const int used = chunk.used;
  switch (step.code) {
    case Code::distance:
    case Code::circle:
      return distances(s, chunk, out);
    case Code::linear:
    case Code::scaled:
    case Code::waves:
      return products(s, chunk, out);
    case Code::ones:
      return by_registers(used, out, [&](int) { return all(1.0); });
    case Code::white:
      return whites(chunk, out);
    case Code::rbf:
      return by_registers(used, out,
                          [&](int i) { return exponential_below(-0.5 * load_from(left + i)); });
    case Code::matern12:
      return by_registers(used, out, [&](int i) {
        return exponential_below(-root(load_from(left + i)));
      });
    case Code::matern32:
      return by_registers(used, out, [&](int i) {
        const Real a = root(3.0 * load_from(left + i));
        return (1.0 + a) * exponential_below(-a);
      });
    case Code::matern52:
      return by_registers(used, out, [&](int i) {
        const Real a = root(5.0 * load_from(left + i));
        return (1.0 + a + a * a * (1.0 / 3.0)) * exponential_below(-a);
      });
    case Code::rational:
      return by_registers(used, out, [&](int i) {
        return exponential_below(-own * log1p_above(load_from(left + i) * (0.5 / own)));
      });
    case Code::scale:
      return by_registers(used, out, [&](int i) { return own * load_from(left + i); });
    case Code::shift:
      return by_registers(used, out, [&](int i) { return own + load_from(left + i); });
    case Code::power:
      return by_registers(used, out,
                          [&](int i) { return power(load_from(left + i), step.number[0]); });
    case Code::add:
      return by_registers(used, out,
                          [&](int i) { return load_from(left + i) + load_from(right + i); });
    case Code::multiply:
      return by_registers(used, out,
                          [&](int i) { return load_from(left + i) * load_from(right + i); });
  }
}

inline Real PairKernel::power(Real base, int exponent) {
  Real result = all(1.0);
  for (; exponent; exponent >>= 1) {
    if (exponent & 1) result *= base;
    base *= base;
  }
  return result;
}

inline void PairKernel::whites(const Chunk& chunk, double* out) {
  by_registers(chunk.used, out, [&](int) { return Real{}; });
  if (program_.cross) return;
  for (int g = 0; g < chunk.segments; ++g) {
    const Segment& part = chunk.segment[g];
    const int64_t place = part.row - part.column;
    if (place >= 0 && place < part.count) out[part.offset + place] = 1.0;
  }
}

inline void PairKernel::distances(int s, const Chunk& chunk, double* out) {
  const Leaf& leaf = leaf_[s];
  for (int g = 0; g < chunk.segments; ++g) {
    const Segment& part = chunk.segment[g];
    const double* x = leaf.x + part.row;
    by_registers(part.count, out + part.offset, [&](int i) {
      const double* z = leaf.z + part.column + i;
      Real sum{};
      for (int64_t f = 0; f < leaf.features; ++f) {
        const Real u = (x[f * rows_] - load_from(z + f * columns_)) * leaf.weight[f];
        sum += u * u;
      }
      return sum > limit_ ? all(limit_) : sum;
    });
  }
}

inline void PairKernel::products(int s, const Chunk& chunk, double* out) {
  const Leaf& leaf = leaf_[s];
  for (int g = 0; g < chunk.segments; ++g) {
    const Segment& part = chunk.segment[g];
    const double* x = leaf.x + part.row;
    by_registers(part.count, out + part.offset, [&](int i) {
      const double* z = leaf.z + part.column + i;
      Real sum{};
      for (int64_t f = 0; f < leaf.features; ++f)
        sum += (x[f * rows_] * leaf.weight[f]) * load_from(z + f * columns_);
      return sum;
    });
  }
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
