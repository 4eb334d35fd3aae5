// The door through which MXNet 1.9.1 loads operators: the C interface, version 11, that
// `mxnet/lib_api.h` describes. What MXNet calls function pointers there is handed back as it came
// and never called by it, so here each is the address of an `Operator`.

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "operator.h"

namespace gluon_linalg {
namespace {

constexpr int interface_version = 11;
constexpr int success = 1, failure = 0;

struct Entry {
  std::string level;
  Operator rule;
};

std::vector<Entry>& all_entries() {
  static std::vector<Entry> entries;
  return entries;
}

// The instruction sets from the least to the best.
constexpr const char* levels[] = {"plain", "avx2", "avx512"};

bool takes(const char* level) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!std::strcmp(level, "avx2"))
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (!std::strcmp(level, "avx512"))
    return takes("avx2") && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw");
#endif
  return true;
}

// The best one that was compiled and that the processor takes, up to the one that is asked for.
const char* best_level() {
  const char* wanted = std::getenv("GLUON_LINALG_NATIVE_LEVEL");
  const char* best = "none";
  for (const char* level : levels) {
    for (const auto& entry : all_entries())
      if (entry.level == level && takes(level)) best = level;
    if (wanted && !std::strcmp(wanted, level)) break;
  }
  return best;
}

// The operators of the level that this processor takes; their addresses stay.
std::vector<Operator>& operators() {
  static std::vector<Operator> chosen = [] {
    std::vector<Operator> found;
    const std::string level = best_level();
    for (const auto& entry : all_entries())
      if (entry.level == level) found.push_back(entry.rule);
    std::sort(found.begin(), found.end(), [](const Operator& a, const Operator& b) {
      return std::strcmp(a.name, b.name) < 0;
    });
    return found;
  }();
  return chosen;
}

// What went wrong in the last call of this thread.
thread_local std::string message;

template <class Body>
int guarded(const Body& body) {
  message.clear();
  try {
    body();
    return success;
  } catch (const std::bad_alloc&) {
    message = "out of memory";
  } catch (const std::exception& error) {
    message = error.what();
  }
  return failure;
}

template <class Size>
Shape shape_of(const Size* sizes, int axes) {
  if (axes > Shape::most) fail("an array with %d axes", axes);
  Shape shape;
  shape.axes = std::max(axes, 0);
  for (int i = 0; i < shape.axes; ++i) shape.size[i] = sizes[i];
  return shape;
}

std::vector<Array> arrays_of(void** data, const int64_t** shapes, int* axes, int* types,
                             int count) {
  std::vector<Array> arrays(count);
  for (int i = 0; i < count; ++i) {
    arrays[i].data = data[i];
    arrays[i].type = Type(types[i]);
    arrays[i].shape = shape_of(shapes[i], axes[i]);
  }
  return arrays;
}

// Backward calls get the gradients of the outputs, then the inputs, then the outputs.
void run(const Operator& rule, const Attributes& attributes, bool forward,
         const std::vector<Array>& in, const std::vector<Array>& out, Record* record) {
  if (forward) {
    rule.forward({attributes, int(in.size()), int(out.size()), in.data(), out.data(), nullptr,
                  nullptr, record});
    return;
  }
  if (!rule.backward) fail("%s has no gradient", rule.name);
  const int inputs = int(out.size()), outputs = (int(in.size()) - inputs) / 2;
  rule.backward({attributes, inputs, outputs, in.data() + outputs, in.data() + outputs + inputs,
                 in.data(), out.data(), record});
}

template <class T>
T* allocated(size_t count) {
  return static_cast<T*>(std::calloc(std::max<size_t>(count, 1), sizeof(T)));
}

void hand_over(const std::vector<Shape>& shapes, unsigned*** sizes, int** axes) {
  *axes = allocated<int>(shapes.size());
  *sizes = allocated<unsigned*>(shapes.size());
  for (size_t i = 0; i < shapes.size(); ++i) {
    (*axes)[i] = shapes[i].axes;
    (*sizes)[i] = allocated<unsigned>(shapes[i].axes);
    for (int j = 0; j < shapes[i].axes; ++j) (*sizes)[i][j] = unsigned(shapes[i].size[j]);
  }
}

