// Moments of the states of linear-Gaussian state space models, given what was seen, and their
// gradients in every array of the model.
//
// Forward: the steps of `kalman_step.h`, then back in time, in the coordinates ξ of x = a + S ξ,
// ρ⁻ = [Ω; Θ]ᵀ [e; ρ], C⁻ = Θᵀ C Θ + ΨᵀΨ (`functional/kalman_moments.py`).
//
// Backward: the transposed differentials of `functional/kalman_tangent.py`, to first order of which
// the gains need not vary. Smoothed moments are x̂ = a + P r⁻, P - P N⁻ P and (I - P⁺ N) Φ P with
//
//     r⁻ = Hᵀ u + Aᵀ r,  u = z - Kᵀ r,  z = F⁻¹ v,   N⁻ = Hᵀ F⁻¹ H + Φᵀ N Φ,   Φ = A - K H,
//
// so that their gradients in r and N run forward in time, and what those leave at each step, with
// the gradients in a and P, runs back. Bars are gradients, a bar over K is carried as W = K̄ F⁻¹.

#include "over_time.h"
#include "small_matrix.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

constexpr double half_log_two_pi = 0.91893853320467274178;
// As in `functional/kalman_gains.py`.
constexpr double singular = 4.0;

// The inputs and the outputs of a call, in their order; from the named ones on each is there if the
// call has a keyword of that name.
enum Input {
  observed, transition, emission, process_factor, observation_factor, prior_mean, prior_factor,
  mask, transition_offset, emission_offset, prior_covariance, all_inputs
};
enum Output {
  predicted_mean, predicted_covariance, filtered_mean, filtered_covariance, filtered_factor,
  step_likelihood, smoothed_mean, smoothed_covariance, lag_one, status, all_outputs
};

// Where each input and output is in a call, -1 for what is not there.
struct Places {
  int input[all_inputs], output[all_outputs], inputs = 0, outputs = 0;

  explicit Places(const Attributes& attributes) {
    static const char* options[] = {"mask", "transition_offset", "emission_offset",
                                    "prior_covariance"};
    static const char* kinds[] = {"predicted", "predicted", "filtered", "filtered", "factor",
                                  "steps",     "smoothed",  "smoothed", "lag_one"};
    for (int i = 0; i < all_inputs; ++i)
      input[i] = i < mask || attributes.flag(options[i - mask]) ? inputs++ : -1;
    for (int i = 0; i < all_outputs; ++i)
      output[i] = i == status || attributes.flag(kinds[i]) ? outputs++ : -1;
  }
  bool gives(Output i) const { return output[i] >= 0; }
};

int inputs(const Attributes& attributes) { return Places(attributes).inputs; }
int outputs(const Attributes& attributes) { return Places(attributes).outputs; }

// How many predictions are given, of T or, with the state after the last step, T + 1: the last ones,
// or all.
int64_t predictions(const Attributes& attributes, int64_t times) {
  const int64_t last = attributes.integer("last", 0),
                every = times + attributes.flag("following");
  return last > 0 && last < every ? last : every;
}

void shapes(const Attributes& attributes, const Shape* input, Shape* output) {
  const Places places(attributes);
  const Shape& y = input[observed];
  if (y.axes != 3 || input[prior_mean].axes != 2) fail("kalman_moments takes y of (B, T, p)");
  const int64_t batch = y[0], times = y[1], d = input[prior_mean][1];
  for (int i = 0; i < all_outputs; ++i) {
    if (places.output[i] < 0) continue;
    int64_t count = times;
    if (i <= predicted_covariance) count = predictions(attributes, times);
    if (i == lag_one) count = times > 0 ? times - 1 : 0;
    Shape& shape = output[places.output[i]];
    if (i == status) {
      shape = Shape::of(batch);
    } else if (i == step_likelihood) {
      shape = Shape::of(batch, count);
    } else if (i == predicted_mean || i == filtered_mean || i == smoothed_mean) {
      shape = Shape::of(batch, count, d);
    } else {
      shape = Shape::of(batch, count, d, d);
    }
  }
}

bool is_prior(int input) {
  return input == prior_mean || input == prior_factor || input == prior_covariance;
}
bool is_vector(int input) {
  return input == observed || input == prior_mean ||
         (input >= mask && input != prior_covariance);
}

template <class T>
struct Problem {
  Places places;
  int64_t batch, times, states, observations, prior_columns, first;
  Strided<const T> array[all_inputs];
  bool given[all_inputs];
  SystemArrays<T> system;
  // Whether the state after the last step is asked for, what is filtered, what is smoothed.
  bool follows, filters, smooths;
  // Whether H Q Hᵀ + R is to be regular from the second step on.
  bool regular;

  Problem(const Attributes& attributes, const Array* input)
      : places(attributes), regular(attributes.flag("regular")) {
    for (int i = 0; i < all_inputs; ++i) {
      given[i] = places.input[i] >= 0;
      if (given[i])
        array[i] = strided<const T>(input[places.input[i]], !is_prior(i), !is_vector(i));
    }
    const Shape& y = input[0].shape;
    batch = y[0], times = y[1], observations = y[2];
    follows = places.gives(predicted_mean) && attributes.flag("following");
    first = times + follows - predictions(attributes, times);
    states = array[prior_mean].rows;
    prior_columns = array[prior_factor].columns;
    system = {array[transition],         array[emission], array[process_factor],
              array[observation_factor], array[mask],     given[mask]};
    filters = places.gives(filtered_covariance) || places.gives(filtered_factor);
    smooths = places.gives(smoothed_mean) || places.gives(lag_one);
    const auto& [A, H, G, D, seen, masked] = system;
    const auto& covariance = array[prior_covariance];
    const bool fits = A.rows == states && A.columns == states && H.rows == observations &&
                      H.columns == states && G.rows == states && D.rows == observations &&
                      array[prior_factor].rows == states &&
                      (!masked || seen.rows == observations) &&
                      (!given[transition_offset] || array[transition_offset].rows == states) &&
                      (!given[emission_offset] || array[emission_offset].rows == observations) &&
                      (!given[prior_covariance] ||
                       (covariance.rows == states && covariance.columns == states));
    if (!fits) fail("kalman_moments: the shapes of the arrays do not fit together");
    for (int i = 0; i < all_inputs; ++i) {
      if (!given[i]) continue;
      const Shape& shape = input[places.input[i]].shape;
      if ((shape[0] != batch && shape[0] != 1) || (array[i].time && shape[1] != times))
        fail("kalman_moments: B or T of the arrays do not fit together");
    }
  }
};

