// A kernel at pairs of points: values and derivatives, in float64 and in chunks of pairs, so that
// nothing as large as the matrix is needed beside it.
#pragma once

#include "pair_chunks.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

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
  void set(int64_t b);

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
  void finish(int64_t b, const KernelArrays& gradients, double* sums);

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
  void set_leaf(int s, int64_t b);
  template <class T>
  void set_centre(const T* x, int64_t columns);
  void keep_in_range(const Leaf& leaf);
  template <class T>
  void set_features(int s, int64_t b, const T* points, int64_t count, double* out,
                    int64_t stride);
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

  void evaluate_step(int k, int s, const Chunk& chunk);
  static Real power(Real base, int exponent);
  void whites(const Chunk& chunk, double* out);
  void distances(int s, const Chunk& chunk, double* out);
  void products(int s, const Chunk& chunk, double* out);

  // ---- derivatives ----

  void differentiate_step(int k, int s, const Chunk& chunk);
  static void add_to(double* sum, Real x) { store_to(sum, load_from(sum) + x); }
  void differentiate_distances(int k, int s, const Chunk& chunk);
  void differentiate_products(int k, int s, const Chunk& chunk);

  // ---- from coordinates back to points and hyperparameters ----

  template <class T>
  void finish_points(int p, int64_t b, bool other, const Array& gradient, double* sums);
  template <class T>
  void finish_turns(int s, int64_t b, const T* points, const double* own, const double* change,
                    int64_t count, int64_t stride, double* sums);
  template <class T>
  void finish_weights(int s, int64_t b, double* sums);

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

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
