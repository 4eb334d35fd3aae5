// Series that share their model: what does not depend on the observations is found once for all.
//
// Gains, covariances and their part of the score are those of one series of zeros, by `filter` and
// `score`. The means of the others are found in chunks (`kalman_chunks.h`); of their part of the score
// only sums over the batch are left,
//
//     Σ_b h_b u x̂ᵀ,  Σ_b h_b r x̂ᵀ,  Σ_b h_b u (uᵀ D),  Σ_b h_b r (rᵀ G),   u = F⁻½ᵀ ẽ,
//
// with the gradients h_b of the values. Whatever is not plain (a failure, other units) is left to
// the general way.
#pragma once

#include "kalman_filter.h"
#include "kalman_score.h"
// After what a problem is.
#include "kalman_chunks.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// The arrays that have to be the same for all series.
constexpr int model_inputs[] = {transition, emission, process_factor, observation_factor,
                                prior_factor};
inline bool is_of_model(int input) {
  for (int i : model_inputs)
    if (i == input) return true;
  return false;
}

// The means of a chunk forward in time; squares: Σ e², and behind it
// what was lost of it.
template <class T, int D, int P>
__attribute__((noinline)) void filter_means(const Problem& problem, const Layout<T, D, P>& layout,
                                            const T* kept, const Chunk<T>& chunk,
                                            Lanes<T>* squares) {
  typedef typename Element<T>::Row Row;
  const int64_t d = layout.s.d(), p = layout.s.p(), an = layout.across_n(), across = chunk.across,
                registers = across / width<T>, masked = Model<T>::room(problem),
                offsets = Offset<T>::room(problem, emission_offset, across);
  Scratch scratch(sizeof(T) * (masked + offsets +
                               Offset<T>::room(problem, transition_offset, across)));
  T* free = scratch.as<T>();
  const Model<T> model{problem, p, free};
  const Offset<T> of_seen(problem, emission_offset, chunk, free + masked),
      of_next(problem, transition_offset, chunk, free + masked + offsets);
  chunk.load(problem.array[observed], chunk.innovations);
  chunk.begin(problem.array[prior_mean]);
  Lanes<T>* lost = squares + registers;
  for (int64_t k = 0; k < 2 * registers; ++k) squares[k] = Lanes<T>{};
  for (int64_t t = 0; t < problem.times; ++t) {
    T *a = chunk.means + t * d * across, *e = chunk.innovations + t * p * across,
      *next = a + d * across;
    const T* triangleT = layout.at(kept, t) + layout.triangle;
    of_seen.add(t, T(-1), across, e);
    for (int64_t i = 0; i < p; ++i)
      if (model.hides(t, i)) clear(across, e + i * across);
    product<subtract, T>(p, d, across, as_is(model.emission_rows(t), d), a, across, e, across);
    solve(p, across, triangleT, an, e);
    const auto* found = reinterpret_cast<const Row*>(e);
    for (int64_t i = 0; i < p; ++i)
      for (int64_t k = 0; k < registers; ++k) {
        const Lanes<T> x = found[i * registers + k];
        add_to<Lanes<T>>(x * x, squares + k, lost + k);
      }
    if (t == problem.times - 1) break;
    product<set, T>(d, d, across, as_is(model.at(transition, t), d), a, across, next, across);
    product<add, T>(d, p, across, turned(triangleT + p, an), e, across, next, across);
    of_next.add(t, T(1), across, next);
  }
}

// What the score takes of the model at each time, padded rows: H̃ (p, across d), Φ (d, across d)
// and, where it smooths, the first columns [Ω; Θ] of Q (n, across d).
template <class T, int D, int P>
struct Returns {
  int64_t whitened = 0, closed, head, slot;
  Scratch memory;

  Returns(const Problem& problem, const Layout<T, D, P>& layout, const T* kept)
      : closed(layout.s.p() * layout.across_d()),
        head(closed + layout.s.d() * layout.across_d()),
        slot(head + (layout.smooths ? layout.s.n() * layout.across_d() : 0)),
        memory(sizeof(T) * (problem.times * slot + layout.s.c() * layout.across_d() +
                            Model<T>::room(problem))) {
    const int64_t d = layout.s.d(), p = layout.s.p(), n = layout.s.n(), c = layout.s.c(),
                  ad = layout.across_d(), an = layout.across_n();
    T *rest = memory.as<T>() + problem.times * slot, *rows = rest + c * ad;
    const Model<T> model{problem, p, rows};
    for (int64_t t = 0; t < problem.times; ++t) {
      const bool is_last = t == problem.times - 1;
      const T* triangleT = layout.at(kept, t) + layout.triangle;
      T *into = memory.as<T>() + t * slot, *whitened_rows = into + whitened,
        *closed_rows = into + closed;
      load_rows<T>(model.emission_rows(t), p, d, T(1), nullptr, whitened_rows);
      solve(p, ad, triangleT, an, whitened_rows);
      if (!is_last) {
        load_rows<T>(model.at(transition, t), d, d, T(1), nullptr, closed_rows);
        product<subtract, T>(d, p, ad, turned(triangleT + p, an), whitened_rows, ad, closed_rows,
                             ad);
      }
      if (layout.smooths)
        first_columns<T>(is_last ? p : n, c, d, layout.across_c(), layout.state_at(kept, t) + layout.u,
                         into + head, rest);
    }
  }
  const T* at(int64_t t) const { return memory.as<T>() + t * slot; }
};

