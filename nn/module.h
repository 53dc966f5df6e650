// SPDX-License-Identifier: Apache-2.0
// nn/module.h — Module: parameters, buffers and children by name; what every layer and every model is.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/core/error.h"
#include "engine/core/scope.h"
#include "engine/core/state_dict.h"
#include "engine/core/tensor.h"
#include "nn/init.h"

namespace fovea {

/// A parameter or a buffer. Its name says where it was made; modules that share it hold the very same one.
struct Parameter {
  enum class Kind : uint8_t { parameter, buffer };
  std::string name;                                // the last part: "weight"
  Tensor value;                                    // has no bytes until load() or materialise()
  Init init;
  std::shared_ptr<const Drawing> drawing;  // instead of init, where that cannot say it
  Kind kind = Kind::parameter;
  bool persistent = true;                          // part of the state dict
  bool optional = false;                           // load() does not miss it (a counter of batches)
};

/// What a module keeps of a parameter: a handle to the shared slot. Reads as its tensor; absent where the module has
/// none.
class Param {
 public:
  Param() = default;
  explicit Param(std::shared_ptr<Parameter> slot) : slot_(std::move(slot)) {}
  explicit operator bool() const { return slot_ != nullptr; }
  operator const Tensor&() const;                  // NOLINT: meant to be implicit, conv(x, weight, bias)
  const Tensor& operator*() const { return *this; }
  const Tensor* operator->() const { return &**this; }
  void set(Tensor t) const { slot_->value = std::move(t); }
  Parameter& slot() const { return *slot_; }
  const std::shared_ptr<Parameter>& shared() const { return slot_; }

 private:
  std::shared_ptr<Parameter> slot_;
};

struct NamedParameter {
  std::string name;                                // "blocks.0.0.conv_dw.weight"
  Parameter* parameter;
  Tensor& tensor() const { return parameter->value; }
};

enum class Strict : uint8_t { no, yes };

/// What load() found besides what fits.
struct LoadReport {
  struct WrongShape {
    std::string name;
    Shape file, model;
  };
  std::vector<std::pair<std::string, Meta>> missing, unexpected;       // in the model only; in the weights only
  std::vector<std::pair<std::string, Meta>> not_needed;                // in the model only, and it does without
  std::vector<WrongShape> wrong_shape;
  size_t loaded = 0;
  /// What was left out or made to fit before, a line each: classifiers of other classes, input channels, positions.
  std::vector<std::string> adapted;

  /// What most of the missing bear in front of their names in the weights ("backbone."), and how many tensors do.
  std::string prefix;
  size_t fit_without_prefix = 0;

  bool clean() const { return missing.empty() && unexpected.empty() && wrong_shape.empty(); }
  std::string summary() const;                     // "1 missing, 1 unexpected, 1 of another shape"
  std::string details() const;                     // a line each, with what might be meant
};

/// A child that must be there: using an empty one is an Error.
template <class M>
class Ref {
 public:
  Ref() = default;
  explicit Ref(M* m) : m_(m) {}
  template <class D>
    requires std::is_base_of_v<M, D>
  Ref(const Ref<D>& other) : m_(other.get()) {}
  M* get() const { return m_; }
  explicit operator bool() const { return m_ != nullptr; }
  M& operator*() const { return m_ ? *m_ : empty(); }
  M* operator->() const { return &**this; }
  template <class... A>
  auto operator()(const A&... a) const { return (**this)(a...); }

 private:
  [[noreturn]] static M& empty() {
    throw Error(Error::Kind::internal, "a child module is used that was never added", current_scope());
  }
  M* m_ = nullptr;
};

/// A child that some variants lack: an empty one is the identity, so forward needs no `if`.
template <class M>
class Maybe {
 public:
  Maybe() = default;
  template <class D>
    requires std::is_base_of_v<M, D>
  Maybe(const Ref<D>& other) : m_(other.get()) {}
  M* get() const { return m_; }
  explicit operator bool() const { return m_ != nullptr; }
  M* operator->() const { return m_; }
  Tensor operator()(const Tensor& x) const { return m_ ? (*m_)(x) : x; }

 private:
  M* m_ = nullptr;
};

/// A movable value that owns its children on the heap, so their addresses stay. Made in eval mode, without bytes,
/// without gradients.
class Module {
 public:
  Module();
  virtual ~Module();
  Module(Module&&) noexcept;
  Module& operator=(Module&&) noexcept;

  Tensor operator()(const Tensor& x);              // enters this module's scope, then forward()
  virtual Tensor forward(const Tensor& x);         // modules with other operands add their own operator()
  const std::string& name() const { return name_; }   // as the parent calls it; "" at the root

  /// All that is saved, in PyTorch's order: own parameters, own buffers, then the children's. Shares the tensors.
  StateDict state_dict() const;
  /// What load() would find.
  LoadReport compare(const StateDict& weights) const;
  /// Takes over the tensors that fit, converted to the model's dtypes. Strict: throws Error(weights) unless all fit,
  /// changing nothing.
  LoadReport load(const StateDict& weights, Strict strict = Strict::yes, std::string_view source = "the state dict",
                  std::string_view model = "the module");
  std::vector<NamedParameter> named_parameters() const;   // each once, under its first name
  std::vector<NamedParameter> named_buffers() const;      // also those that are not saved
  std::vector<NamedParameter> named_state() const;        // as state_dict(); a shared parameter under each of its names
  // where the values are kept: what optimisers replace and tracers list as state
  std::vector<Tensor*> parameters() const;
  int64_t parameter_count() const;

