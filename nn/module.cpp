// SPDX-License-Identifier: Apache-2.0
// nn/module.cpp — the tree of modules: names, walking it, modes, first values, recomputation.
#include "nn/module.h"

#include <algorithm>
#include <unordered_set>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/checkpoint.h"
#include "nn/hash.h"
#include "nn/joint.h"

namespace fovea {
namespace {

thread_local int recompute_depth = 0;

std::string dotted(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : str_cat(path, '.', name);
}

}  // namespace

Param::operator const Tensor&() const {
  static const Tensor absent;
  return slot_ ? slot_->value : absent;
}

Module::Module() = default;
Module::~Module() = default;
Module::Module(Module&&) noexcept = default;
Module& Module::operator=(Module&&) noexcept = default;

Tensor Module::operator()(const Tensor& x) {
  if (vacant_) return x;
  const Scope scope(name_);
  return forward(x);
}

Tensor Module::forward(const Tensor&) {
  throw Error(Error::Kind::internal, str_cat("module '", name_, "' takes other operands than one tensor"),
              current_scope());
}

Param Module::insert(Parameter p) {
  if (p.name.empty() || p.name.find('.') != std::string::npos)
    throw Error(Error::Kind::internal, str_cat("'", p.name, "' cannot name a parameter"));
  for (const std::string& taken : own_names_)
    if (taken == p.name)
      throw Error(Error::Kind::internal, str_cat("two parameters of one module are called '", p.name, "'"));
  own_names_.push_back(p.name);
  own_.emplace_back(std::make_shared<Parameter>(std::move(p)));
  return own_.back();
}

Param Module::param(std::string_view name, const Shape& s, const Init& init, DType t) {
  return insert({.name = std::string(name), .value = meta_tensor(make_meta(t, s)), .init = init});
}

Param Module::buffer(std::string_view name, const Shape& s, const Init& init, DType t) {
  return insert({.name = std::string(name),
                 .value = meta_tensor(make_meta(t, s)),
                 .init = init,
                 .kind = Parameter::Kind::buffer});
}

Param Module::constant(std::string_view name, Tensor value) {
  return insert(
      {.name = std::string(name), .value = std::move(value), .kind = Parameter::Kind::buffer, .persistent = false});
}

Param Module::share(std::string_view name, const Param& other) {
  if (!other) throw Error(Error::Kind::internal, str_cat("'", name, "' shares a parameter that is not there"));
  own_names_.emplace_back(name);
  own_.push_back(other);
  return other;
}

void Module::remove(std::string_view name) {
  const auto at = std::ranges::find(own_names_, name);
  if (at == own_names_.end()) throw Error(Error::Kind::internal, str_cat("there is no '", name, "' to remove"));
  own_.erase(own_.begin() + (at - own_names_.begin()));
  own_names_.erase(at);
}

void Module::adopt(std::string_view name, std::unique_ptr<Module> child) {
  if (name.empty() || name.find('.') != std::string_view::npos)
    throw Error(Error::Kind::internal, str_cat("'", name, "' cannot name a child module"));
  for (const auto& c : children_)
    if (c->name_ == name)
      throw Error(Error::Kind::internal, str_cat("two children of one module are called '", name, "'"));
  child->name_ = name;
  children_.push_back(std::move(child));
}

void Module::exchange(std::string_view name, std::unique_ptr<Module> child) {
  for (auto& c : children_) {
    if (c->name_ != name) continue;
    child->name_ = name;
    child->train(training_);
    c = std::move(child);
    return;
  }
  throw Error(Error::Kind::internal, str_cat("there is no child '", name, "' to replace"));
}

void Module::vacate() {
  for (std::unique_ptr<Module>& c : children_) gone_.push_back(std::move(c));
  children_.clear();
  own_.clear();
  own_names_.clear();
  vacant_ = true;
}

void Module::walk(Visitor& v, const std::string& path) {
  v(path, *this);
  for (const auto& c : children_) c->walk(v, dotted(path, c->name_));
}

// ---- by name ----------------------------------------------------------------------------------------------------

// own parameters, then own buffers, then the children, as PyTorch saves them
void Module::collect(const std::string& path, std::vector<NamedParameter>& out) const {
  for (const Parameter::Kind kind : {Parameter::Kind::parameter, Parameter::Kind::buffer})
    for (size_t i = 0; i < own_.size(); ++i)
      if (own_[i].slot().kind == kind) out.push_back({dotted(path, own_names_[i]), &own_[i].slot()});
  for (const auto& c : children_) c->collect(dotted(path, c->name_), out);
}

std::vector<NamedParameter> Module::everything() const {
  std::vector<NamedParameter> all;
  collect({}, all);
  return all;
}

std::vector<NamedParameter> Module::named_state() const {
  std::vector<NamedParameter> all = everything();
  std::erase_if(all, [](const NamedParameter& n) { return !n.parameter->persistent; });
  return all;
}

std::vector<NamedParameter> Module::named_parameters() const {
  std::vector<NamedParameter> all = everything();
  std::unordered_set<const Parameter*> seen;
  std::erase_if(all, [&](const NamedParameter& n) {
    return n.parameter->kind != Parameter::Kind::parameter || !seen.insert(n.parameter).second;
  });
  return all;
}

std::vector<NamedParameter> Module::named_buffers() const {
  std::vector<NamedParameter> all = everything();
  std::erase_if(all, [](const NamedParameter& n) { return n.parameter->kind != Parameter::Kind::buffer; });
  return all;
}

StateDict Module::state_dict() const {
  StateDict d;
  for (const NamedParameter& n : named_state()) d.set(n.name, n.tensor());
  return d;
}

std::vector<Tensor*> Module::parameters() const {
  std::vector<Tensor*> out;
  for (const NamedParameter& n : named_parameters()) out.push_back(&n.parameter->value);
  return out;
}

int64_t Module::parameter_count() const {
  int64_t n = 0;
  for (const NamedParameter& p : named_parameters()) n += p.tensor().numel();
  return n;
}

Module* Module::find(std::string_view path) {
  if (path.empty()) return this;
  const size_t dot = path.find('.');
  for (const auto& c : children_)
    if (c->name_ == path.substr(0, dot)) return dot == std::string_view::npos ? c.get() : c->find(path.substr(dot + 1));
  return nullptr;
}

// ---- values and modes -------------------------------------------------------------------------------------------

void Module::materialise(uint64_t seed) {
  for (const NamedParameter& n : everything()) {
    Tensor& t = n.tensor();
    if (t.has_bytes()) continue;
    const bool wants = t.requires_grad();
    const Parameter& p = *n.parameter;
    const uint64_t key = hash_number(seed + hash_text(n.name));
    const Tensor drawn = p.drawing ? p.drawing->draw(t.shape(), t.dtype(), key)
                                   : init::draw(p.init, t.shape(), t.dtype(), key);
    t = drawn.to(t.device());
    t.set_requires_grad(wants);
  }
}

bool Module::has_bytes() const {
  for (const NamedParameter& n : everything())
    if (!n.tensor().has_bytes()) return false;
  return true;
}

void Module::to(DType dtype) {
  if (!is_floating(dtype)) throw Error(Error::Kind::argument, str_cat("a module cannot be of dtype ", name_of(dtype)));
  const NoGrad no_grad;
  for (const NamedParameter& n : everything()) {
    Tensor& t = n.tensor();
    if (!is_floating(t.dtype()) || t.dtype() == dtype) continue;
    const bool wants = t.requires_grad();
    t = t.has_bytes() ? cast(t.detach(), dtype)
                      : meta_tensor(make_meta(dtype, t.shape(), Memory::contiguous, t.device()));
    t.set_requires_grad(wants);
  }
}

void Module::to(Device d) {
  for (const NamedParameter& n : everything()) {
    Tensor& t = n.tensor();
    if (t.device() == d) continue;
    const bool wants = t.requires_grad();
    const Meta& m = t.meta();
    t = t.has_bytes() ? t.detach().to(d) : meta_tensor({m.dtype, d, m.shape, m.strides});
    t.set_requires_grad(wants);
  }
}

void Module::set_requires_grad(bool on) {
  for (const NamedParameter& n : named_parameters())
    if (is_floating(n.tensor().dtype())) n.tensor().set_requires_grad(on);
}

Module& Module::train(bool on) {
  visit([on](const std::string&, Module& m) { m.training_ = on; });
  return *this;
}

void Module::seed(uint64_t s) {
  visit([s](const std::string&, Module& m) { m.seed_ = s, m.draws_ = 0; });
}

int64_t Module::next_key() {
  const uint64_t key = hash_number(hash_number(seed_ + hash_text(current_scope())) + draws_++);
  return static_cast<int64_t>(key >> 1);           // keys are not negative, so they print the same everywhere
}

namespace {

/// f(module) in the order of visit(), without names: what needs no memory may run in destructors.
template <class F>
void each_below(Module& m, const F& f) {
  f(m);
  for (const auto& c : m.children()) each_below(*c, f);
}

}  // namespace

EvalMode::EvalMode(Module& m) : module_(m) {
  each_below(m, [this](const Module& each) { before_.push_back(each.training_); });
  each_below(m, [](Module& each) { each.training_ = false; });
}
EvalMode::~EvalMode() {
  size_t i = 0;
  each_below(module_, [&](Module& each) { each.training_ = before_[i++]; });
}

Tensor Sequential::forward(const Tensor& x) {
  Tensor y = x;
  for (const auto& c : children()) y = (*c)(y);
  return y;
}

// ---- recomputation ----------------------------------------------------------------------------------------------

bool recomputing() { return recompute_depth > 0; }

/// Sets the counters of random keys back to what they were, for as long as it lives.
class ReplayKeys {
 public:
  static std::vector<uint64_t> counters(Module& m) {
    std::vector<uint64_t> at;
    each_below(m, [&](const Module& each) { at.push_back(each.draws_); });
    return at;
  }
  ReplayKeys(Module& m, const std::vector<uint64_t>& at) : module_(m), after_(counters(m)) {
    set(at);
    ++recompute_depth;
  }
  ~ReplayKeys() {
    --recompute_depth;
    set(after_);
  }
  ReplayKeys(const ReplayKeys&) = delete;
  ReplayKeys& operator=(const ReplayKeys&) = delete;