// The part of a chunk in the score, back in time; heads: the gradients of all values.
template <class T, int D, int P>
__attribute__((noinline)) void score_means(const Problem& problem, const Layout<T, D, P>& layout,
                                           const T* kept, const Returns<T, D, P>& returns,
                                           const Chunk<T>& chunk, const T* heads,
                                           Destination<T>* to) {
  const int64_t d = layout.s.d(), p = layout.s.p(), q = layout.s.q, r = layout.s.r,
                ad = layout.across_d(), an = layout.across_n(), across = chunk.across,
                prior = problem.prior_columns,
                most = q > r ? (q > prior ? q : prior) : (r > prior ? r : prior);
  Memory<T> memory((1 + 6 * d + 3 * p + most) * across + Model<T>::room(problem));
  const auto take = [&](int64_t rows) { return memory.take(rows * across); };
  T *head = take(1), *force = take(d), *before = take(d), *coordinates = take(d),
    *coordinates_before = take(d), *smoothed = take(d), *weighted = take(d), *remaining = take(p),
    *weighted_seen = take(p), *pulled = take(most);
  const Model<T> model{problem, p, memory.take(Model<T>::room(problem))};
  for (int64_t b = 0; b < chunk.count; ++b) head[b] = heads[chunk.first + b];
  const auto weigh = [&](const T* rows, int64_t count, T* into) {
    for (int64_t i = 0; i < count; ++i)
      for (int64_t k = 0; k < across; ++k) into[i * across + k] = rows[i * across + k] * head[k];
  };
  for (int64_t t = problem.times - 1; t >= 0; --t) {
    const bool is_last = t == problem.times - 1;
    const T *triangleT = layout.at(kept, t) + layout.triangle, *of_model = returns.at(t), *whitened = of_model + returns.whitened,
            *closed = of_model + returns.closed, *columns = of_model + returns.head,
            *e = chunk.innovations + t * p * across;
    // ẽ and r⁻.
    copy(p * across, e, remaining);
    product<set, T>(d, p, across, turned(whitened, ad), e, across, before, across);
    if (!is_last) {
      product<subtract, T>(p, d, across, as_is(triangleT + p, an), force, across, remaining,
                           across);
      product<add, T>(d, d, across, turned(closed, ad), force, across, before, across);
    }
    // ρ⁻ and x̂.
    if (layout.smooths) {
      product<set, T>(d, p, across, turned(columns, ad), e, across, coordinates_before, across);
      if (!is_last)
        product<add, T>(d, d, across, turned(columns + p * ad, ad), coordinates, across,
                        coordinates_before, across);
      T* swap = coordinates;
      coordinates = coordinates_before, coordinates_before = swap;
      copy(d * across, chunk.means + t * d * across, smoothed);
      product<add, T>(d, d, across, turned(layout.state_at(kept, t), ad), coordinates, across, smoothed, across);
    }
    solve_transposed(p, across, triangleT, an, remaining);
    weigh(remaining, p, weighted_seen);
    if (to[emission]) to[emission].add_outer(t, T(-1), weighted_seen, smoothed, across);
    if (to[observation_factor]) {
      product<set, T>(q, p, across, turned(model.noise_rows(t), q), remaining, across, pulled,
                      across);
      to[observation_factor].add_outer(t, T(-1), weighted_seen, pulled, across);
    }
    if (to[observed]) to[observed].add(t, weighted_seen, across, T(1));
    if (to[emission_offset]) to[emission_offset].add(t, weighted_seen, across, T(-1));
    if (!is_last) {
      weigh(force, d, weighted);
      if (to[transition]) to[transition].add_outer(t, T(-1), weighted, smoothed, across);
      if (to[process_factor]) {
        product<set, T>(r, d, across, turned(model.at(process_factor, t), r), force, across,
                        pulled, across);
        to[process_factor].add_outer(t, T(-1), weighted, pulled, across);
      }
      if (to[transition_offset]) to[transition_offset].add(t, weighted, across, T(-1));
    }
    T* swap = force;
    force = before, before = swap;
  }
  weigh(force, d, weighted);
  if (to[prior_mean]) to[prior_mean].add(0, weighted, across, T(-1));
  if (to[prior_factor]) {
    product<set, T>(prior, d, across, turned(model.at(prior_factor, 0), prior), force, across,
                    pulled, across);
    to[prior_factor].add_outer(0, T(-1), weighted, pulled, across);
  }
  for (int i = 0; i < all_inputs; ++i)
    if (to[i]) to[i].end(chunk);
}

// What a chunk costs about, forward.
template <class T>
double chunk_nanoseconds(const Problem& problem, const Chunks<T>& chunks) {
  const double d = double(problem.states), n = d + double(problem.observations);
  return double(problem.times) * (20 + 0.5 * d * n * double(chunks.each / width<T>));
}

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