// What a node keeps between its calls. MXNet looks at the flags, which lie behind the table of
// virtual functions of its own class.
struct State {
  virtual ~State() = default;
  bool ignore_warning = true;
  bool created = true;
  const Operator* rule = nullptr;
  std::vector<std::string> keys, values;
  Record record;

  Attributes attributes() {
    pointers.clear();
    for (auto& key : keys) pointers.push_back(key.c_str());
    for (auto& value : values) pointers.push_back(value.c_str());
    return Attributes(pointers.data(), pointers.data() + keys.size(), int(keys.size()));
  }

 private:
  std::vector<const char*> pointers;
};

}  // namespace

Registration::Registration(const char* level, const Operator& entry) {
  all_entries().push_back({level, entry});
}

}  // namespace gluon_linalg

using namespace gluon_linalg;

extern "C" {

#define DOOR __attribute__((visibility("default")))

DOOR int _opVersion() { return interface_version; }

DOOR int initialize(int version) {
  return guarded([&] {
    if (version < 10900 || version >= 20000) fail("made for MXNet 1.9, not for %d", version);
    if (operators().empty()) fail("compiled for no instruction set that this processor has");
  });
}

// For people: which instruction set is in use.
DOOR const char* gluon_linalg_level() { return best_level(); }

DOOR int _opRegSize() { return int(operators().size()); }

DOOR void _opRegGet(int index, const char** name, int* is_subgraph, const char*** forward_devices,
                    void*** forward, int* forward_count, const char*** backward_devices,
                    void*** backward, int* backward_count, const char*** create_devices,
                    void*** create, int* create_count, void** parse, void** types, void** storage,
                    void** shapes, void** mutated) {
  static const char* devices[] = {"cpu"};
  // A node asks for the direction of a call by which of these it was given.
  static std::vector<void*> handles = [] {
    std::vector<void*> all;
    for (auto& rule : operators()) {
      all.push_back(&rule.forward);
      all.push_back(&rule.backward);
    }
    return all;
  }();
  const Operator& rule = operators()[index];
  void* self = const_cast<Operator*>(&rule);
  *name = rule.name;
  *is_subgraph = 0;
  *parse = *types = *shapes = self;
  *storage = *mutated = nullptr;
  *forward_devices = *backward_devices = *create_devices = devices;
  *forward = &handles[2 * index];
  *backward = *create = &handles[2 * index + 1];
  *forward_count = !rule.keeps;
  *backward_count = !rule.keeps && rule.backward;
  *create_count = rule.keeps;
}

DOOR void _opCallFree(void* pointer) { std::free(pointer); }

DOOR int _opCallParseAttrs(void* self, const char* const* keys, const char* const* values,
                           int count, int* inputs, int* outputs) {
  return guarded([&] {
    const Attributes attributes(keys, values, count);
    *inputs = static_cast<Operator*>(self)->inputs(attributes);
    *outputs = static_cast<Operator*>(self)->outputs(attributes);
  });
}

DOOR int _opCallInferShape(void* self, const char* const* keys, const char* const* values,
                           int count, unsigned** in_sizes, int* in_axes, int inputs,
                           unsigned*** sizes_again, int** axes_again, unsigned*** out_sizes,
                           int** out_axes, int outputs) {
  return guarded([&] {
    std::vector<Shape> in(inputs), out(outputs);
    for (int i = 0; i < inputs; ++i) {
      in[i] = shape_of(in_sizes[i], in_axes[i]);
      if (in_axes[i] < 0) fail("%s: a shape is not known", static_cast<Operator*>(self)->name);
    }
    static_cast<Operator*>(self)->shapes(Attributes(keys, values, count), in.data(), out.data());
    hand_over(in, sizes_again, axes_again);
    hand_over(out, out_sizes, out_axes);
  });
}

DOOR int _opCallInferType(void* self, const char* const*, const char* const*, int, int* in,
                          int inputs, int* out, int outputs) {
  return guarded([&] {
    int type = -1;
    for (int i = 0; i < inputs; ++i)
      if (in[i] >= 0) type = in[i];
    if (type != float32 && type != float64 && type != -1)
      fail("%s takes float32 or float64", static_cast<Operator*>(self)->name);
    for (int i = 0; i < inputs; ++i) {
      if (in[i] >= 0 && in[i] != type)
        fail("%s: arrays of different dtypes", static_cast<Operator*>(self)->name);
      in[i] = type;
    }
    for (int i = 0; i < outputs; ++i) out[i] = type;
  });
}

DOOR int _opCallInferSType(void*, const char* const*, const char* const*, int, int*, int, int*,
                           int) {
  return failure;
}

DOOR int _opCallFCompute(
    void* handle, const char* const* keys, const char* const* values, int count,
    const int64_t** in_shapes, int* in_axes, void** in_data, int* in_types, size_t*, const char**,
    int*, int inputs, const int64_t** out_shapes, int* out_axes, void** out_data, int* out_types,
    size_t*, const char**, int*, int outputs, void*, void*, void*, void*, void*, void*, void*,
    int*, int*, void**, void**, void**, void**, int64_t*, int64_t*, int64_t*, int64_t*, void*,
    void*) {
  return guarded([&] {
    const auto& rules = operators();
    const auto found = std::find_if(rules.begin(), rules.end(), [&](const Operator& rule) {
      return handle == &rule.forward || handle == &rule.backward;
    });
    run(*found, Attributes(keys, values, count), handle == &found->forward,
        arrays_of(in_data, in_shapes, in_axes, in_types, inputs),
        arrays_of(out_data, out_shapes, out_axes, out_types, outputs), nullptr);
  });
}

DOOR int _opCallMutateInputs(void*, const char* const*, const char* const*, int, int**, int*) {
  return failure;
}

DOOR int _opCallCreateOpState(void* handle, const char* const* keys, const char* const* values,
                              int count, const char*, int, unsigned**, int*, int, const int*,
                              void** result) {
  return guarded([&] {
    auto* state = new State;
    for (auto& rule : operators())
      if (handle == &rule.backward) state->rule = &rule;
    state->keys.assign(keys, keys + count);
    state->values.assign(values, values + count);
    *result = state;
  });
}

DOOR void _opCallDestroyOpState(void* state) { delete static_cast<State*>(state); }

DOOR int _opCallFStatefulCompute(
    int is_forward, void* handle, const int64_t** in_shapes, int* in_axes, void** in_data,
    int* in_types, size_t*, const char**, int*, int inputs, const int64_t** out_shapes,
    int* out_axes, void** out_data, int* out_types, size_t*, const char**, int*, int outputs,
    void*, void*, void*, void*, void*, void*, void*, int*, int*, void**, void**, void**, void**,
    int64_t*, int64_t*, int64_t*, int64_t*, void*, void*) {
  return guarded([&] {
    auto* state = static_cast<State*>(handle);
    run(*state->rule, state->attributes(), is_forward != 0,
        arrays_of(in_data, in_shapes, in_axes, in_types, inputs),
        arrays_of(out_data, out_shapes, out_axes, out_types, outputs), &state->record);
  });
}

DOOR int _msgSize() { return message.empty() ? 0 : 1; }

DOOR void _msgGet(int, const char** text) { *text = message.c_str(); }

// The library has no partitioner and no pass of graphs; MXNet asks for these names all the same.
DOOR int _partRegSize() { return 0; }
DOOR int _passRegSize() { return 0; }
DOOR int _partRegGetCount(int, const char**) { return 0; }
DOOR void _partRegGet(int, int, const char**, void**, void**, void**, const char**) {}
DOOR int _partCallSupportedOps() { return failure; }
DOOR int _partCallCreateSelector() { return failure; }
DOOR void _partCallSelect() {}
DOOR void _partCallSelectInput() {}
DOOR void _partCallSelectOutput() {}
DOOR void _partCallFilter() {}
DOOR void _partCallReset() {}
DOOR int _partCallReviewSubgraph() { return failure; }
DOOR void _passRegGet(int, void**, const char**) {}
DOOR int _passCallGraphPass() { return failure; }
}
