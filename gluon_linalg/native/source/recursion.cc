// Linear recursions over time, and those of the gains of the Kalman filter. Arrays are
// (1, T, B, m, n), either of T and B being 1 for what is the same for all.

#include "over_time.h"
#include "reflections.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

int takes_four(const Attributes&) { return 4; }

template <class T>
GL_INLINE void write(const Steps& steps, int64_t t, int64_t first, int count,
                     const Lanes<T>* values) {
  T* p = static_cast<T*>(steps.data) + t * steps.time_step + first * steps.batch_step;
  for (int64_t i = 0; i < steps.size; ++i) store(p + i, steps.batch_step, values[i], count);
}

void require_axes(const Shape* input, int count) {
  for (int i = 0; i < count; ++i)
    if (input[i].axes != 5 || input[i][0] != 1) fail("arrays over time are (1, T, B, m, n)");
}

// A reader with memory of its own.
template <class V>
Reader<V> reader(const Steps& steps, int64_t first, int count, Memory<V>& memory) {
  return Reader<V>(steps, first, count, memory.take(Reader<V>::room(steps)));
}

// The memory that readers of these arrays take.
template <class V, class... Arrays>
int64_t room_for(const Arrays&... arrays) {
  return (Reader<V>::room(arrays) + ...);
}

// The size that axes have in common, 1 standing for any.
int64_t common_size(int64_t a, int64_t b) {
  if (a != b && a != 1 && b != 1) fail("axes of %ld and %ld do not fit", long(a), long(b));
  return a == 1 ? b : a;
}

struct Extent {
  int64_t times = 1, batch = 1;
};

Extent extent_of(const Shape* input, int count) {
  Extent sizes;
  for (int i = 0; i < count; ++i) {
    sizes.times = common_size(sizes.times, input[i][1]);
    sizes.batch = common_size(sizes.batch, input[i][2]);
  }
  return sizes;
}

// Of results that are constants. MXNet asks for their gradient where one of several is not used.
void without_gradient(const Call& call) {
  for (int i = 0; i < call.inputs; ++i) {
    const Array& gradient = call.input_gradient[i];
    std::memset(gradient.data, 0, gradient.shape.elements() * (gradient.type == float64 ? 8 : 4));
  }
}

Steps steps_of(const Array& array) { return Steps::of(array, 1, 2, 2); }

// x_1 = initial, x_{t+1} = A_t x_t + c_t, or with `quadratic` X_{t+1} = A_t X_t A_t' + C_t.

void recursion_shapes(const Attributes&, const Shape* input, Shape* output) {
  require_axes(input, 3);
  const Shape &matrix = input[0], &offset = input[1], &initial = input[2];
  if (matrix[3] != matrix[4] || offset[3] != matrix[4] || initial[3] != matrix[4] ||
      initial[4] != offset[4] || initial[1] != 1)
    fail("matrix (1, T, B, d, d), offset (1, T, B, d, n), initial (1, 1, B, d, n)");
  const Extent sizes = extent_of(input, 3);
  output[0] = Shape::of(int64_t(1), sizes.times, sizes.batch, offset[3], offset[4]);
}

void quadratic_shapes(const Attributes& attributes, const Shape* input, Shape* output) {
  recursion_shapes(attributes, input, output);
  if (output[0][3] != output[0][4]) fail("offset (1, T, B, d, d)");
}

