// Kernels at pairs of points: values and derivatives, in float64 and in chunks of pairs that the
// first cache holds, so that nothing as large as the matrix is needed beside it.
#pragma once

#include "kernel_program.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

constexpr int chunk_size = 128, rows_of_a_block = 32;

constexpr int64_t whole_registers(int64_t count) {
  return (count + width<double> - 1) / width<double> * width<double>;
}

// The pairs of a row with neighbouring columns, at a place in the buffers of a chunk.
struct Segment {
  int64_t row, column;
  int count, offset;
};

// So many segments that they fill the buffers, each beginning with a register.
struct Chunk {
  Segment segment[chunk_size / width<double>];
  int segments = 0, used = 0;

  bool takes(int64_t count) const { return used + whole_registers(count) <= chunk_size; }
  void add(int64_t row, int64_t column, int64_t count) {
    segment[segments++] = {row, column, int(count), used};
    used += int(whole_registers(count));
  }
};

// Calls body(chunk) for the pairs of every `parts`-th block of rows from block `part` on; of a
// symmetric matrix for those of its lower triangle.
template <class Body>
inline void over_pairs(int64_t n, int64_t m, bool symmetric, int64_t part, int64_t parts,
                       const Body& body) {
  Chunk chunk;
  for (int64_t first = part * rows_of_a_block; first < n; first += parts * rows_of_a_block) {
    const int64_t end = first + rows_of_a_block < n ? first + rows_of_a_block : n;
    for (int64_t column = 0; column < (symmetric ? end : m); column += chunk_size)
      for (int64_t row = first; row < end; ++row) {
        const int64_t left = (symmetric ? row + 1 : m) - column;
        if (left <= 0) continue;
        const int64_t count = left < chunk_size ? left : chunk_size;
        if (!chunk.takes(count)) {
          body(chunk);
          chunk.segments = chunk.used = 0;
        }
        chunk.add(row, column, count);
      }
  }
  if (chunk.segments) body(chunk);
}

// The arrays of a call that a program speaks of, or their gradients.
struct KernelArrays {
  const Array* points;
  const Array* others;  // z, of k(x, z)
  const Array* hyperparameters;

  KernelArrays(const Program& program, const Array* first)
      : points(first),
        others(program.cross ? first + program.points : nullptr),
        hyperparameters(first + program.points * (program.cross ? 2 : 1)) {}
};

// What a step that has points makes of them: coordinates, whose differences or products it sums.
struct Leaf {
  int64_t features;
  double *x, *z;   // [feature][point]; the same of a symmetric matrix
  double* weight;  // of each feature
  double* change;  // of the first worker: the gradients of weights, x and z
};

// The kernel of one batch element after another, for so many workers at once.
class PairKernel {
 public:
  PairKernel(const Program& program, const KernelArrays& arrays, int workers)
      : program_(program),
        arrays_(arrays),
        n(rows(arrays.points)),
        m(program.cross ? rows(arrays.others) : n),
        rows_(whole_registers(n) + chunk_size),
        columns_(whole_registers(m) + chunk_size),
        workers_(workers),
        leaves_memory_(sizeof(Leaf) * program.count),
        leaf_(leaves_memory_.as<Leaf>()),
        memory_(sizeof(double) * lay_out(nullptr)) {
    lay_out(memory_.as<double>());
  }

 private:
  const Program& program_;
  const KernelArrays arrays_;

 public:
  const int64_t n, m;

  // What a pair costs, in nanoseconds.
  double cost() const { return 0.4 * program_.count + 0.2 * double(features_); }

