// Moments of series that share their model: covariances and gains are those of one series of zeros,
// by `run_group`, and the means of the others are found in chunks (`kalman_chunks.h`). Whatever is
// not plain (a failure) is left to the general way.
#pragma once

#include "kalman_smoother.h"
// After what a problem is.
#include "kalman_chunks.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// The arrays that have to be the same for all series.
constexpr int model_inputs[] = {transition,         emission,     process_factor,
                                observation_factor, prior_factor, prior_covariance};
inline bool is_of_model(int input) {
  for (int i : model_inputs)
    if (i == input) return true;
  return false;
}

// The vectors (B, times, size) of an output or its gradient.
inline Steps vectors_of(const Array& array, int64_t size) {
  Steps steps;
  steps.data = array.data;
  steps.batch = array.shape[0], steps.times = array.shape[1], steps.size = size;
  steps.time_step = size, steps.batch_step = steps.times * size;
  return steps;
}

// What each step of the model makes of the means of a chunk.
template <class T>
struct StepOfMeans {
  const Layout<T>& layout;
  const Model<T>& model;
  int64_t d, p, across;

  StepOfMeans(const Layout<T>& layout, const Model<T>& model, int64_t across)
      : layout(layout), model(model), d(layout.s.d()), p(layout.s.p()), across(across) {}

  // to = M x, or += or -=, of so many columns of x.
  template <Result result>
  void apply(int64_t rows, int64_t columns, Factor<T> matrix, const T* x, T* to) const {
    product<result, T>(rows, columns, across, matrix, x, across, to, across);
  }
  Factor<T> A(int64_t t) const { return as_is(model.at(transition, t), d); }
  Factor<T> A_turned(int64_t t) const { return turned(model.at(transition, t), d); }
  // Of these the rows that are hidden are 0; the last call counts.
  Factor<T> H(int64_t t) const { return as_is(model.emission_rows(t), d); }
  Factor<T> H_turned(int64_t t) const { return turned(model.emission_rows(t), d); }
  // z = F⁻½ᵀ e.
  void weigh(const T* slot, const T* e, T* z) const {
    apply<set>(p, p, turned(slot + layout.inverse, layout.ap), e, z);
  }
};