// What an output, or its gradient, has for a group of batch elements.
template <class E>
struct Flow {
  typedef typename Element<E>::T T;
  T* data = nullptr;
  int64_t batch = 0, time = 0;
  int count = 0;

  Flow() = default;
  Flow(const Array* arrays, int place, int64_t first, int count) : count(count) {
    if (place < 0) return;
    const Array& array = arrays[place];
    batch = array.shape.product(1, array.shape.axes);
    time = array.shape.product(2, array.shape.axes);
    data = array.as<T>() + first * batch;
  }
  explicit operator bool() const { return data != nullptr; }
  GL_INLINE E get(int64_t t, int64_t i) const {
    if constexpr (is_batch<E>)
      return load(data + t * time + i, batch, count);
    else
      return data[t * time + i];
  }
  GL_INLINE void set(int64_t t, int64_t i, const E& x) const {
    for (int k = 0; k < count; ++k) data[k * batch + t * time + i] = lane(x, k);
  }
  void set_matrix(int64_t t, const E* x, int64_t rows, int64_t columns, int64_t across) const {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) set(t, i * columns + j, x[i * across + j]);
  }
  void get_matrix(int64_t t, E* x, int64_t rows, int64_t columns, int64_t across) const {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) x[i * across + j] = get(t, i * columns + j);
  }
  // NaN for the elements where poison is.
  void spoil(const E& poison, int64_t size) const {
    for (int k = 0; k < count; ++k)
      if (lane(poison, k) != 0)
        for (int64_t i = 0; i < size; ++i) data[k * batch + i] = T(__builtin_nan(""));
  }
};

// What forward leaves for backward of a group of batch elements: whether they failed, then a slot
// for each time.
template <class E>
struct Layout {
  Sizes<E> s;
  int64_t times, ad, ap, an, ac;
  // In a slot: a; P; Kᵀ; F⁻½; e; Φ P; the filtered covariance, where it is asked for.
  int64_t mean = 0, covariance, gain, inverse, innovation, carried, filtered, slot, header;

  template <class T>
  explicit Layout(const Problem<T>& problem)
      : s{problem.states, problem.observations, problem.array[observation_factor].columns,
          problem.array[process_factor].columns},
        times(problem.times) {
    const int64_t d = s.d(), p = s.p();
    ad = s.across(d), ap = s.across(p), an = s.across(s.n()), ac = s.across(s.c());
    covariance = ad;
    gain = covariance + d * ad;
    inverse = gain + p * ad;
    innovation = inverse + p * ap;
    carried = innovation + ap;
    filtered = carried + d * ad;
    slot = filtered + (problem.filters || problem.places.gives(filtered_mean) ? d * ad : 0);
    header = Element<E>::block;
  }
  int64_t kept() const { return header + times * slot; }
  E* at(E* memory, int64_t t) const { return memory + header + t * slot; }
};

// The arrays of the last step where what it leads to is asked for: NaN and infinity count as 0.
template <class E>
void hide_infinite(const Layout<E>& layout, const StepArrays<E>& arrays) {
  const int64_t p = layout.s.p(), n = layout.s.n();
  const auto hide = [&](E* rows, int64_t count) {
    for (int64_t j = 0; j < count; ++j)
      for (int64_t i = p; i < n; ++i) {
        E& x = rows[j * layout.an + i];
        x = x * 0 == 0 ? x : E{};
      }
  };
  hide(arrays.matrixT, layout.s.d());
  hide(arrays.noiseT, layout.s.q + layout.s.r);
}

template <class E>
void load_arrays(const Problem<typename Element<E>::T>& problem, const Layout<E>& layout, int64_t b,
                 int64_t t, int count, bool again, const StepArrays<E>& arrays) {
  const bool is_last = t == problem.times - 1;
  if (!again && !problem.system.varies() && !is_last) return;
  load_step<E>(layout.s, problem.system, b, t, count, E{} + 1, is_last && !problem.follows,
               arrays);
  if (is_last && problem.follows) hide_infinite(layout, arrays);
}

// The number at (b, t) of an offset, 0 without one.
template <class E>
GL_INLINE E offset_of(const Problem<typename Element<E>::T>& problem, Input which, int64_t b,
                      int64_t t, int64_t i, int count) {
  if (!problem.given[which]) return E{};
  const E x = fetched<E>(problem.array[which], b, t, i, count);
  if (which != transition_offset || t < problem.times - 1) return x;
  return x * 0 == 0 ? x : E{};
}

template <class E>
struct Outputs {
  Flow<E> of[all_outputs];

  Outputs(const Places& places, const Array* arrays, int64_t first, int count) {
    for (int i = 0; i < all_outputs; ++i) of[i] = Flow<E>(arrays, places.output[i], first, count);
  }
};