 private:
  void set(const std::vector<uint64_t>& at) {
    size_t i = 0;
    each_below(module_, [&](Module& each) { each.draws_ = at[i++]; });
  }
  Module& module_;
  std::vector<uint64_t> after_;
};

Tensors checkpointed(Module& m, std::shared_ptr<const Segment> run, std::span<const Tensor> in) {
  struct Again {
    Module* module;
    std::shared_ptr<const Segment> run;
    std::vector<uint64_t> keys;
    std::shared_ptr<bool> again = std::make_shared<bool>(false);
    Tensors operator()(std::span<const Tensor> x) const {
      if (!std::exchange(*again, true)) return (*run)(x);
      const ReplayKeys replay(*module, keys);
      return (*run)(x);
    }
  };
  return checkpoint(Again{&m, std::move(run), ReplayKeys::counters(m)}, in);
}

Tensor checkpointed(Module& m, const Tensor& x) {
  const auto call = [&m](std::span<const Tensor> in) -> Tensors { return {m(in[0])}; };
  return checkpointed(m, call, std::span(&x, 1))[0];
}

Tensors checkpointed(Joint& m, std::span<const Tensor> x) {
  return checkpointed(m, [&m](std::span<const Tensor> in) { return m(in); }, x);
}

Tensors Joint::operator()(std::span<const Tensor> x) {
  if (vacant()) return {x.begin(), x.end()};
  const Scope scope(name());
  return pass(x);
}

}  // namespace fovea
