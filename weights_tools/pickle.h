// SPDX-License-Identifier: Apache-2.0
// weights_tools/pickle.h — reads Python pickles as plain data. Nothing in a pickle is ever run: classes and functions
// stay names.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weights_tools/bytes.h"

namespace fovea {

/// One value of a pickle. Texts are views on the pickle's bytes; values refer to each other (also in circles) and live
/// in their Pickle.
struct PickleValue {
  enum class Kind : uint8_t {
    none,
    boolean,
    integer,
    real,
    big_integer,  // more than 64 bits: `text` has its little-endian bytes, in protocol 1 its digits
    text,
    bytes,
    tuple,
    list,
    set,      // items; also frozensets
    dict,     // items: key, value, key, value, ...; also OrderedDict, Counter and defaultdict
    global,   // a class or function: `text` is the module, `name` its name
    object,   // what Python would get by calling items[0] with items[1]; then whatever was put into it
    storage,  // items: storage type, key, location, number of elements[, view]; with plain_ids the id alone
  };
  Kind kind = Kind::none;
  bool ordered = false;    // dict: made by a class that takes state, such as OrderedDict
  uint32_t name_size = 0;  // global: characters of the name
  union {
    int64_t integer = 0;  // and boolean
    double real;
    const char* name_start;  // global
  };
  std::string_view text;
  std::vector<PickleValue*> items;

  std::string_view name() const { return {name_start, name_size}; }
  bool is(Kind k) const { return kind == k; }
  bool is_global(std::string_view module, std::string_view global_name) const;
  /// The value of a text key of a dict; null when absent. The last one counts, as in Python.
  const PickleValue* find(std::string_view key) const;
};
std::string_view name_of(PickleValue::Kind k);
std::string describe(
    const PickleValue& v);  // "the integer 3", "the class torch.FloatStorage", "the result of os.system"

struct PickleOptions {
  uint64_t max_memory = uint64_t{512} << 20;  // bytes of values, beyond the size of what is read
  bool strict = false;                        // refuse classes and functions that a checkpoint of tensors does not need
  bool plain_ids = false;                     // what lies outside of the pickle is told by texts and integers
  std::vector<std::string>* seen = nullptr;   // also receives the globals, and keeps them when reading fails
};

struct Pickle {
  std::deque<PickleValue> values;  // owns them all
  const PickleValue* root = nullptr;
  std::vector<const PickleValue*> storages;  // in the order in which they were met
  std::vector<std::string> globals;          // "torch._utils._rebuild_tensor_v2", "os:path.join", each once
  size_t size = 0;                           // bytes up to and with the STOP opcode
};

/// Reads one pickle (protocols 1 to 5) from the start of `b`, which must outlive the result. `what` names it in
/// messages. Throws Error(format) for opcodes that Python does not write for checkpoints, for operands of a wrong type,
/// and where the values would take more memory than max_memory and the size of `b` together.
Pickle read_pickle(Bytes b, const std::string& what, const PickleOptions& options = {});

/// Does this module.name reach outside of plain data: processes, files, code, the network? Names with dots of their
/// own ("module:name.name") may reach anything that any module has imported.
bool is_suspicious_global(std::string_view full_name);

}  // namespace fovea