// The filter, and the smoother after it, for a group of batch elements.
template <class E>
void run_group(const Problem<typename Element<E>::T>& problem, const Layout<E>& layout, int64_t b,
               int count, const Outputs<E>& out, E* record) {
  typedef typename Element<E>::T T;
  const auto& s = layout.s;
  const int64_t d = s.d(), p = s.p(), n = s.n(), c = s.c(), q = s.q, ad = layout.ad,
                ap = layout.ap, an = layout.an, ac = layout.ac, times_ = problem.times,
                prior = problem.prior_columns;
  // What the smoother needs of each time: Sᵀ, [Ω; Θ], ΨᵀΨ.
  const int64_t path = d * ad + n * ad + d * ad;
  const bool smooths = problem.smooths;
  const int64_t paths = (smooths ? times_ + 1 : 2) * path;
  Memory<E> memory(paths + StepArrays<E>::size(s) +
                   (2 * c + n + 3) * an + n * ac + (prior + c + 3 * d + p + 9) * ad +
                   padded<E>(d * prior) + 4 * ap + n * padded<E>(c) + s.r * an, paths);
  const auto path_at = [&](int64_t t) { return memory.scratch.template as<E>() +
                                               (smooths ? t : t % 2) * path; };
  memory.take(paths);
  const StepArrays<E> arrays(s, memory.take(StepArrays<E>::size(s)));
  E *arrayT = memory.take(c * an), *seenT = memory.take(c * an), *triangleT = memory.take(n * an),
    *lengths = memory.take(an), *moved = memory.take(an), *pivots = memory.take(an),
    *u = memory.take(n * ac), *priorT = memory.take(prior * ad), *rest = memory.take(c * ad),
    *x = memory.take(d * ad), *y = memory.take(d * ad), *factorT = memory.take(d * ad),
    *barT = memory.take(p * ad), *mean = memory.take(ad), *removed = memory.take(ad),
    *rho = memory.take(ad), *rho_before = memory.take(ad), *along = memory.take(ad),
    *row = memory.take(padded<E>(d * prior)), *residual = memory.take(ap),
    *other = memory.take(n * padded<E>(c)), *process = memory.take(s.r * an);

  for (int64_t k = 0; k < d; ++k)
    for (int64_t j = 0; j < prior; ++j)
      priorT[j * ad + k] = fetched<E>(problem.array[prior_factor], b, 0, k * prior + j, count);
  lower_factor<E>(d, prior, priorT, row, path_at(0));
  for (int64_t k = 0; k < d; ++k) mean[k] = fetched<E>(problem.array[prior_mean], b, 0, k, count);

  const T roundoff = sizeof(T) == 8 ? T(0x1p-53) : T(0x1p-24);
  const T bound = T(singular) * roundoff * T(singular) * roundoff;
  E poison{};
  for (int64_t t = 0; t <= times_; ++t) {
    E* now = path_at(t);
    if (out.of[predicted_mean] && t >= problem.first && t < times_ + problem.follows) {
      const int64_t at = t - problem.first;
      times(turned(now, ad), now, x, d, d, ad);
      for (int64_t i = 0; i < d; ++i) out.of[predicted_mean].set(at, i, mean[i]);
      out.of[predicted_covariance].set_matrix(at, x, d, d, ad);
    }
    if (t == times_) break;
    const bool is_last = t == times_ - 1 && !problem.follows;
    E *slot = layout.at(record, t), *next = path_at(t + 1);
    load_arrays<E>(problem, layout, b, t, count, t == 0, arrays);
    if (problem.regular) {
      if (t > 0) {
        product<set, E>(s.r, d, an, {process + p, an, 1}, arrays.matrixT, an, arrayT, an);
        copy(q * an, arrays.noiseT, arrayT + s.r * an);
        clear(an, lengths);
        for (int64_t j = 0; j < s.r + q; ++j) add_squares(an, arrayT + j * an, lengths);
        triangularize<E>(p, p, s.r + q, s.r + q, an, arrayT, arrays.hidden, triangleT, s.r + q,
                         other);
        for (int64_t i = 0; i < p; ++i) {
          const E pivot = triangleT[i * an + i];
          poison = pivot * pivot > lengths[i] * bound || arrays.hidden[i] > 0
                       ? poison
                       : E{} + T(__builtin_nan(""));
        }
      }
      copy(s.r * an, arrays.noiseT + q * an, process);
    }
    copy(ad, mean, slot + layout.mean);
    times(turned(now, ad), now, slot + layout.covariance, d, d, ad);
    array_step(s, now, arrays, is_last, arrayT, StepResults<E>{triangleT, u, next, lengths});

    // F⁻½ and the gain.
    E *inverse = slot + layout.inverse, *gain = slot + layout.gain,
      *innovation = slot + layout.innovation;
    clear(p * ap, inverse);
    for (int64_t j = 0; j < p; ++j) {
      inverse[j * ap + j] = 1 / triangleT[j * an + j];
      for (int64_t i = j + 1; i < p; ++i) {
        E sum{};
        for (int64_t l = j; l < i; ++l) sum -= triangleT[l * an + i] * inverse[l * ap + j];
        inverse[i * ap + j] = sum / triangleT[i * an + i];
      }
    }
    for (int64_t l = 0; l < p; ++l)
      for (int64_t k = 0; k < d; ++k)
        barT[l * ad + k] = is_last ? E{} : triangleT[l * an + p + k];
    times(turned(inverse, ap), barT, gain, p, p, ad);

    // Every observation has to have a variance of its own.
    for (int64_t i = 0; i < p; ++i) {
      E own{}, scale{};
      for (int64_t l = 0; l <= i; ++l) own += triangleT[l * an + i] * triangleT[l * an + i];
      for (int64_t k = 0; k < d; ++k) {
        const E h = arrays.matrixT[k * an + i];
        scale += h * h * (slot[layout.covariance + k * ad + k] + removed[k]);
      }
      const E pivot = triangleT[i * an + i];
      pivots[i] = pivot;
      poison = pivot * pivot > (own + scale) * bound ? poison : E{} + T(__builtin_nan(""));
    }
    clear(ad, removed);
    for (int64_t l = 0; l < p; ++l) add_squares(ad, barT + l * ad, removed);

    // The innovation and the next mean.
    clear(an, moved);
    add_rows(mean, arrays.matrixT, d, an, moved);
    for (int64_t i = 0; i < p; ++i) {
      const E given = fetched<E>(problem.array[observed], b, t, i, count) -
                      offset_of<E>(problem, emission_offset, b, t, i, count) - moved[i];
      residual[i] = arrays.shown[i] > 0 ? given : E{};
      const E seen = arrays.shown[i];
      poison = seen == T(0) || seen == T(1) ? poison : E{} + T(__builtin_nan(""));
    }
    E square{}, logarithms{};
    for (int64_t i = 0; i < p; ++i) {
      E sum{};
      for (int64_t l = 0; l <= i; ++l) sum += inverse[i * ap + l] * residual[l];
      innovation[i] = sum;
      square += sum * sum;
    }
    poison += square * 0;
    if (out.of[step_likelihood]) {
      for (int64_t i = 0; i < p; ++i)
        logarithms += arrays.shown[i] * (logarithm(pivots[i]) + T(half_log_two_pi));
      out.of[step_likelihood].set(t, 0, -logarithms - T(0.5) * square);
    }

    // Filtered moments, from the LQ of [H S  D; S  0].
    if (out.of[filtered_mean]) {
      clear(ad, along);
      for (int64_t i = 0; i < p; ++i)
        for (int64_t k = 0; k < d; ++k) along[k] += innovation[i] * u[i * ac + k];
      copy(ad, mean, rho);
      add_rows(along, now, d, ad, rho);
      for (int64_t k = 0; k < d; ++k) out.of[filtered_mean].set(t, k, rho[k]);
    }
    if (problem.filters) {
      for (int64_t j = 0; j < d; ++j) {
        E* column = seenT + j * an;
        clear(an, column);
        for (int64_t l = j; l < d; ++l)
          add_multiple(an, now[j * ad + l], arrays.matrixT + l * an, column);
        for (int64_t k = 0; k < d; ++k) column[p + k] = now[j * ad + k];
      }
      copy(q * an, arrays.noiseT, seenT + d * an);
      triangularize<E>(n, p, d + q, d + q, an, seenT, arrays.hidden, triangleT, d + q, other);
      for (int64_t i = 0; i < d; ++i)
        for (int64_t k = 0; k < d; ++k)
          factorT[i * ad + k] = k < i ? E{} : triangleT[(p + i) * an + p + k];
      E* covariance = slot + layout.filtered;
      times(turned(factorT, ad), factorT, covariance, d, d, ad);
      if (out.of[filtered_covariance])
        out.of[filtered_covariance].set_matrix(t, covariance, d, d, ad);
      if (out.of[filtered_factor]) {
        transpose(factorT, d, d, ad, x, ad);
        out.of[filtered_factor].set_matrix(t, x, d, d, ad);
      }
    }

    // The smoother's coordinates, and Φ P = S⁺ Θ Sᵀ.
    E *head = now + d * ad, *gram = head + n * ad;
    first_columns<E>(is_last ? p : n, c, d, ac, u, head, rest);
    if (smooths) times(turned(rest, ad), rest, gram, d, c, ad);
    clear(d * ad, slot + layout.carried);
    if (is_last) continue;
    times(as_is(head + p * ad, ad), now, x, d, d, ad);
    times(turned(next, ad), x, slot + layout.carried, d, d, ad);
    for (int64_t k = 0; k < d; ++k)
      mean[k] = moved[p + k] + offset_of<E>(problem, transition_offset, b, t, k, count);
    add_rows(residual, gain, p, ad, mean);
    if (t == times_ - 1) continue;
    for (int64_t k = 0; k < d; ++k) poison += mean[k] * 0;
    for (int64_t k = 0; k < d * ad; ++k) y[k] = next[k] * 0;
    for (int64_t j = 0; j < d; ++j)
      for (int64_t k = 0; k < d; ++k) poison += y[j * ad + k];
  }

  if (smooths) {
    E *spread = y, *half = factorT;
    clear(d * ad, spread);
    for (int64_t k = 0; k < d; ++k) spread[k * ad + k] += 1;
    clear(ad, rho);
    for (int64_t t = times_ - 1; t >= 0; --t) {
      const bool is_last = t == times_ - 1 && !problem.follows;
      const E *now = path_at(t), *head = now + d * ad, *gram = head + n * ad,
              *slot = layout.at(record, t);
      clear(ad, rho_before);
      add_rows(slot + layout.innovation, head, p, ad, rho_before);
      if (is_last) {
        copy(d * ad, gram, spread);
      } else {
        const E* theta = head + p * ad;
        add_rows(rho, theta, d, ad, rho_before);
        times(as_is(spread, ad), theta, half, d, d, ad);
        if (out.of[lag_one] && t < times_ - 1) {
          E* crossed = rest;
          times(as_is(half, ad), now, x, d, d, ad);
          times(turned(path_at(t + 1), ad), x, crossed, d, d, ad);
          out.of[lag_one].set_matrix(t, crossed, d, d, ad);
        }
        times(turned(theta, ad), half, spread, d, d, ad);
        for (int64_t k = 0; k < d * ad; ++k) spread[k] += gram[k];
      }
      copy(ad, rho_before, rho);
      if (!out.of[smoothed_mean]) continue;
      copy(ad, slot + layout.mean, along);
      add_rows(rho, now, d, ad, along);
      for (int64_t k = 0; k < d; ++k) out.of[smoothed_mean].set(t, k, along[k]);
      times(as_is(spread, ad), now, half, d, d, ad);
      times(turned(now, ad), half, x, d, d, ad);
      symmetrize(x, d, ad);
      out.of[smoothed_covariance].set_matrix(t, x, d, d, ad);
    }
  }
  record[0] = poison;
  out.of[status].set(0, 0, poison == 0 ? E{} : E{} + 1);
  const E failed = poison == 0 ? E{} : E{} + 1;
  if (any(failed != T(0)))
    for (int i = 0; i < status; ++i)
      if (out.of[i]) out.of[i].spoil(failed, out.of[i].batch);
}