template <class T>
void run_recursion(const Call& call, bool quadratic) {
  using V = Lanes<T>;
  const Steps matrix = steps_of(call.input[0]), offset = steps_of(call.input[1]),
              initial = steps_of(call.input[2]), states = steps_of(call.output[0]);
  const Shape& shape = call.output[0].shape;
  const int64_t times_ = shape[1], d = shape[3], n = shape[4];
  const bool reverse = call.attributes.flag("reverse");
  const double work = double(times_) * double(d * d * n) * (quadratic ? 2 : 1);
  over_parts<V>(shape[2], 0.2 * work, [&](int64_t, int64_t first, int count) {
    Memory<V> memory(d * d + 2 * d * n + room_for<V>(initial, offset, matrix));
    V *x = memory.take(d * n), *moved = memory.take(d * n), *across = memory.take(d * d);
    auto start = reader(initial, first, count, memory),
         moves = reader(offset, first, count, memory),
         turns = reader(matrix, first, count, memory);
    copy(d * n, start(0), x);
    for (int64_t k = 0; k < times_; ++k) {
      const int64_t t = reverse ? times_ - 1 - k : k;
      write<T>(states, t, first, count, x);
      if (k == times_ - 1) break;
      const V *c = moves(t), *a = turns(t);
      if (quadratic) {
        times(as_is(a, d), x, moved, d, d, d);
        transpose(a, d, d, d, across, d);
        copy(d * d, c, x);
        times(as_is(moved, d), across, x, d, d, d, add);
      } else {
        copy(d * n, c, moved);
        times(as_is(a, d), x, moved, d, d, n, add);
        V* other = x;
        x = moved;
        moved = other;
      }
    }
  });
}

// With the gradient G of X and Λ_t = G_t + A_t' Λ_{t+1} (A_t): that of the initial state is Λ_1, of
// c_t is Λ_{t+1}, of A_t is Λ_{t+1} x_t', or Λ A X' + Λ' A X.
template <class T>
void differentiate_recursion(const Call& call, bool quadratic) {
  using V = Lanes<T>;
  const Steps matrix = steps_of(call.input[0]), states = steps_of(call.output[0]),
              given = steps_of(call.output_gradient[0]);
  const Shape& shape = call.output[0].shape;
  const int64_t times_ = shape[1], batch = shape[2], d = shape[3], n = shape[4];
  const bool reverse = call.attributes.flag("reverse");
  const int64_t parts = parts_of(groups_of<V>(batch));
  Steps steps[3];
  int64_t room[3], total = 0;
  for (int i = 0; i < 3; ++i) {
    steps[i] = steps_of(call.input_gradient[i]);
    total += room[i] = Gradient<T>::room(steps[i], parts, batch);
  }
  Scratch sums(sizeof(double) * total);
  Gradient<T> gradient[3];
  double* memory = sums.as<double>();
  for (int i = 0; i < 3; ++i) {
    gradient[i].begin(steps[i], memory, parts, batch);
    memory += room[i];
  }
  const double work = double(times_) * double(d * d * n) * (quadratic ? 5 : 2);
  over_parts<V>(batch, 0.2 * work, [&](int64_t part, int64_t first, int count) {
    int64_t written = 0;
    for (auto& one : steps) written += Writer<V>::room(one);
    Memory<V> memory(2 * d * d + 2 * d * n + written + room_for<V>(matrix, states, given));
    V *a_gradient = memory.take(d * d), *across = memory.take(d * n),
      *half = memory.take(d * d), *ahead = memory.take(d * n);
    auto turns = reader(matrix, first, count, memory),
         states_at = reader(states, first, count, memory),
         given_at = reader(given, first, count, memory);
    const auto writer = [&](int i) {
      return Writer<V>(gradient[i], part, first, count, memory.take(Writer<V>::room(steps[i])));
    };
    auto to_matrix = writer(0), to_offset = writer(1), to_initial = writer(2);
    clear(d * n, ahead);
    for (int64_t k = times_ - 1; k >= 0; --k) {
      const int64_t t = reverse ? times_ - 1 - k : k;
      V* g = given_at.own(t);
      if (k == times_ - 1) {
        clear(d * d, a_gradient);
        to_matrix.whole(t, a_gradient);
        to_offset.whole(t, ahead);
        copy(d * n, g, ahead);
        continue;
      }
      const V *a = turns(t), *x = states_at(t);
      to_offset.whole(t, ahead);
      transpose(x, d, n, n, across, d);
      if (quadratic) {
        times(as_is(ahead, d), a, half, d, d, d);
        times(as_is(half, d), across, a_gradient, d, d, d);
        times(turned(a, d), half, g, d, d, d, add);
        times(turned(ahead, d), a, half, d, d, d);
        times(as_is(half, d), x, a_gradient, d, d, d, add);
      } else {
        times(as_is(ahead, n), across, a_gradient, d, n, d);
        times(turned(a, d), ahead, g, d, d, n, add);
      }
      copy(d * n, g, ahead);
      to_matrix.whole(t, a_gradient);
    }
    to_matrix.end();
    to_offset.end();
    to_initial.whole(0, ahead);
    to_initial.end();
  });
  for (auto& one : gradient) one.end();
}