  // The batch element to be computed.
  template <class T>
  void set(int64_t b) {
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

  // The values at the pairs of a chunk.
  const double* evaluate(int k, const Chunk& chunk) {
    for (int s = 0; s < program_.count; ++s) evaluate_step(k, s, chunk);
    return values(k, program_.count - 1);
  }

  // Adds to the gradients what the pairs have, `adjoint` being filled after `evaluate`.
  void differentiate(int k, const Chunk& chunk) {
    for (int s = program_.count - 1; s >= 0; --s) differentiate_step(k, s, chunk);
  }
  double* adjoint(int k) { return adjoints(k, program_.count - 1); }

  // Writes the gradients of the points of element b, and adds those of the hyperparameters to
  // `sums`, which has all elements of these arrays one after another.
  template <class T>
  void finish(int64_t b, const KernelArrays& gradients, double* sums) {
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

 private:
  static int64_t rows(const Array* points) { return points->shape[-2]; }
  template <class T>
  static const T* of(const Array& array, int64_t b) {
    const int64_t each = array.shape.product(1, 8 < array.shape.axes ? 8 : array.shape.axes);
    return array.as<T>() + (array.shape[0] == 1 ? 0 : b * each);
  }
  // Where those of array h and of element b are among all hyperparameters.
  int64_t place(int h, int64_t b) const {
    int64_t sum = 0;
    for (int i = 0; i < h; ++i) sum += arrays_.hyperparameters[i].shape.elements();
    const Shape& shape = arrays_.hyperparameters[h].shape;
    return sum + (shape[0] == 1 ? 0 : b * shape[-1]);
  }
  int64_t values_of(int h) const { return arrays_.hyperparameters[h].shape[-1]; }
  int64_t columns_of(int s) const {
    return arrays_.points[program_.step[s].number[0]].shape[-1];
  }

  // Distributes memory, and returns how many numbers it takes.
  int64_t lay_out(double* memory) {
    int64_t next = 0;
    const auto take = [&](int64_t count) {
      double* own = memory ? memory + next : nullptr;
      next += (count + 7) / 8 * 8;
      return own;
    };
    first_ = take(program_.hyperparameters);
    int64_t most = 0;
    for (int p = 0; p < program_.points; ++p)
      if (most < arrays_.points[p].shape[-1]) most = arrays_.points[p].shape[-1];
    features_ = 0;
    for (int s = 0; s < program_.count; ++s) {
      Leaf& leaf = leaf_[s];
      leaf = {};
      if (!program_.has_points(s)) continue;
      const Code code = program_.step[s].code;
      const int64_t columns = columns_of(s);
      leaf.features = code == Code::waves ? 2 : code == Code::circle ? 2 * columns : columns;
      features_ += leaf.features;
      leaf.weight = take(leaf.features);
      leaf.x = take(leaf.features * rows_);
      leaf.z = program_.cross ? take(leaf.features * columns_) : leaf.x;
    }
    centre_ = take(most);
    points_change_ = take(most * (n < m ? m : n));
    const int64_t begin = next;
    workers_begin_ = take(2 * program_.count * chunk_size);
    const int64_t changes = next;
    take(program_.count * width<double>);
    for (int s = 0; s < program_.count; ++s) {
      if (!program_.has_points(s)) continue;
      Leaf& leaf = leaf_[s];
      leaf.change = take(leaf.features * (rows_ + width<double>));
      if (program_.cross) take(leaf.features * columns_);
    }
    worker_size_ = next - begin;
    changes_ = next - changes;
    return next + (workers_ - 1) * worker_size_;
  }

  double* worker(int k) const { return workers_begin_ + k * worker_size_; }
  double* values(int k, int s) const { return worker(k) + s * chunk_size; }
  double* adjoints(int k, int s) const {
    return worker(k) + (program_.count + s) * chunk_size;
  }
  double* scalar_sum(int k, int s) const {
    return worker(k) + 2 * program_.count * chunk_size + s * width<double>;
  }
  double* weight_sums(int k, const Leaf& leaf) const { return leaf.change + k * worker_size_; }
  double* x_change(int k, const Leaf& leaf) const {
    return weight_sums(k, leaf) + leaf.features * width<double>;
  }
  double* z_change(int k, const Leaf& leaf) const {
    return x_change(k, leaf) + (program_.cross ? leaf.features * rows_ : 0);
  }

  // ---- what is made of the points ----

  // Beyond ±1e250 all numbers count as that; infinity is NaN, so that it stays an error.
  static double limited(double x) {
    return x - x != 0.0 ? x - x : x > 1e250 ? 1e250 : x < -1e250 ? -1e250 : x;
  }
  template <class T>
  double hyperparameter(int h, int64_t b, int64_t column) const {
    return double(of<T>(arrays_.hyperparameters[h], b)[values_of(h) == 1 ? 0 : column]);
  }

  template <class T>
  void set_leaf(int s, int64_t b) {
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
  void set_centre(const T* x, int64_t columns) {
    for (int64_t d = 0; d < columns; ++d) {
      double sum = 0.0;
      for (int64_t i = 0; i < n; ++i) sum += limited(double(x[i * columns + d]));
      centre_[d] = n ? sum / double(n) : 0.0;
    }
  }

  // Where a coordinate is too large to be squared, all lengthscales become longer. Points so far
  // apart that they can be told from each other are still far apart.
  void keep_in_range(const Leaf& leaf) {
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
  void set_features(int s, int64_t b, const T* points, int64_t count, double* out,
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

  template <class T>
  double turns_of(int period, int64_t b, const T* point, int64_t d) const {
    return (limited(double(point[d])) - centre_[d]) / hyperparameter<T>(period, b, d);
  }
  static double angle(double turns) {
    return 6.283185307179586477 * (turns - __builtin_rint(turns));
  }

  // ---- values ----

  template <class Body>
  static GL_INLINE void by_registers(int used, double* out, const Body& body) {
    for (int i = 0; i < used; i += width<double>) store_to(out + i, body(i));
  }

  void evaluate_step(int k, int s, const Chunk& chunk) {
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

  static Real power(Real base, int exponent) {
    Real result = all(1.0);
    for (; exponent; exponent >>= 1) {
      if (exponent & 1) result *= base;
      base *= base;
    }
    return result;
  }

  void whites(const Chunk& chunk, double* out) {
    by_registers(chunk.used, out, [&](int) { return Real{}; });
    if (program_.cross) return;
    for (int g = 0; g < chunk.segments; ++g) {
      const Segment& part = chunk.segment[g];
      const int64_t place = part.row - part.column;
      if (place >= 0 && place < part.count) out[part.offset + place] = 1.0;
    }
  }

  void distances(int s, const Chunk& chunk, double* out) {
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

  void products(int s, const Chunk& chunk, double* out) {
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

  // ---- derivatives ----

  void differentiate_step(int k, int s, const Chunk& chunk) {
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

  static void add_to(double* sum, Real x) { store_to(sum, load_from(sum) + x); }

  // Of Σ_f u², u = (x - z) w, by x / 2w, z / 2w and w / 2 · w.
  void differentiate_distances(int k, int s, const Chunk& chunk) {
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
  void differentiate_products(int k, int s, const Chunk& chunk) {
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

  // ---- from coordinates back to points and hyperparameters ----

  // Writes the gradient of all that the steps make of an array of points.
  template <class T>
  void finish_points(int p, int64_t b, bool other, const Array& gradient, double* sums) {
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
  void finish_turns(int s, int64_t b, const T* points, const double* own, const double* change,
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
  void finish_weights(int s, int64_t b, double* sums) {
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

  const int64_t rows_, columns_;
  const int workers_;
  Scratch leaves_memory_;
  Leaf* const leaf_;
  Scratch memory_;
  // Of the batch element: the first number of each hyperparameter, and where distances end.
  double* first_;
  double limit_;
  double *centre_, *points_change_, *workers_begin_;
  int64_t features_, worker_size_, changes_;
};

// ---- all batch elements ----

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