// What backward works with at one time: the arrays of the model and what follows from the record.
template <class E>
struct Now {
  E *H, *A, *closed;  // (p, ad), (d, ad) and Φ
  E *weighted;        // F⁻¹ H, (p, ad)
  E *z;               // F⁻¹ v, (ap)
};

template <class E>
struct Adjoint {
  typedef typename Element<E>::T T;
  const Problem<T>& problem;
  const Layout<E>& layout;
  const Outputs<E>& given;  // the gradients of the outputs
  const Writer<E>* to;  // those of the inputs
  int64_t b;
  int count;
  E* record;
  const Sizes<E>& s;
  int64_t d, p, q, r, ad, ap, an, steps, slot;
  Memory<E> memory;
  E* path;
  StepArrays<E> arrays;
  Now<E> now;
  E *x, *y;  // (d, ad)
  E* spare;  // more than that and than (p, ap)
  E *wide, *tall;  // (p, ad), (d, ap)
  // What the smoother's part leaves at each time: in a and P, in A, in H, in K F⁻¹, in F and v; in
  // place of the second stand r and N until then.
  int64_t left_mean, left_covariance, left_transition, left_emission, left_gain, left_innovation,
      left_residual, force;

  static int64_t path_size(const Layout<E>& layout) {
    const int64_t d = layout.s.d(), p = layout.s.p();
    return 2 * layout.ad + 2 * d * layout.ad + p * layout.ad + d * layout.ap + p * layout.ap +
           layout.ap;
  }
  static int64_t paths(const Problem<T>& problem, const Layout<E>& layout) {
    return (problem.smooths ? layout.times + 1 : 0) * path_size(layout);
  }
  static int64_t size(const Problem<T>& problem, const Layout<E>& layout) {
    const int64_t d = layout.s.d(), p = layout.s.p(),
                  across_r = padded<E>(layout.s.r), across_q = padded<E>(layout.s.q);
    return paths(problem, layout) +
           StepArrays<E>::size(layout.s) + (d + p) * (layout.ad + layout.ap) + (14 * d + 8 * p + 12) * layout.ad +
           (4 * p + 4 * d + 6) * layout.ap + 2 * layout.an + 2 * d * across_r + 2 * p * across_q +
           problem.prior_columns * 2 * layout.ad + 2 * d * padded<E>(problem.prior_columns);
  }

