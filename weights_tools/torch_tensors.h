// SPDX-License-Identifier: Apache-2.0
// weights_tools/torch_tensors.h — from what a torch pickle says about a tensor to a Tensor on its storage, every number
// checked.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "weights_tools/pickle.h"
#include "weights_tools/zip.h"

namespace fovea {

/// One kind of torch storage. `dtype` is none for those fovea has no tensors for; `size` is that of an element in
/// bytes.
struct TorchDtype {
  std::string_view name;     // "float32"
  std::string_view storage;  // "FloatStorage"
  DType dtype;
  size_t size;
};
/// Of a storage class such as torch.FloatStorage, of torch.cuda too; null when unknown. Untyped storages count bytes
/// and have no dtype.
const TorchDtype* torch_storage(const PickleValue& global);

/// Where the bytes of storages are: entries of a zip archive, or the tail of a stream.
struct StorageSource {
  virtual ~StorageSource() = default;
  virtual KeptBytes bytes(std::string_view key) = 0;  // throws Error(format) when there is none
};

/// Is this a call by which torch rebuilds a tensor or a parameter, of whatever kind?
bool is_torch_tensor(const PickleValue& v);

/// Makes tensors; those on one storage share it, as they did in Python.
class TorchTensors {
 public:
  TorchTensors(StorageSource& source, std::string path) : source_(source), path_(std::move(path)) {}
  /// `name` is for messages. Throws Error(format) when sizes, strides and storage do not go together. Tensors that
  /// fovea does not have are foreign ones: quantised, sparse, without data, of another dtype.
  Tensor make(const PickleValue& v, const std::string& name);

 private:
  [[noreturn]] void bad(const std::string& name, const std::string& what) const;
  Tensor foreign(const PickleValue* shape, std::string kind, const std::string& name, const std::string& what) const;
  std::shared_ptr<Storage> storage(const PickleValue& v, const TorchDtype& type, const std::string& name);
  Tensor strided(const PickleValue& args, const TorchDtype* given, const std::string& name);

  StorageSource& source_;
  std::string path_;
  std::unordered_map<std::string, std::shared_ptr<Storage>> storages_;
};

}  // namespace fovea
