// Series that share their model, some at a time, and the arrays that these take: their means are the
// columns of matrices (d, across), whose rows are in registers.
#pragma once

#include "kalman_likelihood.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

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

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