  Adjoint(const Problem<T>& problem, const Layout<E>& layout, const Outputs<E>& given,
          const Writer<E>* to, int64_t b, int count, E* record)
      : problem(problem), layout(layout), given(given), to(to), b(b), count(count), record(record),
        s(layout.s), d(s.d()), p(s.p()), q(s.q), r(s.r), ad(layout.ad), ap(layout.ap),
        an(layout.an), steps(layout.times), slot(path_size(layout)),
        memory(size(problem, layout), paths(problem, layout)),
        path(memory.take(paths(problem, layout))), arrays(layout.s, memory.take(StepArrays<E>::size(layout.s))) {
    now = {memory.take(p * ad), memory.take(d * ad), memory.take(d * ad), memory.take(p * ad),
           memory.take(ap)};
    x = memory.take(d * ad), y = memory.take(d * ad), spare = memory.take((d + p) * (ad + ap));
    wide = memory.take(p * ad), tall = memory.take(d * ap);
    left_mean = 0, left_covariance = ad, left_transition = left_covariance + d * ad;
    left_emission = left_transition + d * ad, left_gain = left_emission + p * ad;
    left_innovation = left_gain + d * ap, left_residual = left_innovation + p * ap;
    force = left_residual + ap;
  }

  const E* kept(int64_t t) const { return layout.at(record, t); }

  void load(int64_t t) {
    load_arrays<E>(problem, layout, b, t, count, t == 0 || t >= steps - 2, arrays);
    const E *kept_ = kept(t), *inverse = kept_ + layout.inverse;
    for (int64_t k = 0; k < d; ++k) {
      const E* row = arrays.matrixT + k * an;
      for (int64_t i = 0; i < p; ++i) now.H[i * ad + k] = row[i];
      for (int64_t i = 0; i < d; ++i) now.A[i * ad + k] = row[p + i];
    }
    copy(d * ad, now.A, now.closed);
    times(turned(kept_ + layout.gain, ad), now.H, now.closed, d, p, ad, subtract);
    times(as_is(inverse, ap), now.H, wide, p, p, ad);
    times(turned(inverse, ap), wide, now.weighted, p, p, ad);
    clear(ap, now.z);
    add_rows(kept_ + layout.innovation, inverse, p, ap, now.z);
  }

  // r and N of all times, back in time.
  void forces() {
    E* last = path + steps * slot;
    clear(slot, last);
    for (int64_t t = steps - 1; t >= 0; --t) {
      load(t);
      const E *kept_ = kept(t), *gain = kept_ + layout.gain;
      const E *after = path + (t + 1) * slot + force, *N = path + (t + 1) * slot + left_covariance;
      E *before = path + t * slot + force, *into = path + t * slot + left_covariance;
      copy(ap, now.z, tall);
      for (int64_t i = 0; i < p; ++i) tall[i] -= dot(ad, gain + i * ad, after);
      clear(ad, before);
      add_rows(tall, now.H, p, ad, before);
      add_rows(after, now.A, d, ad, before);
      times(as_is(N, ad), now.closed, x, d, d, ad);
      times(turned(now.closed, ad), x, into, d, d, ad);
      times(turned(now.H, ad), now.weighted, into, d, p, ad, add);
      symmetrize(into, d, ad);
    }
  }

