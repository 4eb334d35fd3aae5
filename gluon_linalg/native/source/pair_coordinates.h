// From points to the coordinates of a kernel, and with gradients back to points and
// hyperparameters.
#pragma once

#include "pair_kernel.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// The batch element to be computed.
template <class T>
void PairKernel::set(int64_t b) {
  limit_ = sizeof(T) == 4 ? 2e34 : 6.8e38;
  for (int s = 0; s < program_.count; ++s)
    if (program_.has_points(s)) set_leaf<T>(s, b);
  for (int h = 0; h < program_.hyperparameters; ++h)
    first_[h] = double(of<T>(arrays_.hyperparameters[h], b)[0]);
  const int64_t begin = worker_size_ - changes_;
  for (int k = 0; k < workers_; ++k) {
    double* own = worker(k) + begin;
    for (int64_t i = 0; i < changes_; ++i) own[i] = 0.0;
  }
}

// Writes the gradients of the points of element b, and adds those of the hyperparameters to
// `sums`, which has all elements of these arrays one after another.
template <class T>
void PairKernel::finish(int64_t b, const KernelArrays& gradients, double* sums) {
  for (int k = 1; k < workers_; ++k) {
    double* all = worker(0) + worker_size_ - changes_;
    const double* own = worker(k) + worker_size_ - changes_;
    for (int64_t i = 0; i < changes_; ++i) all[i] += own[i];
  }
  for (int p = 0; p < program_.points; ++p) {
    finish_points<T>(p, b, false, gradients.points[p], sums);
    if (program_.cross) finish_points<T>(p, b, true, gradients.others[p], sums);
  }
  for (int s = 0; s < program_.count; ++s) {
    const Step& step = program_.step[s];
    if (program_.has_points(s)) {
      finish_weights<T>(s, b, sums);
    } else if (step.code == Code::scale || step.code == Code::shift ||
               step.code == Code::rational) {
      sums[place(step.number[0], b)] += sum_of_lanes(load_from(scalar_sum(0, s)));
    }
  }
}

template <class T>
void PairKernel::set_leaf(int s, int64_t b) {
  const Step& step = program_.step[s];
  const Leaf& leaf = leaf_[s];
  const Array& x = arrays_.points[step.number[0]];
  const int64_t columns = columns_of(s);
  set_centre(of<T>(x, b), columns);
  set_features<T>(s, b, of<T>(x, b), n, leaf.x, rows_);
  if (program_.cross)
    set_features<T>(s, b, of<T>(arrays_.others[step.number[0]], b), m, leaf.z, columns_);
  for (int64_t f = 0; f < leaf.features; ++f) {
    const double value =
        step.code == Code::waves ? 1.0 : hyperparameter<T>(step.number[1], b, f % columns);
    leaf.weight[f] = step.code == Code::linear   ? value
                     : step.code == Code::scaled ? 1.0 / (value * value)
                                                 : 1.0 / value;
  }
  if (step.code == Code::distance) keep_in_range(leaf);
}

// From where turns are counted.
template <class T>
void PairKernel::set_centre(const T* x, int64_t columns) {
  for (int64_t d = 0; d < columns; ++d) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i) sum += limited(double(x[i * columns + d]));
    centre_[d] = n ? sum / double(n) : 0.0;
  }
}

// Where a coordinate is too large to be squared, all lengthscales become longer. Points so far
// apart that they can be told from each other are still far apart.
inline void PairKernel::keep_in_range(const Leaf& leaf) {
  constexpr double largest = 1e150;
  double extent = 0.0;
  for (int64_t f = 0; f < leaf.features; ++f) {
    double most = 0.0;
    for (int64_t i = 0; i < n; ++i) most = larger(most, __builtin_fabs(leaf.x[f * rows_ + i]));
    if (program_.cross)
      for (int64_t j = 0; j < m; ++j)
        most = larger(most, __builtin_fabs(leaf.z[f * columns_ + j]));
    extent = larger(extent, most * leaf.weight[f]);
  }
  if (extent <= largest) return;
  for (int64_t f = 0; f < leaf.features; ++f) leaf.weight[f] *= largest / extent;
}