template <bool quadratic>
void recursion_forward(const Call& call) {
  by_type(call.output[0].type,
          [&](auto zero) { run_recursion<decltype(zero)>(call, quadratic); });
}

template <bool quadratic>
void recursion_backward(const Call& call) {
  by_type(call.output[0].type,
          [&](auto zero) { differentiate_recursion<decltype(zero)>(call, quadratic); });
}

GL_OPERATOR("_gluon_linalg_affine_recursion", three, one, recursion_shapes,
            recursion_forward<false>, recursion_backward<false>, false);
GL_OPERATOR("_gluon_linalg_quadratic_recursion", three, one, quadratic_shapes,
            recursion_forward<true>, recursion_backward<true>, false);

// x_1 = initial, x_{t+1} = W_t (c_t - M_t x_t).

void corrected_shapes(const Attributes&, const Shape* input, Shape* output) {
  require_axes(input, 4);
  const Shape &gain = input[0], &matrix = input[1], &target = input[2], &initial = input[3];
  if (gain[3] != matrix[4] || gain[4] != matrix[3] || target[3] != matrix[3] ||
      initial[3] != gain[3] || initial[4] != target[4] || initial[1] != 1)
    fail("gain (1, T, B, d, n), matrix (., n, d), target (., n, k), initial (1, 1, B, d, k)");
  const Extent sizes = extent_of(input, 4);
  output[0] = Shape::of(int64_t(1), sizes.times, sizes.batch, initial[3], initial[4]);
}

template <class T>
void run_corrected(const Call& call) {
  using V = Lanes<T>;
  const Steps gain = steps_of(call.input[0]), matrix = steps_of(call.input[1]),
              target = steps_of(call.input[2]), initial = steps_of(call.input[3]),
              states = steps_of(call.output[0]);
  const Shape& shape = call.output[0].shape;
  const int64_t times_ = shape[1], d = shape[3], k = shape[4], n = call.input[0].shape[4];
  const double work = double(times_) * double(2 * d * n * k);
  over_parts<V>(shape[2], 0.2 * work, [&](int64_t, int64_t first, int count) {
    Memory<V> memory(d * k + n * k + room_for<V>(initial, gain, matrix, target));
    V *x = memory.take(d * k), *left = memory.take(n * k);
    auto start = reader(initial, first, count, memory), gains = reader(gain, first, count, memory),
         matrices = reader(matrix, first, count, memory),
         targets = reader(target, first, count, memory);
    copy(d * k, start(0), x);
    for (int64_t t = 0; t < times_; ++t) {
      write<T>(states, t, first, count, x);
      if (t == times_ - 1) break;
      copy(n * k, targets(t), left);
      times(as_is(matrices(t), d), x, left, n, d, k, subtract);
      times(as_is(gains(t), n), left, x, d, n, k);
    }
  });
}

void corrected_forward(const Call& call) {
  by_type(call.output[0].type, [&](auto zero) { run_corrected<decltype(zero)>(call); });
}

GL_OPERATOR("_gluon_linalg_corrected_recursion", takes_four, one, corrected_shapes,
            corrected_forward, without_gradient, false);

// Of [M S  N] with M (p + d, d), S (d, d) and N (p + d, p + r), the first p columns of whose last d
// rows are 0, as the last r of the first p rows: L, the first d columns of Q, Ψ (c, d), which
// completes them to orthonormal columns, c = d + p + r, and S itself, where the last block of L is
// S of the next time (`kalman_gains`).

int gives_four(const Attributes&) { return 4; }