  // The gradients in r and N, forward in time; leaves what is to be taken back.
  void smoothing() {
    E *force_bar = memory.take(ad), *N_bar = memory.take(d * ad), *lag_bar = memory.take(d * ad),
      *later = memory.take(d * ad), *closed_bar = memory.take(d * ad), *u = memory.take(ap),
      *u_bar = memory.take(an), *smooth = memory.take(d * ad), *turn = memory.take(ap),
      *moved = memory.take(ad), *mean_bar = memory.take(ad);
    for (int64_t t = 0; t < steps; ++t) {
      load(t);
      E* left = path + t * slot;
      const E *kept_ = kept(t), *P = kept_ + layout.covariance, *gain = kept_ + layout.gain,
              *inverse = kept_ + layout.inverse, *N = left + left_covariance,
              *next_N = left + slot + left_covariance, *before = left + force,
              *after = left + slot + force;
      clear(d * ad, smooth);
      // x̂ = a + P r⁻ and P - P N⁻ P.
      clear(ad, mean_bar);
      if (given.of[smoothed_mean]) {
        for (int64_t k = 0; k < d; ++k) mean_bar[k] = given.of[smoothed_mean].get(t, k);
        add_rows(mean_bar, P, d, ad, force_bar);
        clear(d * ad, x);
        add_outer(mean_bar, before, d, ad, x);
        add_symmetric(x, d, ad, 0.5, smooth);
        given.of[smoothed_covariance].get_matrix(t, x, d, d, ad);
        symmetrize(x, d, ad);
        times(as_is(x, ad), P, y, d, d, ad);
        for (int64_t k = 0; k < d * ad; ++k) smooth[k] += x[k];
        times(as_is(y, ad), N, x, d, d, ad);
        add_symmetric(x, d, ad, -1.0, smooth);
        times(as_is(P, ad), y, N_bar, d, d, ad, subtract);
      }
      for (int64_t k = 0; k < d * ad; ++k) smooth[k] += later[k];
      clear(d * ad, later);
      clear(d * ad, closed_bar);
      clear(d * ad, lag_bar);  // here: what (I - P⁺ N) Φ P leaves in N
      if (given.of[lag_one] && t < steps - 1) {
        const E *Z = kept_ + layout.carried, *next_P = kept(t + 1) + layout.covariance;
        E* L = spare;
        given.of[lag_one].get_matrix(t, L, d, d, ad);
        times(as_is(next_P, ad), L, x, d, d, ad);
        // -P⁺ L̄ Zᵀ
        transpose(Z, d, d, ad, y, ad);
        times(as_is(x, ad), y, closed_bar, d, d, ad);
        add_symmetric(closed_bar, d, ad, -0.5, lag_bar);
        // -L̄ (N Z)ᵀ
        times(as_is(next_N, ad), Z, closed_bar, d, d, ad);
        transpose(closed_bar, d, d, ad, y, ad);
        times(as_is(L, ad), y, closed_bar, d, d, ad);
        add_symmetric(closed_bar, d, ad, -0.5, later);
        // (I - N P⁺) L̄
        times(as_is(next_N, ad), x, L, d, d, ad, subtract);
        times(as_is(L, ad), P, closed_bar, d, d, ad);
        times(turned(now.closed, ad), L, x, d, d, ad);
        add_symmetric(x, d, ad, 0.5, smooth);
      }
      // Through the step.
      clear(ap, u);
      copy(ap, now.z, u);
      for (int64_t i = 0; i < p; ++i) u[i] -= dot(ad, gain + i * ad, after);
      clear(an, u_bar);
      add_rows(force_bar, arrays.matrixT, d, an, u_bar);
      clear(d * ad + p * ad, left + left_transition);
      add_outer(after, force_bar, d, ad, left + left_transition);
      add_outer(u, force_bar, p, ad, left + left_emission);
      times(as_is(next_N, ad), now.closed, x, d, d, ad);
      times(as_is(x, ad), N_bar, y, d, d, ad);
      for (int64_t k = 0; k < d * ad; ++k) closed_bar[k] += y[k] + y[k];
      for (int64_t k = 0; k < d * ad; ++k) left[left_transition + k] += closed_bar[k];
      times(as_is(now.weighted, ad), N_bar, wide, p, d, ad);
      for (int64_t k = 0; k < p * ad; ++k) left[left_emission + k] += wide[k] + wide[k];
      times(as_is(gain, ad), closed_bar, left + left_emission, p, d, ad, subtract);
      // F: -½ (v̄ zᵀ + z v̄ᵀ) - F⁻¹ H N̄ Hᵀ F⁻¹, v̄ = F⁻¹ ū.
      E* residual_bar = left + left_residual;
      clear(ap, turn);
      for (int64_t i = 0; i < p; ++i)
        for (int64_t l = 0; l <= i; ++l) turn[i] += inverse[i * ap + l] * u_bar[l];
      clear(ap, residual_bar);
      add_rows(turn, inverse, p, ap, residual_bar);
      E* F_bar = left + left_innovation;
      transpose(now.weighted, p, d, ad, tall, ap);
      times(as_is(wide, ad), tall, F_bar, p, d, ap);
      for (int64_t i = 0; i < p; ++i)
        for (int64_t l = 0; l < p; ++l)
          F_bar[i * ap + l] = -F_bar[i * ap + l] - T(0.5) * (residual_bar[i] * now.z[l] +
                                                             now.z[i] * residual_bar[l]);
      // W = K̄ F⁻¹ = -(r ūᵀ + Φ̄ Hᵀ) F⁻¹.
      E* gain_bar = left + left_gain;
      transpose(now.weighted, p, d, ad, tall, ap);
      times(as_is(closed_bar, ad), tall, gain_bar, d, d, ap);
      for (int64_t i = 0; i < d; ++i)
        for (int64_t l = 0; l < p; ++l)
          gain_bar[i * ap + l] = -gain_bar[i * ap + l] - after[i] * residual_bar[l];
      // r̄ and N̄ of the next time.
      clear(ad, moved);
      for (int64_t k = 0; k < d; ++k) moved[k] = u_bar[p + k];
      for (int64_t i = 0; i < p; ++i) add_multiple(ad, -u_bar[i], gain + i * ad, moved);
      copy(ad, moved, force_bar);
      transpose(now.closed, d, d, ad, spare, ad);
      times(as_is(now.closed, ad), N_bar, x, d, d, ad);
      times(as_is(x, ad), spare, N_bar, d, d, ad);
      for (int64_t k = 0; k < d * ad; ++k) N_bar[k] += lag_bar[k];
      symmetrize(N_bar, d, ad);
      copy(ad, mean_bar, left + left_mean);
      copy(d * ad, smooth, left + left_covariance);
    }
  }

  // What P' = Φ P Φᵀ + K R Kᵀ + .. and a' = Φ a + K (..) leave in the arrays, Γ and W given: Φ, K,
  // Φ P of the next prediction or of filtering. X = 2 Γ Φ P + W H P goes into A, where there is one.
  void through(const E* closed, const E* gain, const E* carried, const E* gamma, const E* W,
               const E* seen, E* A_bar, E* H_bar, E* R_bar, E* P_bar) {
    times(as_is(gamma, ad), carried, x, d, d, ad);
    for (int64_t k = 0; k < d * ad; ++k) x[k] += x[k];
    times(as_is(W, ap), seen, x, d, p, ad, add);
    if (A_bar)
      for (int64_t k = 0; k < d * ad; ++k) A_bar[k] += x[k];
    times(as_is(gain, ad), x, H_bar, p, d, ad, subtract);
    times(turned(W, ap), carried, H_bar, p, d, ad, add);
    // Kᵀ Γ K - ½ (Kᵀ W + Wᵀ K)
    times(as_is(gain, ad), gamma, wide, p, d, ad);
    transpose(gain, p, d, ad, tall, ap);
    E* square = spare;
    times(as_is(wide, ad), tall, square, p, d, ap);
    for (int64_t k = 0; k < p * ap; ++k) R_bar[k] += square[k];
    times(as_is(gain, ad), W, square, p, d, ap);
    add_symmetric(square, p, ap, -0.5, R_bar);
    // Φᵀ Γ Φ + ½ (Φᵀ W H + ..)
    times(as_is(gamma, ad), closed, x, d, d, ad);
    times(turned(closed, ad), x, y, d, d, ad);
    for (int64_t k = 0; k < d * ad; ++k) P_bar[k] += y[k];
    times(as_is(W, ap), now.H, x, d, p, ad);
    times(turned(closed, ad), x, y, d, d, ad);
    add_symmetric(y, d, ad, 0.5, P_bar);
  }

