// The derivatives of a kernel at a chunk of pairs, step by step from the last.
#pragma once

#include "pair_kernel.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

inline void PairKernel::differentiate_step(int k, int s, const Chunk& chunk) {
  const Step& step = program_.step[s];
  const double* value = values(k, s);
  const double* change = adjoints(k, s);
  const double* left = step.left < 0 ? nullptr : values(k, step.left);
  const double* right = step.right < 0 ? nullptr : values(k, step.right);
  double* to_left = step.left < 0 ? nullptr : adjoints(k, step.left);
  double* to_right = step.right < 0 ? nullptr : adjoints(k, step.right);
  const int used = chunk.used;
  switch (step.code) {
    case Code::distance:
    case Code::circle:
      return differentiate_distances(k, s, chunk);
    case Code::linear:
    case Code::scaled:
    case Code::waves:
      return differentiate_products(k, s, chunk);
    case Code::ones:
    case Code::white:
      return;
    case Code::rbf:
      return by_registers(used, to_left, [&](int i) {
        return -0.5 * load_from(change + i) * load_from(value + i);
      });
    case Code::matern12:
      return by_registers(used, to_left, [&](int i) {
        const Real t = load_from(left + i);
        const Real slope = -0.5 * load_from(change + i) * load_from(value + i) / root(t);
        // Its own is infinite at 0.
        return t == 0.0 ? Real{} : slope;
      });
    case Code::matern32:
      return by_registers(used, to_left, [&](int i) {
        const Real a = root(3.0 * load_from(left + i));
        return -1.5 * load_from(change + i) * load_from(value + i) / (1.0 + a);
      });
    case Code::matern52:
      return by_registers(used, to_left, [&](int i) {
        const Real a = root(5.0 * load_from(left + i));
        const Real slope = (1.0 + a) / (1.0 + a + a * a * (1.0 / 3.0));
        return (-5.0 / 6.0) * load_from(change + i) * load_from(value + i) * slope;
      });
    case Code::rational: {
      Real sum{};
      by_registers(used, to_left, [&](int i) {
        const Real ratio = load_from(left + i) * (0.5 / first_[step.number[0]]);
        const Real own = load_from(change + i) * load_from(value + i);
        sum += own * (ratio / (1.0 + ratio) - log1p_above(ratio));
        return -0.5 * own / (1.0 + ratio);
      });
      return add_to(scalar_sum(k, s), sum);
    }
    case Code::scale: {
      Real sum{};
      const double own = first_[step.number[0]];
      by_registers(used, to_left, [&](int i) {
        sum += load_from(change + i) * load_from(left + i);
        return own * load_from(change + i);
      });
      return add_to(scalar_sum(k, s), sum);
    }
    case Code::shift: {
      Real sum{};
      by_registers(used, to_left, [&](int i) {
        sum += load_from(change + i);
        return load_from(change + i);
      });
      return add_to(scalar_sum(k, s), sum);
    }
    case Code::power:
      return by_registers(used, to_left, [&](int i) {
        return double(step.number[0]) * load_from(change + i) *
               power(load_from(left + i), step.number[0] - 1);
      });
    case Code::add:
      by_registers(used, to_left, [&](int i) { return load_from(change + i); });
      return by_registers(used, to_right, [&](int i) { return load_from(change + i); });
    case Code::multiply:
      by_registers(used, to_left,
                   [&](int i) { return load_from(change + i) * load_from(right + i); });
      return by_registers(used, to_right,
                          [&](int i) { return load_from(change + i) * load_from(left + i); });
  }
}

// Of Σ_f u², u = (x - z) w, by x / 2w, z / 2w and w / 2 · w.
inline void PairKernel::differentiate_distances(int k, int s, const Chunk& chunk) {
  const Leaf& leaf = leaf_[s];
  const double* value = values(k, s);
  double* change = adjoints(k, s);
  by_registers(chunk.used, change, [&](int i) {
    return load_from(value + i) >= limit_ ? Real{} : load_from(change + i);
  });
  for (int g = 0; g < chunk.segments; ++g) {
    const Segment& part = chunk.segment[g];
    for (int64_t f = 0; f < leaf.features; ++f) {
      const double x = leaf.x[f * rows_ + part.row], weight = leaf.weight[f];
      const double* z = leaf.z + f * columns_ + part.column;
      double* to_z = z_change(k, leaf) + f * columns_ + part.column;
      Real to_x{}, to_weight{};
      by_registers(part.count, to_z, [&](int i) {
        const Real u = (x - load_from(z + i)) * weight;
        const Real slope = load_from(change + part.offset + i) * u;
        to_x += slope;
        to_weight += slope * u;
        return load_from(to_z + i) - slope;
      });
      x_change(k, leaf)[f * rows_ + part.row] += sum_of_lanes(to_x);
      add_to(weight_sums(k, leaf) + f * width<double>, to_weight);
    }
  }
}

// Of Σ_f w x z, by x / w, z / w and w.
inline void PairKernel::differentiate_products(int k, int s, const Chunk& chunk) {
  const Leaf& leaf = leaf_[s];
  const double* change = adjoints(k, s);
  for (int g = 0; g < chunk.segments; ++g) {
    const Segment& part = chunk.segment[g];
    for (int64_t f = 0; f < leaf.features; ++f) {
      const double x = leaf.x[f * rows_ + part.row];
      const double* z = leaf.z + f * columns_ + part.column;
      double* to_z = z_change(k, leaf) + f * columns_ + part.column;
      Real to_x{};
      by_registers(part.count, to_z, [&](int i) {
        const Real slope = load_from(change + part.offset + i);
        to_x += slope * load_from(z + i);
        return load_from(to_z + i) + slope * x;
      });
      x_change(k, leaf)[f * rows_ + part.row] += sum_of_lanes(to_x);
      double* sum = weight_sums(k, leaf) + f * width<double>;
      *sum += x * sum_of_lanes(to_x);
    }
  }
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