  void materialise(uint64_t seed = 0);             // draws first values for whatever has no bytes
  bool has_bytes() const;                          // nothing is without bytes
  void to(DType dtype);                            // floating parameters and buffers
  void to(Device d);                               // all of them; values drawn or loaded later go there, too
  /// Gives up its parameters and children: what is left hands its operand through. Whoever holds references to what was
  /// below may keep them.
  void vacate();
  bool vacant() const { return vacant_; }
  void set_requires_grad(bool on = true);          // of all parameters
  Module& train(bool on = true);
  Module& eval() { return train(false); }
  bool training() const { return training_; }
  void seed(uint64_t s);                           // of what the module and its children draw while training

  const std::vector<std::unique_ptr<Module>>& children() const { return children_; }
  const std::vector<Param>& own_parameters() const { return own_; }       // parameters and buffers, as added
  Module* find(std::string_view path);             // "blocks.0.1.conv_pw"; null when absent
  /// f(path, module) for this module ("") and all below, parents first.
  template <class F>
  void visit(F f) {
    struct Calls final : Visitor {
      explicit Calls(F& g) : f(g) {}
      void operator()(const std::string& path, Module& m) override { f(path, m); }
      F& f;
    } calls{f};
    walk(calls, {});
  }

  // a fresh key for a random op; the sequence depends on seed and module path
  int64_t next_key();

 protected:
  template <class M>
    requires std::is_base_of_v<Module, M>
  Ref<M> add(std::string_view name, M child) { return add(name, std::make_unique<M>(std::move(child))); }
  template <class M>
    requires std::is_base_of_v<Module, M>
  Ref<M> add(std::string_view name, std::unique_ptr<M> child) {
    M* raw = child.get();
    if (raw) adopt(name, std::move(child));
    return Ref<M>(raw);
  }
  template <class M>
    requires std::is_base_of_v<Module, M>
  Ref<M> replace(std::string_view name, std::unique_ptr<M> child) {    // in the place of the child of that name
    M* raw = child.get();
    exchange(name, std::move(child));
    return Ref<M>(raw);
  }
  Param param(std::string_view name, const Shape& s, const Init& init = {}, DType t = DType::f32);
  Param buffer(std::string_view name, const Shape& s, const Init& init = {}, DType t = DType::f32);
  Param constant(std::string_view name, Tensor value);      // a buffer that is not saved and has its bytes
  Param share(std::string_view name, const Param& other);   // the same parameter under a second name
  void remove(std::string_view name);                       // an own parameter or buffer

 private:
  struct Visitor {
    virtual void operator()(const std::string& path, Module& m) = 0;
   protected:
    ~Visitor() = default;
  };
  void walk(Visitor& v, const std::string& path);
  void collect(const std::string& path, std::vector<NamedParameter>& out) const;
  std::vector<NamedParameter> everything() const;
  void adopt(std::string_view name, std::unique_ptr<Module> child);
  void exchange(std::string_view name, std::unique_ptr<Module> child);
  Param insert(Parameter p);
  friend class ReplayKeys;
  friend class EvalMode;

  std::string name_;
  std::vector<Param> own_;
  std::vector<std::string> own_names_;             // differ from the slots' own names for shared ones
  std::vector<std::unique_ptr<Module>> children_;
  uint64_t seed_ = 0, draws_ = 0;
  bool training_ = false, vacant_ = false;
  std::vector<std::unique_ptr<Module>> gone_;      // the children of a vacant module, which others may refer to
};

/// Children called "0", "1", ..., one after the other.
class Sequential : public Module {
 public:
  template <class M>
  Ref<M> add(M child) { return Module::add(std::to_string(size_++), std::move(child)); }
  template <class M>
  Ref<M> add(std::unique_ptr<M> child) { return Module::add(std::to_string(size_++), std::move(child)); }
  template <class M>
  Ref<M> add(std::string_view name, M child) { ++size_; return Module::add(name, std::move(child)); }
  template <class M>
  Ref<M> add(std::string_view name, std::unique_ptr<M> child) { ++size_; return Module::add(name, std::move(child)); }
  Tensor forward(const Tensor& x) override;
  int size() const { return size_; }

 private:
  int size_ = 0;
};

struct Identity final : Module {
  Tensor forward(const Tensor& x) override { return x; }
};

/// Eval mode for as long as it lives; afterwards each module is in the mode that it was in.
class EvalMode {
 public:
  explicit EvalMode(Module& m);
  ~EvalMode();
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  Module& module_;
  std::vector<bool> before_;
};

/// Runs m(x) without keeping its inner values for the backward pass, which runs it again: the same random numbers, and
/// running statistics move once only.
Tensor checkpointed(Module& m, const Tensor& x);
bool recomputing();                                // inside that second run

}  // namespace fovea