template <class T>
void PairKernel::set_features(int s, int64_t b, const T* points, int64_t count, double* out,
                  int64_t stride) {
  const Step& step = program_.step[s];
  const int64_t columns = columns_of(s);
  for (int64_t f = 0; f < leaf_[s].features; ++f)
    for (int64_t i = count; i < stride; ++i) out[f * stride + i] = 0.0;
  for (int64_t i = 0; i < count; ++i) {
    const T* point = points + i * columns;
    if (step.code == Code::waves) {
      double turns = 0.0;
      for (int64_t d = 0; d < columns; ++d) turns += turns_of<T>(step.number[1], b, point, d);
      out[i] = __builtin_cos(angle(turns));
      out[stride + i] = __builtin_sin(angle(turns));
      continue;
    }
    for (int64_t d = 0; d < columns; ++d) {
      if (step.code == Code::circle) {
        const double phase = angle(turns_of<T>(step.number[2], b, point, d));
        out[d * stride + i] = __builtin_cos(phase);
        out[(columns + d) * stride + i] = __builtin_sin(phase);
      } else if (step.code == Code::distance) {
        out[d * stride + i] = limited(double(point[d]));
      } else {
        out[d * stride + i] = double(point[d]);
      }
    }
  }
}

// Writes the gradient of all that the steps make of an array of points.
template <class T>
void PairKernel::finish_points(int p, int64_t b, bool other, const Array& gradient, double* sums) {
  const Array& array = other ? arrays_.others[p] : arrays_.points[p];
  const int64_t count = other ? m : n, stride = other ? columns_ : rows_;
  const int64_t columns = array.shape[-1];
  const T* points = array.as<T>() + b * count * columns;
  T* out = gradient.as<T>() + b * count * columns;
  for (int64_t i = 0; i < count * columns; ++i) points_change_[i] = 0.0;
  for (int s = 0; s < program_.count; ++s) {
    const Step& step = program_.step[s];
    if (!program_.has_points(s) || step.number[0] != p) continue;
    const Leaf& leaf = leaf_[s];
    const double* change = other ? z_change(0, leaf) : x_change(0, leaf);
    const double* own = other ? leaf.z : leaf.x;
    if (step.code == Code::waves || step.code == Code::circle) {
      finish_turns<T>(s, b, points, own, change, count, stride, sums);
      continue;
    }
    const double factor = step.code == Code::distance ? 2.0 : 1.0;
    for (int64_t i = 0; i < count; ++i)
      for (int64_t d = 0; d < columns; ++d)
        points_change_[i * columns + d] += factor * leaf.weight[d] * change[d * stride + i];
  }
  for (int64_t i = 0; i < count * columns; ++i) out[i] = T(points_change_[i]);
}

template <class T>
void PairKernel::finish_turns(int s, int64_t b, const T* points, const double* own, const double* change,
                  int64_t count, int64_t stride, double* sums) {
  const Step& step = program_.step[s];
  const Leaf& leaf = leaf_[s];
  const bool circle = step.code == Code::circle;
  const int period = step.number[circle ? 2 : 1];
  const int64_t columns = columns_of(s), half = circle ? columns : 1;
  set_centre(of<T>(arrays_.points[step.number[0]], b), columns);
  for (int64_t d = 0; d < columns; ++d) {
    const int64_t f = circle ? d : 0;
    const double turn = 6.283185307179586477 * (circle ? 2.0 * leaf.weight[d] : 1.0);
    const double length = hyperparameter<T>(period, b, d);
    double sum = 0.0;
    for (int64_t i = 0; i < count; ++i) {
      const double by_turn = turn * (own[f * stride + i] * change[(f + half) * stride + i] -
                                     own[(f + half) * stride + i] * change[f * stride + i]);
      points_change_[i * columns + d] += by_turn / length;
      sum -= by_turn * turns_of<T>(period, b, points + i * columns, d);
    }
    sums[place(period, b) + (values_of(period) == 1 ? 0 : d)] += sum / length;
  }
}

template <class T>
void PairKernel::finish_weights(int s, int64_t b, double* sums) {
  const Step& step = program_.step[s];
  const Leaf& leaf = leaf_[s];
  if (step.code == Code::waves) return;
  const int64_t columns = columns_of(s);
  for (int64_t f = 0; f < leaf.features; ++f) {
    const double sum = sum_of_lanes(load_from(weight_sums(0, leaf) + f * width<double>));
    const double value = hyperparameter<T>(step.number[1], b, f % columns);
    sums[place(step.number[1], b) + (values_of(step.number[1]) == 1 ? 0 : f % columns)] +=
        step.code == Code::linear   ? sum
        : step.code == Code::scaled ? -2.0 * sum * leaf.weight[f] / value
                                    : -2.0 * sum / value;
  }
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
