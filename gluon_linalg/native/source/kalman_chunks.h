// Series that share their model, some at a time, and the arrays that these take: their means are
// the columns of matrices (d, across), whose rows are in registers. Where their gradients go.
//
// Likelihood and moments have a `Problem` each, of which this takes what is alike in both: it comes
// after that.
#pragma once

#include "kalman_gradients.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// Whether all series have one model, of these arrays, and the same of them is missing.
template <class T, int count>
bool shares_model(const Problem& problem, const int (&model)[count]) {
  if (problem.batch < 2) return false;
  for (int i : model)
    if (problem.given[i] && problem.array[i].batch_step) return false;
  const Steps& seen = problem.array[mask];
  if (!problem.given[mask] || !seen.batch_step) return true;
  const T* first = static_cast<const T*>(seen.data);
  for (int64_t b = 1; b < problem.batch; ++b)
    if (std::memcmp(first, first + b * seen.batch_step, sizeof(T) * seen.batch_step)) return false;
  return true;
}

// The problem of one series of zeros with that model. zeros: of states and observations.
inline Problem without_data(const Problem& problem, void* zeros) {
  Problem alone = problem;
  alone.batch = 1;
  alone.given[transition_offset] = alone.given[emission_offset] = false;
  const int data[] = {observed, prior_mean};
  for (int i : data) {
    Steps& steps = alone.array[i];
    steps.data = zeros;
    steps.time_step = steps.batch_step = 0;
    steps.batch = 1;
  }
  alone.array[mask].batch_step = 0, alone.array[mask].batch = 1;
  return alone;
}

// What a record begins with: whether the series shared their model.
struct Beginning {
  bool shared;
};
constexpr int64_t beginning = 64;

// What a record holds behind its beginning.
template <class E>
E* behind(const Call& call) {
  return reinterpret_cast<E*>(static_cast<char*>(call.record->data()) + beginning);
}
// Of so many elements, in a new one.
template <class E>
E* behind(const Call& call, int64_t size, bool shared) {
  static_cast<Beginning*>(call.record->of(beginning + sizeof(E) * size))->shared = shared;
  return behind<E>(call);
}

// How the batch is divided: into chunks of four registers, or at most so many of more.
template <class T>
struct Chunks {
  int64_t batch, each, count;

  explicit Chunks(int64_t batch) : batch(batch) {
    each = 4 * width<T>;
    const int64_t least = (batch + most_parts - 1) / most_parts;
    if (least > each) each = padded<T>(least);
    count = (batch + each - 1) / each;
  }
};

// Some series, and what is kept of them: a (times, d, across) and e (times, p, across).
template <class T>
struct Chunk {
  int64_t first, count, across;
  T *means, *innovations;

  Chunk(const Chunks<T>& chunks, int64_t number, const Problem& problem, T* memory)
      : first(number * chunks.each),
        count(chunks.batch - first < chunks.each ? chunks.batch - first : chunks.each),
        across(padded<T>(count)) {
    means = memory + number * size(chunks, problem);
    innovations = means + problem.times * problem.states * across;
  }
  static int64_t size(const Chunks<T>& chunks, const Problem& problem) {
    return problem.times * (problem.states + problem.observations) * chunks.each;
  }

  // The numbers of an array that each series has for itself, as the rows of `to`.
  void load(const Steps& steps, T* to) const {
    constexpr int wide = width<T>;
    const int64_t numbers = steps.times * steps.size;
    const T* from = static_cast<const T*>(steps.data) + first * steps.batch_step;
    if (count < across) clear(numbers * across, to);
    int64_t b = 0;
    for (; b + wide <= count; b += wide)
      copy_transposed<wide>(from + b * steps.batch_step, steps.batch_step, numbers, to + b, across);
    for (; b < count; ++b)
      for (int64_t i = 0; i < numbers; ++i) to[i * across + b] = from[b * steps.batch_step + i];
  }
  // The first means: each series' own, or those of all.
  void begin(const Steps& prior) const {
    if (prior.batch_step) return load(prior, means);
    for (int64_t i = 0; i < prior.size * across; ++i)
      means[i] = static_cast<const T*>(prior.data)[i / across];
  }
  void store(const T* from, const Steps& steps) const {
    constexpr int wide = width<T>;
    const int64_t numbers = steps.times * steps.size;
    T* to = static_cast<T*>(steps.data) + first * steps.batch_step;
    int64_t i = 0;
    for (; i + wide <= numbers; i += wide)
      copy_transposed<wide>(from + i * across, across, count, to + i, steps.batch_step);
    for (; i < numbers; ++i)
      for (int64_t b = 0; b < count; ++b) to[b * steps.batch_step + i] = from[i * across + b];
  }
};

// What a model has at each time, whatever is hidden counting as 0.
template <class T>
struct Model {
  const Problem& problem;
  int64_t p;
  T* rows;  // memory: `room` elements