void root_shapes(const Attributes&, const Shape* input, Shape* output) {
  require_axes(input, 3);
  const Shape &matrix = input[0], &noise = input[1], &factor = input[2];
  const int64_t d = matrix[4], m = matrix[3], p = m - d, r = noise[4] - p;
  if (noise[3] != m || factor[3] != d || factor[4] != d || factor[1] != 1 || p < 0 || r < 0)
    fail("matrix (1, T, B, p + d, d), noise (1, T, B, p + d, p + r), factor (1, 1, B, d, d)");
  const Extent sizes = extent_of(input, 3);
  const int64_t unit = 1;
  output[0] = Shape::of(unit, sizes.times, sizes.batch, m, m);
  output[1] = Shape::of(unit, sizes.times, sizes.batch, m, d);
  output[2] = Shape::of(unit, sizes.times, sizes.batch, d + p + r, d);
  output[3] = Shape::of(unit, sizes.times, sizes.batch, d, d);
}

template <class T>
void run_root(const Call& call) {
  using V = Lanes<T>;
  const Steps matrix = steps_of(call.input[0]), noise = steps_of(call.input[1]),
              prior = steps_of(call.input[2]), to_lower = steps_of(call.output[0]),
              to_columns = steps_of(call.output[1]), to_free = steps_of(call.output[2]),
              to_factor = steps_of(call.output[3]);
  const Shape& shape = call.output[0].shape;
  const int64_t times_ = shape[1], d = call.input[0].shape[4], m = shape[3], p = m - d;
  const int64_t noises = call.input[1].shape[4], width = d + noises;
  const double work = double(times_) * double(m * m * width + m * width * d);
  over_parts<V>(shape[2], 0.4 * work, [&](int64_t, int64_t first, int count) {
    Memory<V> memory(d * d + 2 * m * d + 2 * width * m + width * d + 2 * m * m + m +
                     room_for<V>(prior, matrix, noise));
    V *s = memory.take(d * d), *half = memory.take(m * d), *columns = memory.take(m * d),
      *arrayT = memory.take(width * m), *rest = memory.take(width * d),
      *lowerT = memory.take(m * m), *lower = memory.take(m * m), *u = memory.take(m * width),
      *hidden = memory.take(m);
    auto start = reader(prior, first, count, memory),
         matrices = reader(matrix, first, count, memory),
         all_noises = reader(noise, first, count, memory);
    copy(d * d, start(0), s);
    clear(m, hidden);
    for (int64_t t = 0; t < times_; ++t) {
      write<T>(to_factor, t, first, count, s);
      times(as_is(matrices(t), d), s, half, m, d, d);
      transpose(half, m, d, d, arrayT, m);
      transpose(all_noises(t), m, noises, noises, arrayT + d * m, m);
      triangularize<V>(m, p, d + p, width, m, arrayT, hidden, lowerT, width, u);
      transpose(lowerT, m, m, m, lower, m);
      write<T>(to_lower, t, first, count, lower);
      for (int64_t i = 0; i < d; ++i) copy(d, lower + (p + i) * m + p, s + i * d);
      first_columns<V>(m, width, d, width, u, columns, rest);
      write<T>(to_columns, t, first, count, columns);
      write<T>(to_free, t, first, count, rest);
    }
  });
}

void root_forward(const Call& call) {
  by_type(call.output[0].type, [&](auto zero) { run_root<decltype(zero)>(call); });
}

GL_OPERATOR("_gluon_linalg_square_root_recursion", three, gives_four, root_shapes, root_forward,
            without_gradient, false);

// With the spread [F C'; C E] = M P M' + N: the Cholesky factor of F, the gain (F½⁻¹ C')' and P
// itself, where P of the next time is E minus gain times gain'. NaN where F has no factor.

int gives_three(const Attributes&) { return 3; }

void covariance_shapes(const Attributes&, const Shape* input, Shape* output) {
  require_axes(input, 3);
  const Shape &matrix = input[0], &noise = input[1], &prior = input[2];
  const int64_t d = matrix[4], m = matrix[3], p = m - d;
  if (noise[3] != m || noise[4] != m || prior[3] != d || prior[4] != d || prior[1] != 1 || p < 0)
    fail("matrix (1, T, B, p + d, d), noise (1, T, B, p + d, p + d), prior (1, 1, B, d, d)");
  const Extent sizes = extent_of(input, 3);
  const int64_t unit = 1;
  output[0] = Shape::of(unit, sizes.times, sizes.batch, p, p);
  output[1] = Shape::of(unit, sizes.times, sizes.batch, d, p);
  output[2] = Shape::of(unit, sizes.times, sizes.batch, d, d);
}

