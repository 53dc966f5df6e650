// SPDX-License-Identifier: Apache-2.0
#include "engine/core/tensor.h"

#include <cstring>
#include <new>

#include "engine/core/backend.h"
#include "engine/core/deferred.h"
#include "engine/core/error.h"
#include "engine/core/node.h"

namespace fovea {

const Meta& Tensor::meta() const {
  if (!impl_) throw Error(Error::Kind::argument, "an absent tensor was used where a value is needed");
  return impl_->meta;
}

bool Tensor::has_bytes() const {
  if (!impl_ || !impl_->storage) return false;
  const Storage& s = *impl_->storage;
  return s.deferred || s.data || impl_->meta.numel() == 0;
}

namespace {
void make_bytes(Storage& s) {
  std::call_once(s.deferred->once, [&s] {
    const std::shared_ptr<Storage> made = allocate(s.device, s.bytes);
    if (is_host(s.device)) {
      s.deferred->write(made->data);
    } else {
      const std::shared_ptr<Storage> here = allocate(cpu(), s.bytes);
      s.deferred->write(here->data);
      runtime_of(s.device).upload(made->data, here->data, s.bytes, {s.device, made->stream});
    }
    s.stream = made->stream;
    s.keep = made;
    s.data = made->data;
  });
}

// The bytes from the first element to the last, copied to another device.
Tensor copied_to(const Tensor& t, Device d) {
  auto out = std::make_shared<TensorImpl>();
  out->meta = t.meta();
  out->meta.device = d;
  const std::byte* const from = t.bytes();
  const size_t bytes = static_cast<size_t>(span_of(t.meta())) * size_of(t.dtype());
  const Storage& source = *t.impl()->storage;
  const Stream home{source.device, source.stream};
  out->storage = allocate(d, bytes);
  if (is_host(d)) {
    const Runtime& r = runtime_of(source.device);
    r.download(out->storage->data, from, bytes, home);
    r.wait(r.record(home));
    return Tensor(std::move(out));
  }
  const Stream stream{d, out->storage->stream};
  Fence fence(stream);
  fence.use(source);
  if (is_host(source.device)) runtime_of(d).upload(out->storage->data, from, bytes, stream);
  else runtime_of(d).copy(out->storage->data, from, bytes, stream);
  return Tensor(std::move(out));
}
}  // namespace

Tensor on_host(const Tensor& t) { return is_host(t.device()) ? t.detach() : copied_to(t, cpu()); }

Tensor Tensor::to(Device d) const {
  if (device() == d) return *this;
  if (grad_enabled() && requires_grad())
    throw Error(Error::Kind::argument, str_cat("a copy to ", d, " of ", meta(), ", which requires gradients"),
                "detach() it first; a model and its images are on one device");
  if (is_host(device()) || is_host(d) || device().kind == d.kind) return copied_to(*this, d);
  return copied_to(on_host(*this), d);
}

Tensor deferred_tensor(const Meta& m, std::shared_ptr<Deferred> how) {
  auto out = std::make_shared<TensorImpl>();
  out->meta = m;
  out->storage = std::make_shared<Storage>(
      Storage{nullptr, static_cast<size_t>(m.bytes()), m.device, nullptr, std::move(how)});
  return Tensor(std::move(out));
}

std::byte* Tensor::bytes() const {
  if (!has_bytes())
    throw Error(Error::Kind::argument, str_cat("the values of ", meta(), " were asked for, but it has none"),
                impl_->trace ? "it is being traced: a forward may branch on shapes, not on values"
                             : "a parameter gets its values from load() or materialise()");
  if (impl_->storage->deferred) make_bytes(*impl_->storage);
  return impl_->storage->data + impl_->offset * static_cast<int64_t>(size_of(impl_->meta.dtype));
}

void* Tensor::checked(DType t) const {
  const Meta& m = meta();
  if (m.dtype != t)
    throw Error(Error::Kind::argument, str_cat("data<", name_of(t), "> of a tensor of ", m), "cast() it first");
  if (m.device.kind != Device::Kind::cpu)
    throw Error(Error::Kind::argument, str_cat("data<> of a tensor on ", m.device), "to(cpu()) copies it to the host");
  if (!m.is_contiguous())
    throw Error(Error::Kind::argument, str_cat("data<> of ", m, ", which is not row-major"), "contiguous() it first");
  return bytes();
}

double Tensor::item() const {
  if (numel() != 1)
    throw Error(Error::Kind::argument, str_cat("item() of ", meta(), ", which has ", numel(), " elements"));
  const Tensor here = is_host(device()) ? *this : on_host(*this);
  const std::byte* p = here.bytes();
  auto as = [p]<class T>(T) { T v; std::memcpy(&v, p, sizeof v); return v; };
  switch (dtype()) {
    case DType::f32: return static_cast<double>(as(float{}));
    case DType::f64: return as(double{});
    case DType::bf16: return static_cast<double>(to_float(as(bfloat16{})));
    case DType::f16: return static_cast<double>(to_float(as(float16{})));
    case DType::i64: return static_cast<double>(as(int64_t{}));
    case DType::i32: return as(int32_t{});
    case DType::i8: return as(int8_t{});
    case DType::u8: case DType::boolean: return as(uint8_t{});
    case DType::none: break;
  }
  throw Error(Error::Kind::internal, "item() of a tensor without dtype");
}

bool Tensor::requires_grad() const { return impl_ && (impl_->requires_grad || impl_->node); }

Tensor& Tensor::set_requires_grad(bool on) {
  if (on && !is_floating(dtype()))
    throw Error(Error::Kind::argument, str_cat("only floating tensors have gradients, not ", meta()));
  if (impl_->node)
    throw Error(Error::Kind::argument, str_cat("requires_grad of ", meta(), ", which an op made"), "detach() it first");
  impl_->requires_grad = on;
  return *this;
}

Tensor Tensor::detach() const {
  auto out = std::make_shared<TensorImpl>(*impl_);
  meta();
  out->requires_grad = false;
  out->node.reset();
  out->output = 0;
  out->grad.reset();
  return Tensor(std::move(out));
}

Tensor Tensor::grad() const { return impl_ && impl_->grad ? Tensor(impl_->grad) : Tensor(); }
void Tensor::set_grad(const Tensor& g) const {
  meta();
  impl_->grad = g.impl_;
}

Tensor empty(const Meta& m) {
  auto out = std::make_shared<TensorImpl>();
  out->meta = m;
  out->storage = allocate(m.device, static_cast<size_t>(m.bytes()));
  return Tensor(std::move(out));
}

Tensor empty(const Shape& s, DType t, Memory m, Device d) {
  for (int64_t n : s)
    if (n < 0) throw Error(Error::Kind::argument, str_cat("a tensor of shape ", s, ": sizes are not negative"));
  return empty(make_meta(t, s, m, d));
}

Tensor meta_tensor(const Meta& m) {
  auto out = std::make_shared<TensorImpl>();
  out->meta = m;
  return Tensor(std::move(out));
}

namespace {
// Element i of p, converted from double to the tensor's dtype.
void put(std::byte* p, DType t, int64_t i, double v) {
  switch (t) {
    case DType::f32: reinterpret_cast<float*>(p)[i] = static_cast<float>(v); return;
    case DType::f64: reinterpret_cast<double*>(p)[i] = v; return;
    case DType::bf16: reinterpret_cast<bfloat16*>(p)[i] = to_bfloat16(static_cast<float>(v)); return;
    case DType::f16: reinterpret_cast<float16*>(p)[i] = to_float16(static_cast<float>(v)); return;
    case DType::i64: reinterpret_cast<int64_t*>(p)[i] = static_cast<int64_t>(v); return;
    case DType::i32: reinterpret_cast<int32_t*>(p)[i] = static_cast<int32_t>(v); return;
    case DType::i8: reinterpret_cast<int8_t*>(p)[i] = static_cast<int8_t>(v); return;
    case DType::u8: reinterpret_cast<uint8_t*>(p)[i] = static_cast<uint8_t>(v); return;
    case DType::boolean: reinterpret_cast<uint8_t*>(p)[i] = v != 0; return;
    case DType::none: return;
  }
}
}  // namespace

namespace {
// Every element of a dense tensor, where it is.
Tensor filled(const Meta& m, double value) {
  Tensor out = empty(m);
  std::byte element[8];
  put(element, m.dtype, 0, value);
  const Storage& s = *out.impl()->storage;
  runtime_of(s.device).fill(out.bytes(), element, size_of(m.dtype), out.numel(), {s.device, s.stream});
  return out;
}
}  // namespace

Tensor full(const Shape& s, double value, DType t, Device d) {
  for (int64_t n : s)
    if (n < 0) throw Error(Error::Kind::argument, str_cat("a tensor of shape ", s, ": sizes are not negative"));
  return filled(make_meta(t, s, Memory::contiguous, d), value);
}
Tensor zeros(const Shape& s, DType t, Device d) { return full(s, 0, t, d); }
Tensor zeros_of(const Meta& m) { return filled({m.dtype, m.device, m.shape, strides_for(m.shape, m.memory())}, 0); }
Tensor ones(const Shape& s, DType t, Device d) { return full(s, 1, t, d); }
Tensor scalar(double value, DType t, Device d) { return full({}, value, t, d); }
Tensor scalar(double value, const Tensor& like) { return full({}, value, like.dtype(), like.device()); }

Tensor arange(int64_t start, int64_t stop, int64_t step, DType t, Device d) {
  if (step == 0) throw Error(Error::Kind::argument, "arange with step 0");
  const int64_t span = step > 0 ? stop - start : start - stop, stride = step > 0 ? step : -step;
  Tensor out = empty({span > 0 ? (span + stride - 1) / stride : 0}, t);
  for (int64_t i = 0; i < out.numel(); ++i) put(out.bytes(), t, i, static_cast<double>(start + i * step));
  return out.to(d);
}

Tensor eye(int64_t n, DType t, Device d) {
  Tensor out = zeros({n, n}, t);
  for (int64_t i = 0; i < n; ++i) put(out.bytes(), t, i * n + i, 1);
  return out.to(d);
}

namespace detail {
Tensor from_bytes(const void* data, size_t count, DType t, const Shape& s) {
  if (static_cast<int64_t>(count) != numel(s))
    throw Error(Error::Kind::argument, str_cat(count, " values for a tensor of shape ", s));
  Tensor out = empty(s, t);
  if (count) std::memcpy(out.bytes(), data, count * size_of(t));
  return out;
}
}  // namespace detail

Tensor from(std::initializer_list<float> values) {
  return detail::from_bytes(values.begin(), values.size(), DType::f32, {static_cast<int64_t>(values.size())});
}

Tensor wrap(void* data, DType t, const Shape& s, std::shared_ptr<void> keep) {
  auto out = std::make_shared<TensorImpl>();
  out->meta = make_meta(t, s);
  out->storage = std::make_shared<Storage>(
      Storage{static_cast<std::byte*>(data), static_cast<size_t>(out->meta.bytes()), cpu(), std::move(keep), nullptr});
  return Tensor(std::move(out));
}

Tensor view_of(const Tensor& base, const Shape& s, const Strides& strides, int64_t offset) {
  auto out = std::make_shared<TensorImpl>();
  out->meta = {base.dtype(), base.device(), s, strides};
  out->storage = base.impl()->storage;
  out->offset = offset;
  return Tensor(std::move(out));
}

}  // namespace fovea
