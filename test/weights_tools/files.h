// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/files.h — what the tests of weight files share: recorded files, scratch folders, hand-made
// archives and pickles.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/error.h"
#include "engine/core/state_dict.h"
#include "engine/core/tensor.h"

namespace fovea::test {

std::string golden(std::string_view name);  // a file of test/golden/weights
std::string read_file(const std::string& path);
void write_file(const std::string& path, std::string_view content);

/// A new folder that goes away with its contents.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  std::string file(std::string_view name, std::string_view content) const;
  std::vector<std::string> names() const;

 private:
  std::string path_;
};

/// Is `t` of this dtype and shape, with elements base, base + step, ... in row-major order of its indices?
bool is_ramp(const Tensor& t, DType dtype, const Shape& shape, double base, double step = 0.5);

/// Asks every tensor for its values: foreign ones throw.
void ask(const StateDict& d);

/// The error that a call throws; one of kind `internal` saying so when it throws none.
template <class F>
Error error_of(F f) {
  try {
    f();
  } catch (const Error& e) { return e; }
  return Error(Error::Kind::internal, "nothing was thrown");
}
bool mentions(const Error& e, std::string_view text);

/// A zip archive put together by hand, so that its parts can lie.
struct ZipPart {
  std::string name, content;
  uint16_t flags = 0, method = 0;
  std::string local_name = name;  // what the local header says
  uint32_t crc_error = 0, size_error = 0;
};
std::string make_zip(const std::vector<ZipPart>& parts);
uint32_t crc_of(std::string_view s);

/// A torch archive around one hand-made pickle, with storages by key.
std::string make_checkpoint(const std::string& pickle,
                            const std::vector<std::pair<std::string, std::string>>& storages = {});

// Pieces of pickles, protocol 2.
std::string le(uint64_t v, int bytes);
std::string unicode(std::string_view s);  // BINUNICODE
std::string integer(int64_t v);           // LONG1
std::string global(std::string_view module, std::string_view name);
std::string tuple(const std::vector<std::string>& items);
std::string storage(std::string_view type, std::string_view key, int64_t numel);
/// {"t": a float tensor rebuilt from these numbers}, whole, with PROTO and STOP.
std::string tensor_pickle(const std::string& storage, int64_t offset, const std::vector<int64_t>& size,
                          const std::vector<int64_t>& stride);

}  // namespace fovea::test
