// SPDX-License-Identifier: Apache-2.0
// engine/core/backend.h — all that a device must supply: memory, and a table of kernels that make plans.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/epilogue.h"
#include "engine/core/op.h"
#include "engine/core/runtime.h"

namespace fovea {

/// Addresses on the device for one run of a Plan, in the order of the Site's operands and results. Absent operands are
/// null. The arrays themselves are the host's, and the caller's again when run() returns.
struct Args {
  const std::byte* const* in = nullptr;
  std::byte* const* out = nullptr;
  std::byte* scratch = nullptr;                    // Plan::scratch bytes, 64-byte aligned
};

/// A kernel made ready once for (op, attributes, metas): holds vendor descriptors, is immutable, and may run on many
/// threads at once.
struct Plan {
  virtual ~Plan() = default;
  virtual void run(const Args& a, Stream& s) const = 0;     // allocates nothing on the device and waits for nothing
  /// Bytes of operand i once packed; 0: the operand is taken as it is. Asked for operands that the Site calls constant.
  virtual size_t packed_bytes(int operand) const { (void)operand; return 0; }
  /// On the host, from bytes of the host to bytes of the host, which the caller brings to the device.
  virtual void pack(int operand, const std::byte* in, std::byte* out) const { (void)operand, (void)in, (void)out; }

  // "dnn:jit:avx2", "ref", "cpu:depthwise avx512": shown by bench and errors
  std::string name;
  size_t scratch = 0;                              // bytes the caller lends to run()
};
using PlanPtr = std::shared_ptr<const Plan>;

/// One row of a backend's table. `plan` returns null for "not this dtype, shape or layout": the next candidate is
/// asked.
struct Kernel {
  const OpDef* op;
  PlanPtr (*plan)(const Site&);
  /// Would plan() take this site with this epilogue? Says so without making a plan; null: none.
  bool (*accepts)(const Site&, const Epilogue&) = nullptr;
};

struct Backend {
  const char* name;                                // "cpu", "ref"
  Device::Kind device;
  const Runtime* runtime;                          // null: that of another backend for the same kind of device
  std::vector<std::span<const Kernel>> (*kernels)();        // one span a file of the backend's folder
  int rank;                                        // lower is asked first
  /// Its threads, lent to what is no kernel: body(context, first, last) over pieces of [0, n). Null: it has none.
  void (*parallel)(int64_t n, int64_t grain, void (*body)(const void* context, int64_t first, int64_t last),
                   const void* context) = nullptr;
  /// copy_strided() between metas of one shape, queued, without allocating. null: copy_strided() itself on the host;
  /// elsewhere no plan runs on converted operands.
  void (*convert)(const Meta& from, const std::byte* source, const Meta& to, std::byte* target, Stream& s) = nullptr;
};

/// Those that were built in, lowest rank first: defined by the generated manifest of kernels/.
std::span<const Backend* const> built_in_backends();
/// Those, and what add_backend() added.
std::span<const Backend* const> backends();
/// Adds a backend that is not part of the library, for good. No other thread may use the engine meanwhile.
void add_backend(const Backend& b);
std::shared_ptr<Storage> allocate(Device d, size_t bytes);  // 64-byte aligned, on the device's current stream
/// f(first, last) over pieces of [0, n) on the host's threads, none smaller than `grain` but the only one. What f
/// throws reaches the caller once every piece has ended.
void on_host_threads(int64_t n, int64_t grain, void (*body)(const void* context, int64_t first, int64_t last),
                     const void* context);
template <class F>
void on_host_threads(int64_t n, int64_t grain, const F& f) {
  on_host_threads(
      n, grain, [](const void* c, int64_t first, int64_t last) { (*static_cast<const F*>(c))(first, last); }, &f);
}

/// While alive, on this thread, only the backend of this name makes plans ("ref" for the oracle). Throws for unknown
/// names.
class UseBackend {
 public:
  explicit UseBackend(std::string_view name);
  ~UseBackend();
  UseBackend(const UseBackend&) = delete;
  UseBackend& operator=(const UseBackend&) = delete;

 private:
  const Backend* before_;
};

/// The plan for a site, tried in this order: each backend as the operands lie; on dense copies of oddly strided
/// operands; bf16 and f16 by way of f32. Throws Error(unsupported) with the op, the operands and the backends tried.
/// Not cached.
PlanPtr make_plan(const Site& site);
/// The same from a bounded cache that all threads share.
PlanPtr cached_plan(const Site& site);
void clear_plan_cache();
/// Does a kernel that would run this site take the epilogue?
bool accepts_epilogue(const Site& site, const Epilogue& e);

}  // namespace fovea