// The means of a chunk, forward in time and back. steps: the log likelihoods of the steps of zeros;
// returns whether all series are well.
template <class T>
__attribute__((noinline)) bool find_means(const Problem& problem, const Layout<T>& layout,
                                          const T* record, const Path<T>& path,
                                          const Chunk<T>& chunk, const T* steps,
                                          const Array* output) {
  typedef typename Element<T>::Row Row;
  const Places& places = problem.places;
  const int64_t d = layout.s.d(), p = layout.s.p(), ad = layout.ad, ap = layout.ap,
                across = chunk.across, times_ = problem.times, registers = across / width<T>,
                means = times_ * d * across;
  const bool filters = places.gives(filtered_mean), smooths = places.gives(smoothed_mean),
             likelihood = places.gives(step_likelihood);
  const int64_t of_model = Model<T>::room(problem),
                of_seen_ = Offset<T>::room(problem, emission_offset, across),
                of_next_ = Offset<T>::room(problem, transition_offset, across);
  Scratch scratch(sizeof(T) * (of_model + of_seen_ + of_next_ + (p + 3 * d + 1) * across +
                               (filters + smooths) * means + likelihood * times_ * across));
  T* free = scratch.as<T>();
  const auto take = [&](int64_t size) { return free += size, free - size; };
  const Model<T> model{problem, p, take(of_model)};
  const Offset<T> of_seen(problem, emission_offset, chunk, take(of_seen_)),
      of_next(problem, transition_offset, chunk, take(of_next_));
  T *left = take(p * across), *following = take(d * across), *coordinates = take(d * across),
    *before = take(d * across), *filtered = take(filters * means),
    *smoothed = take(smooths * means), *values = take(likelihood * times_ * across);
  auto* poison = reinterpret_cast<Row*>(take(across));
  const StepOfMeans<T> step(layout, model, across);
  const auto check = [&](const T* rows, int64_t count) {
    const auto* from = reinterpret_cast<const Row*>(rows);
    for (int64_t i = 0; i < count; ++i)
      for (int64_t k = 0; k < registers; ++k) poison[k] += from[i * registers + k] * T(0);
  };
  clear(across, reinterpret_cast<T*>(poison));
  chunk.load(problem.array[observed], chunk.innovations);
  chunk.begin(problem.array[prior_mean]);
  for (int64_t t = 0; t < times_; ++t) {
    const bool is_last = t == times_ - 1;
    const T* slot = layout.at(record, t);
    T *a = chunk.means + t * d * across, *e = chunk.innovations + t * p * across,
      *next = is_last ? following : a + d * across;
    of_seen.add(t, T(-1), across, e);
    for (int64_t i = 0; i < p; ++i)
      if (model.hides(t, i)) clear(across, e + i * across);
    step.template apply<subtract>(p, d, step.H(t), a, e);
    copy(p * across, e, left);
    step.template apply<set>(p, p, as_is(slot + layout.inverse, ap), left, e);
    const auto* found = reinterpret_cast<const Row*>(e);
    for (int64_t k = 0; k < registers; ++k) {
      Lanes<T> square{};
      for (int64_t i = 0; i < p; ++i) square += found[i * registers + k] * found[i * registers + k];
      poison[k] += square * T(0);
      if (likelihood)
        reinterpret_cast<Row*>(values + t * across)[k] = steps[t] - T(0.5) * square;
    }
    if (filters) {
      T* to = filtered + t * d * across;
      step.template apply<set>(d, p, turned(path.at(t) + path.head, ad), e, before);
      copy(d * across, a, to);
      step.template apply<add>(d, d, turned(path.at(t), ad), before, to);
    }
    if (is_last && !problem.follows) break;
    step.template apply<set>(d, d, step.A(t), a, next);
    step.template apply<add>(d, p, turned(slot + layout.gain, ad), left, next);
    of_next.add(t, T(1), across, next);
    check(next, d);
  }
  if (smooths) {
    for (int64_t t = times_ - 1; t >= 0; --t) {
      const T *now = path.at(t), *head = now + path.head;
      T* to = smoothed + t * d * across;
      step.template apply<set>(d, p, turned(head, ad), chunk.innovations + t * p * across, before);
      if (t < times_ - 1)
        step.template apply<add>(d, d, turned(head + p * ad, ad), coordinates, before);
      T* swap = coordinates;
      coordinates = before, before = swap;
      copy(d * across, chunk.means + t * d * across, to);
      step.template apply<add>(d, d, turned(now, ad), coordinates, to);
    }
  }
  for (int64_t b = 0; b < chunk.count; ++b)
    if (reinterpret_cast<const T*>(poison)[b] != T(0)) return false;
  const auto give = [&](Output which, const T* rows, int64_t size) {
    if (places.gives(which)) chunk.store(rows, vectors_of(output[places.output[which]], size));
  };
  give(filtered_mean, filtered, d);
  give(smoothed_mean, smoothed, d);
  give(step_likelihood, values, 1);
  if (places.gives(predicted_mean)) {
    Steps to = vectors_of(output[places.output[predicted_mean]], d);
    to.times -= problem.follows;
    chunk.store(chunk.means + problem.first * d * across, to);
    to.data = static_cast<T*>(to.data) + to.times * d, to.times = problem.follows;
    chunk.store(following, to);
  }
  return true;
}

// What a call for series that share their model keeps: the slots of the model, then the chunks.
template <class T>
struct Shared {
  Scratch zeros;
  Problem alone;
  Layout<T> layout;
  Chunks<T> chunks;

