// SPDX-License-Identifier: Apache-2.0
// engine/core/tensor.h — Tensor: a description (Meta) plus, optionally, bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "engine/core/types.h"

namespace fovea {

struct Deferred;                                   // bytes that are made when first asked for (engine/core/deferred.h)

/// A block of memory that tensors share. `keep` owns the bytes (an allocation, a memory-mapped file, the caller's
/// buffer).
struct Storage {
  std::byte* data = nullptr;
  size_t bytes = 0;
  Device device{};
  std::shared_ptr<void> keep;
  std::shared_ptr<Deferred> deferred;              // makes `data`; null: it is there
  void* stream = nullptr;                          // the handle of the device's stream that it belongs to (runtime.h)
};

struct Node;                                       // autograd: the op that made a tensor (engine/autograd/autograd.h)
struct TensorImpl;

/// A value: cheap to copy, shares storage. Logical order is always the one timm writes (images are N,C,H,W);
/// physical order is only strides.
class Tensor {
 public:
  Tensor() = default;                              // absent: an optional operand that was not given
  explicit operator bool() const { return impl_ != nullptr; }

  const Meta& meta() const;                        // throws Error when absent
  const Shape& shape() const { return meta().shape; }
  DType dtype() const { return meta().dtype; }
  Device device() const { return meta().device; }
  int rank() const { return meta().rank(); }
  int64_t dim(int i) const { return meta().dim(i); }   // negative counts from the end
  int64_t numel() const { return meta().numel(); }

  bool has_bytes() const;                          // false for parameters not yet loaded and while tracing
  /// The first element's address on the device, where work that was queued may still have to write it; throws Error
  /// without bytes.
  std::byte* bytes() const;
  /// Dense, row-major elements. Throws unless dtype, host and contiguity agree.
  template <class T>
  std::span<const T> data() const {
    return {static_cast<const T*>(checked(dtype_of<T>())), static_cast<size_t>(numel())};
  }
  template <class T>
  std::span<T> mutable_data() {
    return {static_cast<T*>(checked(dtype_of<T>())), static_cast<size_t>(numel())};
  }
  /// The only element of a one-element tensor, converted. Waits for it.
  double item() const;
  /// The same values on another device, lying as they do here; itself where it is there already. Copies to the host
  /// have arrived, others are queued. Nothing differentiates through it: throws Error(argument) where it would have to.
  Tensor to(Device d) const;

  // Autograd: a leaf that asks for gradients, and the link to the op that made a non-leaf.
  bool requires_grad() const;
  Tensor& set_requires_grad(bool on = true);       // leaves only; returns *this
  Tensor detach() const;                           // the same bytes without history
  Tensor grad() const;                             // what backward() gathered for this leaf; absent before
  void set_grad(const Tensor& g) const;            // absent: clears it
  bool same(const Tensor& other) const { return impl_ == other.impl_; }   // the very same tensor, not equal values

  TensorImpl* impl() const { return impl_.get(); }
  const std::shared_ptr<TensorImpl>& shared_impl() const { return impl_; }
  explicit Tensor(std::shared_ptr<TensorImpl> impl) : impl_(std::move(impl)) {}

  template <class T>
  static constexpr DType dtype_of();

 private:
  void* checked(DType t) const;
  std::shared_ptr<TensorImpl> impl_;
};
using Tensors = std::vector<Tensor>;
using Metas = std::vector<Meta>;

struct TensorImpl {
  Meta meta;
  std::shared_ptr<Storage> storage;                // null: no bytes (yet)
  int64_t offset = 0;                              // in elements, from storage->data
  bool requires_grad = false;
  std::shared_ptr<Node> node;                      // the op this is an output of; null for leaves
  int output = 0;                                  // which output of node
  std::shared_ptr<TensorImpl> grad;                // leaves: gathered by backward()
  uint64_t trace = 0;                              // the tracer that knows this value (0: none) ...
  int value = -1;                                  // ... and its number there
};

template <> constexpr DType Tensor::dtype_of<float>() { return DType::f32; }
template <> constexpr DType Tensor::dtype_of<double>() { return DType::f64; }
template <> constexpr DType Tensor::dtype_of<bfloat16>() { return DType::bf16; }
template <> constexpr DType Tensor::dtype_of<float16>() { return DType::f16; }
template <> constexpr DType Tensor::dtype_of<int64_t>() { return DType::i64; }
template <> constexpr DType Tensor::dtype_of<int32_t>() { return DType::i32; }
template <> constexpr DType Tensor::dtype_of<int8_t>() { return DType::i8; }
template <> constexpr DType Tensor::dtype_of<uint8_t>() { return DType::u8; }
template <> constexpr DType Tensor::dtype_of<bool>() { return DType::boolean; }

// Making tensors. Bytes are 64-byte aligned.
Tensor empty(const Meta& m);                       // uninitialised bytes, strides as in m (must be dense)
Tensor empty(const Shape& s, DType t = DType::f32, Memory m = Memory::contiguous, Device d = {});
Tensor meta_tensor(const Meta& m);                 // no bytes
Tensor zeros(const Shape& s, DType t = DType::f32, Device d = {});
Tensor zeros_of(const Meta& m);                    // dense, in m's memory order, on its device
Tensor ones(const Shape& s, DType t = DType::f32, Device d = {});
Tensor full(const Shape& s, double value, DType t = DType::f32, Device d = {});
Tensor scalar(double value, DType t = DType::f32, Device d = {});     // rank 0
Tensor scalar(double value, const Tensor& like);   // of its dtype, on its device
Tensor arange(int64_t start, int64_t stop, int64_t step = 1, DType t = DType::i64, Device d = {});
Tensor eye(int64_t n, DType t = DType::f32, Device d = {});
template <class T>
Tensor from(std::span<const T> values, const Shape& s);               // copies, on the host
Tensor from(std::initializer_list<float> values);                     // rank 1, f32
/// Wraps memory that `keep` owns (or the caller keeps alive when `keep` is null). `s` contiguous.
Tensor wrap(void* data, DType t, const Shape& s, std::shared_ptr<void> keep = {});
/// A tensor on the storage of `base` with its own shape, strides and offset (elements, from the storage's start). No
/// history.
Tensor view_of(const Tensor& base, const Shape& s, const Strides& strides, int64_t offset);
/// What the host reads values by, wherever they are: without history, copied to the host and there when it returns.
Tensor on_host(const Tensor& t);

namespace detail {
Tensor from_bytes(const void* data, size_t count, DType t, const Shape& s);   // throws unless count == numel(s)
}
template <class T>
Tensor from(std::span<const T> values, const Shape& s) {
  return detail::from_bytes(values.data(), values.size(), Tensor::dtype_of<T>(), s);
}

}  // namespace fovea