  void give(Input which, int64_t t, const E* matrix, int64_t rows, int64_t columns, int64_t across,
            double factor, const E* shown = nullptr) const {
    if (!to[which]) return;
    const E scale = E{} + T(factor);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        const E value = matrix[i * across + j] * scale + record[0];
        to[which](t, i * columns + j, shown ? (shown[i] > 0 ? value : E{} + record[0]) : value);
      }
  }

  // The gradients in a and P, back in time, and those of the arrays.
  void filtering() {
    const int64_t across_r = padded<E>(r), across_q = padded<E>(q);
    E *mean_bar = memory.take(ad), *gamma = memory.take(d * ad), *seen = memory.take(p * ad),
      *W = memory.take(d * ap), *A_bar = memory.take(d * ad), *H_bar = memory.take(p * ad),
      *F_bar = memory.take(p * ap), *R_bar = memory.take(p * ap), *P_bar = memory.take(d * ad),
      *residual_bar = memory.take(ap), *next_mean = memory.take(ad),
      *filtered_gain = memory.take(p * ad), *filtered_closed = memory.take(d * ad),
      *filtered_bar = memory.take(d * ad), *along = memory.take(ad),
      *G = memory.take(d * across_r), *G_bar = memory.take(d * across_r),
      *D = memory.take(p * across_q), *D_bar = memory.take(p * across_q);
    const auto& means = given.of[predicted_mean];
    const auto& covariances = given.of[predicted_covariance];
    if (means && problem.follows) {
      for (int64_t k = 0; k < d; ++k) mean_bar[k] = means.get(steps - problem.first, k);
      covariances.get_matrix(steps - problem.first, gamma, d, d, ad);
      symmetrize(gamma, d, ad);
    }
    for (int64_t t = steps - 1; t >= 0; --t) {
      load(t);
      const E *kept_ = kept(t), *P = kept_ + layout.covariance, *gain = kept_ + layout.gain,
              *inverse = kept_ + layout.inverse, *a = kept_ + layout.mean;
      const E* left = problem.smooths ? path + t * slot : nullptr;
      times(as_is(now.H, ad), P, seen, p, d, ad);
      if (left) {
        copy(d * ap, left + left_gain, W);
        copy(p * ap, left + left_innovation, F_bar);
        copy(ap, left + left_residual, residual_bar);
        copy(d * ad, left + left_transition, A_bar);
        copy(p * ad, left + left_emission, H_bar);
        copy(d * ad, left + left_covariance, P_bar);
        copy(ad, left + left_mean, next_mean);
      } else {
        clear(d * ap, W);
        clear(p * ap, F_bar);
        clear(ap, residual_bar);
        clear(d * ad, A_bar);
        clear(p * ad, H_bar);
        clear(d * ad, P_bar);
        clear(ad, next_mean);
      }
      clear(p * ap, R_bar);
      give(transition_offset, t, mean_bar, d, 1, 1, 1.0);
      // The next prediction.
      add_outer(mean_bar, now.z, d, ap, W);
      through(now.closed, gain, kept_ + layout.carried, gamma, W, seen, A_bar, H_bar, R_bar, P_bar);
      add_outer(mean_bar, a, d, ad, A_bar);
      for (int64_t i = 0; i < p; ++i) residual_bar[i] += dot(ad, gain + i * ad, mean_bar);
      add_rows(mean_bar, now.A, d, ad, next_mean);
      // Of P' also Q.
      if (to[process_factor]) {
        for (int64_t j = 0; j < r; ++j)
          for (int64_t k = 0; k < d; ++k) G[k * across_r + j] = arrays.noiseT[(q + j) * an + p + k];
        times(as_is(gamma, ad), G, G_bar, d, d, across_r);
        give(process_factor, t, G_bar, d, r, across_r, 2.0);
      }
      give(transition, t, A_bar, d, d, ad, 1.0);
      // The likelihood of the step.
      if (given.of[step_likelihood]) {
        const E weight = given.of[step_likelihood].get(t, 0);
        times(turned(inverse, ap), inverse, spare, p, p, ap);
        for (int64_t i = 0; i < p; ++i) {
          residual_bar[i] -= weight * now.z[i];
          for (int64_t l = 0; l < p; ++l)
            F_bar[i * ap + l] +=
                T(0.5) * weight * (now.z[i] * now.z[l] - spare[i * ap + l]);
        }
      }
      // Filtered moments.
      if (given.of[filtered_mean] || given.of[filtered_covariance]) {
        const E* V = kept_ + layout.filtered;
        times(as_is(inverse, ap), seen, wide, p, p, ad);
        times(turned(inverse, ap), wide, filtered_gain, p, p, ad);
        clear(d * ad, filtered_closed);
        for (int64_t k = 0; k < d; ++k) filtered_closed[k * ad + k] += 1;
        times(turned(filtered_gain, ad), now.H, filtered_closed, d, p, ad, subtract);
        clear(d * ad, filtered_bar);
        clear(ad, along);
        if (given.of[filtered_covariance]) {
          given.of[filtered_covariance].get_matrix(t, filtered_bar, d, d, ad);
          symmetrize(filtered_bar, d, ad);
        }
        for (int64_t k = 0; k < d; ++k) along[k] = given.of[filtered_mean].get(t, k);
        clear(d * ap, W);
        add_outer(along, now.z, d, ap, W);
        through(filtered_closed, filtered_gain, V, filtered_bar, W, seen, nullptr, H_bar, R_bar,
                P_bar);
        for (int64_t i = 0; i < p; ++i)
          residual_bar[i] += dot(ad, filtered_gain + i * ad, along);
        for (int64_t k = 0; k < d; ++k) next_mean[k] += along[k];
      }
      // v = y - d - H a and F = H P Hᵀ + R.
      for (int64_t i = 0; i < p; ++i) {
        add_multiple(ad, -residual_bar[i], now.H + i * ad, next_mean);
        add_multiple(ad, -residual_bar[i], a, H_bar + i * ad);
      }
      times(as_is(F_bar, ap), seen, wide, p, p, ad);
      for (int64_t k = 0; k < p * ad; ++k) H_bar[k] += wide[k] + wide[k];
      times(as_is(F_bar, ap), now.H, wide, p, p, ad);
      times(turned(now.H, ad), wide, P_bar, d, p, ad, add);
      for (int64_t k = 0; k < p * ap; ++k) R_bar[k] += F_bar[k];
      give(emission, t, H_bar, p, d, ad, 1.0, arrays.shown);
      give(observed, t, residual_bar, p, 1, 1, 1.0, arrays.shown);
      give(emission_offset, t, residual_bar, p, 1, 1, -1.0, arrays.shown);
      if (to[observation_factor]) {
        for (int64_t j = 0; j < q; ++j)
          for (int64_t i = 0; i < p; ++i) D[i * across_q + j] = arrays.noiseT[j * an + i];
        times(as_is(R_bar, ap), D, D_bar, p, p, across_q);
        give(observation_factor, t, D_bar, p, q, across_q, 2.0, arrays.shown);
      }
      if (means && t >= problem.first) {
        for (int64_t k = 0; k < d; ++k) next_mean[k] += means.get(t - problem.first, k);
        covariances.get_matrix(t - problem.first, x, d, d, ad);
        add_symmetric(x, d, ad, 0.5, P_bar);
      }
      symmetrize(P_bar, d, ad);
      copy(d * ad, P_bar, gamma);
      copy(ad, next_mean, mean_bar);
    }
    const int64_t columns = problem.prior_columns, across = padded<E>(columns);
    give(prior_mean, 0, mean_bar, d, 1, 1, 1.0);
    give(prior_covariance, 0, gamma, d, d, ad, 1.0);
    E *S = memory.take(d * across), *S_bar = memory.take(d * across);
    for (int64_t k = 0; k < d; ++k)
      for (int64_t j = 0; j < columns; ++j)
        S[k * across + j] = fetched<E>(problem.array[prior_factor], b, 0, k * columns + j, count);
    times(as_is(gamma, ad), S, S_bar, d, d, across);
    give(prior_factor, 0, S_bar, d, columns, across, problem.given[prior_covariance] ? 0.0 : 2.0);
  }
};