  explicit Shared(const Problem& problem)
      : zeros(sizeof(T) * padded<T>(problem.states + problem.observations)),
        alone(without_data(problem, zeros.as<T>())), layout(alone), chunks(problem.batch) {
    clear(padded<T>(problem.states + problem.observations), zeros.as<T>());
  }
  int64_t of_model() const { return padded<T>(layout.kept()); }
  int64_t kept() const { return of_model() + chunks.count * Chunk<T>::size(chunks, alone); }
  Chunk<T> chunk(int64_t number, T* memory) const {
    return Chunk<T>(chunks, number, alone, memory + of_model());
  }
  // What a chunk costs about, forward.
  double nanoseconds() const {
    const double d = double(alone.states), n = d + double(alone.observations);
    return double(alone.times) * (100 + 2.5 * d * n * double(chunks.each / width<T>));
  }
};

inline bool is_covariance(int output) {
  return output == predicted_covariance || output == filtered_covariance ||
         output == filtered_factor || output == smoothed_covariance || output == lag_one;
}

// What moving so many bytes through the caches costs about.
inline double moving_nanoseconds(int64_t bytes) { return 0.06 * double(bytes); }

// The arrays of covariances that the call gives, which are those of the first series for all.
template <class T>
struct Copies {
  const Array* from[all_outputs];
  int count = 0;
  int64_t size = 0;  // of a series

  explicit Copies(const Call& call, const Places& places) {
    for (int i = 0; i < all_outputs; ++i) {
      if (places.output[i] < 0 || !is_covariance(i)) continue;
      from[count++] = &call.output[places.output[i]];
      size += size_of(*from[count - 1]);
    }
  }
  static int64_t size_of(const Array& array) { return array.shape.product(1, array.shape.axes); }
  void make(int64_t b) const {
    for (int i = 0; i < count; ++i) {
      const int64_t own = size_of(*from[i]);
      std::memcpy(from[i]->as<T>() + b * own, from[i]->as<T>(), sizeof(T) * own);
    }
  }
};

// Whether series share their model, and more than one or two states of it, or more series than
// one register holds: of fewer all moments take less time than means beside them (measured).
template <class T>
bool is_shared(const Problem& problem) {
  if (problem.times == 0 || (problem.states <= 2 && problem.batch <= width<T>)) return false;
  return shares_model<T>(problem, model_inputs);
}

// Whether that was all: not where anything has failed.
template <class T>
bool run_shared(const Call& call, const Problem& problem) {
  if (!is_shared<T>(problem)) return false;
  const Shared<T> shared(problem);
  const Places& places = problem.places;
  T* record = behind<T>(call, shared.kept(), true);
  Path<T> path(shared.layout, true);
  Scratch memory(sizeof(T) * (path.room(problem) + problem.times));
  path.memory = memory.as<T>();
  run_group<T>(shared.alone, shared.layout, 0, 1, Outputs<T>(places, call.output, 0, 1), record,
               path);
  if (record[0] != T(0)) return false;
  T* steps = path.memory + path.room(problem);
  if (places.gives(step_likelihood))
    std::memcpy(steps, call.output[places.output[step_likelihood]].data, sizeof(T) * problem.times);
  const Copies<T> copies(call, places);
  const int64_t chunks = shared.chunks.count;
  const double copying = moving_nanoseconds(sizeof(T) * copies.size * shared.chunks.each);
  bool whole[most_parts];
  parallel_for(chunks, shared.nanoseconds() + copying, [&](int64_t begin, int64_t end) {
    for (int64_t number = begin; number < end; ++number) {
      const Chunk<T> chunk = shared.chunk(number, record);
      whole[number] =
          find_means<T>(problem, shared.layout, record, path, chunk, steps, call.output);
      for (int64_t b = chunk.first > 0 ? chunk.first : 1; b < chunk.first + chunk.count; ++b)
        copies.make(b);
    }
  });
  for (int64_t number = 0; number < chunks; ++number)
    if (!whole[number]) return false;
  for (int64_t b = 0; b < problem.batch; ++b)
    call.output[places.output[status]].as<T>()[b] = T(0);
  return true;
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
