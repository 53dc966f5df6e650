// SPDX-License-Identifier: Apache-2.0
// cli/doctor.cpp — `fovea doctor`: what was found on this machine, and whether fovea computes as it should there.
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string_view>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "data/codecs.h"
#include "data/decode.h"
#include "engine/autograd/autograd.h"
#include "engine/core/backend.h"
#include "engine/core/error.h"
#include "engine/core/isa.h"
#include "engine/core/processors.h"
#include "engine/core/threads.h"
#include "engine/ops/ops.h"
#include "hub/settings.h"
#include "hub/transport.h"
#include "zoo/plan_cache.h"
#include "zoo/zoo.h"

namespace fovea::cli {
namespace {

namespace fs = std::filesystem;

void line(const char* what, const std::string& text) { std::printf("%-14s%s\n", what, text.c_str()); }

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value && *value ? str_cat(", ", name, "=", value) : std::string();
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string l; std::getline(file, l);)
    if (const size_t colon = l.find(": "); l.starts_with("model name") && colon != l.npos) return l.substr(colon + 2);
  return "unknown";
}

// Those that kernels ask for.
std::string instructions() {
  std::string all;
  for (const std::string_view name : machine_features()) all += str_cat(all.empty() ? "" : " ", name);
  return all.empty() ? std::string(name_of(known_isas().front())) : all;
}

std::string quota() {
  const double q = cgroup_quota("");
  return q > 0 ? str_cat("cgroup quota ", q) : "no cgroup quota";
}

int in_affinity_mask() {
  return processors_of_mask([](size_t bytes, cpu_set_t* m) { return sched_getaffinity(0, bytes, m); });
}

std::string devices_of(const Backend& b) {          // how many, or why there are none
  try {
    return str_cat(runtime_of({b.device, 0}).devices());
  } catch (const Error& e) {
    const std::string_view why = e.what();
    return std::string(why.substr(0, why.find('\n')));
  }
}

void say_machine() {
  line("fovea", FOVEA_VERSION);
  line("processor", processor());
  line("instructions", str_cat(instructions(), "; kernels use at most ", name_of(isa_limit()), setting("FOVEA_ISA")));
  line("threads", str_cat(threads(), " (", in_affinity_mask(), " processors in the affinity mask, ", quota(),
                      setting("FOVEA_THREADS"), ")"));
  std::string all;
  for (const Backend* b : backends())
    all += str_cat(all.empty() ? "" : ", ", b->name, " on ", name_of(b->device), " (", devices_of(*b), ")");
  line("backends", all);
}

// That which runs, not that which headers were of.
std::string onednn() {
  struct Version {
    int major, minor, patch;
  };
  using Ask = const Version* (*)();
  const auto ask = reinterpret_cast<Ask>(::dlsym(RTLD_DEFAULT, "dnnl_version"));
  if (!ask) return "not linked";
  const Version* v = ask();
  return str_cat(v->major, ".", v->minor, ".", v->patch);
}

// Loaded as a download would.
std::string libcurl() {
  try {
    hub::network();
  } catch (const Error& e) { return e.summary(); }
  for (const char* name : {"libcurl.so.4", "libcurl-gnutls.so.4"})
    if (void* library = ::dlopen(name, RTLD_LAZY | RTLD_NOLOAD))
      if (const auto version = reinterpret_cast<const char* (*)()>(::dlsym(library, "curl_version"))) return version();
  return "of an unknown version";
}

void say_libraries() {
  line("oneDNN", onednn());
  line("libcurl", libcurl());
  for (const data::Codec& c : data::codecs()) line(std::string(c.name).c_str(), c.version);
}

std::string described(const std::string& folder, const std::string& extension) {
  if (folder.empty()) return "none: neither a variable nor HOME says where";
  std::error_code unknown;
  if (!fs::is_directory(folder, unknown)) return folder + " (not there yet)";
  int64_t files = 0, bytes = 0;
  for (const fs::directory_entry& e : fs::directory_iterator(folder, unknown))
    if (extension.empty() || e.path().extension() == extension) {
      ++files;
      if (e.is_regular_file(unknown)) bytes += static_cast<int64_t>(e.file_size(unknown));
    }
  return str_cat(folder, " (", files, extension.empty() ? " entries" : " plans",
                 bytes ? str_cat(", ", bytes >> 20, " MB") : "", ")");
}