// Whether batch elements are better computed in the lanes of registers, or one after another with
// the rows of their matrices in registers, of which short ones keep 2.6 times as long (measured).
template <class T>
bool by_lanes(const Problem<T>& problem) {
  const int64_t width_ = width<T>, batch = problem.batch, d = problem.states;
  const double lanes = double((batch + width_ - 1) / width_);
  const double rows = double(batch) * double((d + width_ - 1) / width_) / double(d) * 2.6;
  return lanes <= rows;
}

template <class T>
double work_of(const Problem<T>& problem) {
  const double d = double(problem.states), n = d + double(problem.observations);
  return double(problem.times) * (n * n * n * 5 + 100);
}

template <class E>
void run(const Call& call, const Problem<typename Element<E>::T>& problem) {
  const Layout<E> layout(problem);
  const int64_t groups = groups_of<E>(problem.batch);
  E* record = static_cast<E*>(call.record->of(sizeof(E) * groups * layout.kept()));
  over_parts<E>(problem.batch, 0.2 * work_of(problem), [&](int64_t, int64_t first, int count) {
    const Outputs<E> out(problem.places, call.output, first, count);
    run_group<E>(problem, layout, first, count, out,
                 record + first / together<E> * layout.kept());
  });
}

template <class E>
void differentiate(const Call& call, const Problem<typename Element<E>::T>& problem) {
  typedef typename Element<E>::T T;
  const Layout<E> layout(problem);
  E* record = static_cast<E*>(call.record->data());
  const int64_t parts = parts_of(groups_of<E>(problem.batch));
  Steps steps[all_inputs];
  Gradient<T> gradient[all_inputs];
  size_t sums = 0;
  int64_t room = 0;
  for (int i = 0; i < all_inputs; ++i) {
    if (!problem.given[i]) continue;
    const Array& array = call.input_gradient[problem.places.input[i]];
    steps[i] = Steps::of(array, is_prior(i) ? -1 : 1, 0, is_vector(i) ? 1 : 2);
    sums += Gradient<T>::room(steps[i], parts);
    room += Writer<E>::room(steps[i]);
  }
  Scratch shared(sums);
  double* free = shared.as<double>();
  for (int i = 0; i < all_inputs; ++i) {
    if (!problem.given[i]) continue;
    gradient[i].begin(steps[i], free, parts);
    free += Gradient<T>::room(steps[i], parts) / sizeof(double);
  }
  over_parts<E>(problem.batch, 0.4 * work_of(problem), [&](int64_t part, int64_t first, int count) {
    const Outputs<E> given(problem.places, call.output_gradient, first, count);
    Memory<E> memory(room);
    Writer<E> to[all_inputs];
    for (int i = 0; i < all_inputs; ++i)
      if (problem.given[i] && i != mask)
        to[i] = Writer<E>(gradient[i], part, first, count,
                          memory.take(Writer<E>::room(steps[i])));
    Adjoint<E> adjoint(problem, layout, given, to, first, count,
                       record + first / together<E> * layout.kept());
    if (problem.smooths) {
      adjoint.forces();
      adjoint.smoothing();
    }
    adjoint.filtering();
    for (auto& writer : to)
      if (writer) writer.end();
  });
  for (int i = 0; i < all_inputs; ++i)
    if (problem.given[i] && i != mask) gradient[i].end();
  if (problem.given[mask]) {
    const Array& array = call.input_gradient[problem.places.input[mask]];
    std::memset(array.data, 0, sizeof(T) * array.shape.elements());
  }
}

void forward(const Call& call) {
  by_type(call.input[0].type, [&](auto zero) {
    typedef decltype(zero) T;
    const Problem<T> problem(call.attributes, call.input);
    if (by_lanes(problem))
      run<Lanes<T>>(call, problem);
    else
      run<T>(call, problem);
  });
}

void backward(const Call& call) {
  by_type(call.input[0].type, [&](auto zero) {
    typedef decltype(zero) T;
    const Problem<T> problem(call.attributes, call.input);
    if (by_lanes(problem))
      differentiate<Lanes<T>>(call, problem);
    else
      differentiate<T>(call, problem);
  });
}

GL_OPERATOR("_gluon_linalg_kalman_moments", inputs, outputs, shapes, forward, backward, true);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
