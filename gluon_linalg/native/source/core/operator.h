// What an operator is to this library, and how it gets its arrays.
//
// A family of operators is one file beside this folder. It is compiled once for each instruction
// set (`GL_LEVEL` names it), and the door takes those of the best one that the processor has. So
// that no code of one set is shared with another, such a file instantiates no template of the
// standard library: memory comes from `Scratch`, threads from `parallel.h`, errors go to `fail`.
#pragma once

#include <cstddef>
#include <cstdint>

// Code that every file has a copy of, for its own instruction set.
#define GL_INLINE inline __attribute__((always_inline))

namespace gluon_linalg {

// As MXNet numbers them.
enum Type { float32 = 0, float64 = 1 };

struct Shape {
  static constexpr int most = 8;
  int axes = 0;
  int64_t size[most] = {};

  Shape() = default;
  template <class... Sizes>
  static GL_INLINE Shape of(Sizes... sizes) {
    Shape shape;
    ((shape.size[shape.axes++] = sizes), ...);
    return shape;
  }
  // The size of an axis; negative ones count from the last.
  GL_INLINE int64_t operator[](int axis) const { return size[axis < 0 ? axis + axes : axis]; }
  // The product of the sizes of the axes begin, ..., end - 1.
  GL_INLINE int64_t product(int begin, int end) const {
    int64_t total = 1;
    for (int i = begin; i < (end < 0 ? end + axes : end); ++i) total *= size[i];
    return total;
  }
  GL_INLINE int64_t elements() const { return product(0, axes); }
};

struct Array {
  void* data = nullptr;
  Type type = float32;
  Shape shape;

  template <class T>
  GL_INLINE T* as() const {
    return static_cast<T*>(data);
  }
};

// The keywords of a call, as text.
class Attributes {
 public:
  Attributes(const char* const* keys, const char* const* values, int count)
      : keys_(keys), values_(values), count_(count) {}
  // The text of a keyword; `missing` where it is not given.
  const char* text(const char* key, const char* missing) const;
  int64_t integer(const char* key, int64_t missing) const;
  double number(const char* key, double missing) const;
  // Whether a keyword is "True" or 1.
  bool flag(const char* key, bool missing = false) const;

 private:
  const char* const* keys_;
  const char* const* values_;
  int count_;
};

// Memory that a forward call leaves for the backward call of the same node. Zeroed never.
class Record {
 public:
  Record() = default;
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;
  ~Record();
  // At least so many bytes, aligned to 64; what was there before is lost.
  void* of(size_t bytes);
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

struct Call {
  const Attributes& attributes;
  int inputs, outputs;
  const Array* input;
  const Array* output;
  // Only backward: of the outputs, given; of the inputs, to be overwritten. MXNet gives no request:
  // every one is to be written.
  const Array* output_gradient = nullptr;
  const Array* input_gradient = nullptr;
  // Only of operators that keep something.
  Record* record = nullptr;
};

struct Operator {
  const char* name;
  // How many arrays a call with these keywords takes and gives.
  int (*inputs)(const Attributes&);
  int (*outputs)(const Attributes&);
  // The shapes of the outputs. `fail` for inputs that do not fit; all sizes of inputs are known.
  void (*shapes)(const Attributes&, const Shape* input, Shape* output);
  void (*forward)(const Call&);
  // nullptr: the outputs are constants.
  void (*backward)(const Call&);
  // Whether forward leaves a `Record` for backward.
  bool keeps;
};

// Registers operators of one instruction set when the library is loaded.
struct Registration {
  Registration(const char* level, const Operator& entry);
};

// Ends the call with an error, whose text reaches Python. As printf.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// The usual numbers of arrays.
static inline int one(const Attributes&) { return 1; }
static inline int two(const Attributes&) { return 2; }
static inline int three(const Attributes&) { return 3; }

}  // namespace gluon_linalg