// A Cholesky factor in place of the lower triangle of a (n x n, `row` apart), NaN from the first
// pivot on that is not positive; what is above is left.
template <class V>
inline void cholesky(V* a, int64_t n, int64_t row) {
  for (int64_t j = 0; j < n; ++j) {
    V square = a[j * row + j];
    for (int64_t k = 0; k < j; ++k) square -= a[j * row + k] * a[j * row + k];
    const V pivot = root(square);
    const V inverse = pivot > 0 ? 1 / pivot : V{} + __builtin_nan("");
    a[j * row + j] = pivot > 0 ? pivot : V{} + __builtin_nan("");
    for (int64_t i = j + 1; i < n; ++i) {
      V sum = a[i * row + j];
      for (int64_t k = 0; k < j; ++k) sum -= a[i * row + k] * a[j * row + k];
      a[i * row + j] = sum * inverse;
    }
  }
}

template <class T>
void run_covariance(const Call& call) {
  using V = Lanes<T>;
  const Steps matrix = steps_of(call.input[0]), noise = steps_of(call.input[1]),
              prior = steps_of(call.input[2]), to_factor = steps_of(call.output[0]),
              to_gain = steps_of(call.output[1]), to_covariance = steps_of(call.output[2]);
  const Shape& shape = call.output[0].shape;
  const int64_t times_ = shape[1], d = call.input[0].shape[4], p = shape[3], m = p + d;
  const double work = double(times_) * double(m * d * (m + d) + m * m * p);
  over_parts<V>(shape[2], 0.2 * work, [&](int64_t, int64_t first, int count) {
    Memory<V> memory(d * d + 2 * m * d + m * m + p * p + d * p +
                     room_for<V>(prior, matrix, noise));
    V *x = memory.take(d * d), *half = memory.take(m * d), *across = memory.take(m * d),
      *spread = memory.take(m * m), *factor = memory.take(p * p), *gain = memory.take(d * p);
    auto start = reader(prior, first, count, memory),
         matrices = reader(matrix, first, count, memory),
         noises = reader(noise, first, count, memory);
    copy(d * d, start(0), x);
    for (int64_t t = 0; t < times_; ++t) {
      write<T>(to_covariance, t, first, count, x);
      const V* a = matrices(t);
      copy(m * m, noises(t), spread);
      times(as_is(a, d), x, half, m, d, d);
      transpose(a, m, d, d, across, m);
      times(as_is(half, d), across, spread, m, d, m, add);
      cholesky(spread, p, m);
      for (int64_t i = 0; i < p; ++i)
        for (int64_t j = 0; j < p; ++j) factor[i * p + j] = j <= i ? spread[i * m + j] : V{};
      for (int64_t i = 0; i < d; ++i)
        for (int64_t j = 0; j < p; ++j) {
          V sum = spread[(p + i) * m + j];
          for (int64_t k = 0; k < j; ++k) sum -= gain[i * p + k] * spread[j * m + k];
          gain[i * p + j] = sum / spread[j * m + j];
        }
      write<T>(to_factor, t, first, count, factor);
      write<T>(to_gain, t, first, count, gain);
      for (int64_t i = 0; i < d; ++i) copy(d, spread + (p + i) * m + p, x + i * d);
      transpose(gain, d, p, p, across, d);
      times(as_is(gain, p), across, x, d, p, d, subtract);
    }
  });
}

void covariance_forward(const Call& call) {
  by_type(call.output[0].type, [&](auto zero) { run_covariance<decltype(zero)>(call); });
}

GL_OPERATOR("_gluon_linalg_covariance_recursion", three, gives_three, covariance_shapes,
            covariance_forward, without_gradient, false);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