void say_caches() {
  line("plan cache", described(zoo::PlanCache::folder(), ".plan"));
  const hub::Settings hub = hub::settings_from_environment();
  line("hub cache", described(hub.cache, ""));
  line("torch cache", described(hub.checkpoints, ""));
  line("hub",
       str_cat(hub.endpoint, hub.offline ? ", offline" : "", hub.token.empty() ? ", no token" : ", with a token"));
}

// --- Does it compute? ------------------------------------------------------------------------------------------------

Tensor ramp(const Shape& s) {
  Tensor t = empty(s);
  std::span<float> v = t.mutable_data<float>();
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(i * 7919 % 2001) / 1000.f - 1;
  return t;
}

// The largest difference, over the largest value of the reference.
double difference(const Tensor& a, const Tensor& reference) {
  const std::span<const float> x = a.data<float>(), y = reference.data<float>();
  double most = 0, apart = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    most = std::max(most, std::abs(static_cast<double>(y[i])));
    const double d = std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i]));
    apart = std::isfinite(d) ? std::max(apart, d) : INFINITY;
  }
  return most > 0 ? apart / most : apart;
}

// The smallest model that this build has.
std::unique_ptr<zoo::ImageModel> smallest_model() {
  std::unique_ptr<zoo::ImageModel> least;
  int64_t fewest = INT64_MAX;
  for (const std::string& name : zoo::list({.patterns = {"test_*", "mobilenetv3_small_0*", "resnet10t"}})) {
    std::unique_ptr<zoo::ImageModel> m = zoo::create(name);
    int64_t n = 0;
    for (const NamedParameter& p : m->named_parameters()) n += p.tensor().numel();
    if (n >= fewest) continue;
    fewest = n;
    least = std::move(m);
  }
  return least;
}

// Compiled for this machine beside the plain loops of the reference.
bool computes() {
  const std::unique_ptr<zoo::ImageModel> model = smallest_model();
  if (!model) {
    line("self-test", "left out: this build has no small model");
    return true;
  }
  model->materialise(1);
  model->eval();
  const NoGrad no_grad;
  constexpr int kEdge = 64;
  const Tensor x = ramp({1, model->input_size()[0], kEdge, kEdge});
  std::optional<Tensor> reference;
  try {
    const UseBackend plain("ref");
    reference = contiguous((*model)(x));
  } catch (const Error&) {}                        // it takes no other size than its own
  const Tensor image =
      reference ? x : ramp({1, model->input_size()[0], model->input_size()[1], model->input_size()[2]});
  if (!reference) {
    const UseBackend plain("ref");
    reference = contiguous((*model)(image));
  }
  Session session =
      zoo::compile(*model, {.height = static_cast<int>(image.dim(2)), .width = static_cast<int>(image.dim(3))});
  constexpr double kMost = 1e-4;
  std::set<std::string> kernels;
  for (const StepInfo& s : session.steps())
    if (s.role == Role::conv || s.role == Role::product) kernels.insert(s.plan);
  line("kernels", join(std::vector<std::string>(kernels.begin(), kernels.end()), ", "));
  const double apart = difference(contiguous(session.run(image)), *reference);
  line("self-test", str_cat(model->full_name(), " differs from the reference by ", apart,
                        apart <= kMost ? " of its largest value: good" : " of its largest value: WRONG"));
  return apart <= kMost;
}

// A bitmap of two pixels.
bool decodes() {
  if (!data::can_decode()) {
    line("images", "this build decodes none");
    return true;
  }
  constexpr unsigned char kBmp[] = {'B', 'M', 62, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 2, 0, 0,
                                    0,   1,   0,  0, 0, 1, 0, 24, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0,
                                    0,   0,   0,  0, 0, 0, 0, 0,  0, 0, 0, 0, 3, 2, 1, 6, 5, 4, 0, 0};
  const data::Image image = data::decode(std::as_bytes(std::span(kBmp)));
  const bool good = image.pixels == std::vector<uint8_t>{1, 2, 3, 4, 5, 6};
  line("images", good ? "decoded: good" : "decoded: WRONG");
  return good;
}

void run() {
  say_machine();
  say_libraries();
  say_caches();
  const bool good = decodes() & computes();
  flush_output();
  if (!good)
    throw Error(Error::Kind::internal, "the self-test failed",
                str_cat("FOVEA_ISA=", name_of(known_isas().front()), " may tell which kernels are at fault"));
}

}  // namespace

void add_doctor(Command app) {
  app.add_subcommand("doctor", "what was found on this machine: processor, threads, libraries, caches; and a self-test")
      .callback(run);
}

}  // namespace fovea::cli