  static int64_t room(const Problem& problem) {
    if (!problem.given[mask]) return 0;
    return padded<T>(problem.array[emission].size + problem.array[observation_factor].size);
  }
  const T* at(int input, int64_t t) const {
    const Steps& steps = problem.array[input];
    return static_cast<const T*>(steps.data) + t * steps.time_step;
  }
  bool hides(int64_t t, int64_t i) const {
    return problem.given[mask] && !(at(mask, t)[i] > 0);
  }
  const T* seen_rows(int input, int64_t t, T* memory) const {
    const T* from = at(input, t);
    if (!problem.given[mask]) return from;
    const int64_t columns = problem.array[input].columns;
    for (int64_t i = 0; i < p; ++i)
      for (int64_t j = 0; j < columns; ++j)
        memory[i * columns + j] = hides(t, i) ? T(0) : from[i * columns + j];
    return memory;
  }
  const T* emission_rows(int64_t t) const { return seen_rows(emission, t, rows); }
  const T* noise_rows(int64_t t) const {
    return seen_rows(observation_factor, t, rows + problem.array[emission].size);
  }
};

// An offset of a chunk: one for all series, or the rows that were loaded.
template <class T>
struct Offset {
  const Steps* steps = nullptr;
  const T* rows = nullptr;

  static int64_t room(const Problem& problem, int input, int64_t across) {
    const Steps& steps = problem.array[input];
    return problem.given[input] && steps.batch_step ? steps.times * steps.size * across : 0;
  }
  Offset(const Problem& problem, int input, const Chunk<T>& chunk, T* memory) {
    if (!problem.given[input]) return;
    steps = &problem.array[input];
    if (!steps->batch_step) return;
    chunk.load(*steps, memory);
    rows = memory;
  }
  // to (size, across) += sign * that of time t.
  void add(int64_t t, T sign, int64_t across, T* to) const {
    if (!steps) return;
    const int64_t place = steps->time_step ? t * steps->size : 0;
    for (int64_t i = 0; i < steps->size; ++i) {
      if (rows) {
        add_multiple(across, sign, rows + (place + i) * across, to + i * across);
      } else {
        typedef typename Element<T>::Row Row;
        const Row x = spread(sign * static_cast<const T*>(steps->data)[place + i]);
        auto* row = reinterpret_cast<Row*>(to + i * across);
        for (int64_t k = 0; k < across / width<T>; ++k) row[k] += x;
      }
    }
  }
};

// Where a chunk's part of a gradient goes: to sums over the batch, or to rows of its own.
template <class T>
struct Destination {
  typedef Lanes<T> E;
  typedef typename Element<T>::Row Row;
  Writer<E> sums;
  Steps steps;
  E *rows = nullptr, *lost = nullptr;

  static int64_t room(const Steps& steps, int64_t across) {
    if (!steps.batch_step) return Writer<E>::room(steps);
    return (steps.times + 1) * steps.size * across / width<T>;
  }
  // memory: `room` registers.
  void begin(const Gradient<T>& gradient, int64_t part, const Chunk<T>& chunk, E* memory) {
    steps = gradient.steps;
    if (!steps.batch_step) {
      sums = Writer<E>(gradient, part, 0, width<T>, memory);
      return;
    }
    const int64_t registers = chunk.across / width<T>;
    rows = memory, lost = memory + steps.times * steps.size * registers;
    clear((steps.times + 1) * steps.size * registers, memory);
  }
  explicit operator bool() const { return rows || sums; }
  // Vectors (size, across) times a sign.
  void add(int64_t t, const T* found, int64_t across, T sign) {
    const int64_t registers = across / width<T>;
    const auto* from = reinterpret_cast<const Row*>(found);
    if (!rows) {
      sums(t, [&](int64_t i, int64_t) {
        E sum{};
        for (int64_t k = 0; k < registers; ++k) sum += from[i * registers + k];
        return sum * sign;
      });
      return;
    }
    E* to = rows + (steps.time_step ? t * steps.size * registers : 0);
    for (int64_t k = 0; k < steps.size * registers; ++k) {
      const E x = from[k] * sign;
      if (steps.time_step)
        to[k] = x;
      else
        add_to(x, to + k, lost + k);
    }
  }
  // The products of rows of x (rows, across) and of y (columns, across) times a sign, to a sum.
  void add_outer(int64_t t, T sign, const T* x, const T* y, int64_t across) {
    const int64_t registers = across / width<T>;
    const auto *left = reinterpret_cast<const Row*>(x), *right = reinterpret_cast<const Row*>(y);
    sums(t, [&](int64_t i, int64_t j) {
      const Row *a = left + i * registers, *b = right + j * registers;
      E sum = a[0] * b[0];
      for (int64_t k = 1; k < registers; ++k) sum += a[k] * b[k];
      return sum * sign;
    });
  }
  void end(const Chunk<T>& chunk) {
    if (rows)
      chunk.store(reinterpret_cast<const T*>(rows), steps);
    else if (sums)
      sums.end();
  }
};

// Those of a chunk, and their memory.
template <class T>
struct Destinations {
  Destination<T> to[all_inputs];
  Scratch memory;

  Destinations(const Gradients<T>& gradients, int64_t part, const Chunk<T>& chunk)
      : memory(sizeof(Lanes<T>) * room(gradients, chunk.across)) {
    auto* free = memory.as<Lanes<T>>();
    for (int i = 0; i < all_inputs; ++i) {
      if (!gradients.wants(i)) continue;
      to[i].begin(gradients.of[i], part, chunk, free);
      free += Destination<T>::room(gradients.of[i].steps, chunk.across);
    }
  }
  static int64_t room(const Gradients<T>& gradients, int64_t across) {
    int64_t total = 0;
    for (int i = 0; i < all_inputs; ++i)
      if (gradients.wants(i)) total += Destination<T>::room(gradients.of[i].steps, across);
    return total;
  }
};

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
