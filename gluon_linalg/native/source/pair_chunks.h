// Pairs of points in chunks that the first cache holds.
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

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
