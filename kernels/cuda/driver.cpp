// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/driver.h"

#include <dlfcn.h>

#include <cstdlib>
#include <string>

#include "engine/core/error.h"
#include "engine/core/out_of_memory.h"

namespace fovea::cuda {
namespace {

constexpr const char* kLibrary = "libcuda.so.1";
constexpr const char* kHelp = "it comes with NVIDIA's driver; FOVEA_CUDA_PATH names a folder to look in first";

struct Opened {
  Driver driver;
  std::string problem;                             // empty: the driver can be used
};

std::string version_text(int v) { return str_cat(v / 1000, ".", v % 1000 / 10); }

void* open_library(std::string& problem) {
  if (const char* folder = std::getenv("FOVEA_CUDA_PATH"); folder && *folder) {
    if (void* library = ::dlopen(str_cat(folder, "/", kLibrary).c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    problem = str_cat(::dlerror(), "; ");
  }
  void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (!library) problem += ::dlerror();
  return library;
}

// Null: all entries are there; else the name of one that is not.
const char* find_entries(void* library, Driver& d) {
#define FOVEA_DRIVER_ENTRY_NAMED(member, symbol)                               \
  d.member = reinterpret_cast<decltype(d.member)>(::dlsym(library, symbol));   \
  if (!d.member) return symbol;
#define FOVEA_DRIVER_TEXT(name) #name
#define FOVEA_DRIVER_ENTRY(name) FOVEA_DRIVER_ENTRY_NAMED(name, FOVEA_DRIVER_TEXT(name))
  FOVEA_DRIVER_ENTRIES(FOVEA_DRIVER_ENTRY)
#undef FOVEA_DRIVER_ENTRY
#undef FOVEA_DRIVER_TEXT
#undef FOVEA_DRIVER_ENTRY_NAMED
  return nullptr;
}

std::string words_for(const Driver& d, CUresult result) {
  const char *name = nullptr, *text = nullptr;
  d.cuGetErrorName(result, &name);
  d.cuGetErrorString(result, &text);
  return str_cat(name ? name : "an error without a name", " (", static_cast<int>(result), text ? "): " : ")",
                 text ? text : "");
}

Opened open_driver() {
  Opened o;
  void* library = open_library(o.problem);         // never closed: memory may be given back at the process's end
  if (!library) {
    o.problem = str_cat(kLibrary, " cannot be opened: ", o.problem);
    return o;
  }
  o.problem.clear();
  if (const char* missing = find_entries(library, o.driver)) {
    o.problem = str_cat(kLibrary, " lacks ", missing, ": CUDA ", version_text(CUDA_VERSION), " is wanted");
    return o;
  }
  int version = 0;
  if (const CUresult r = o.driver.cuInit(0); r != CUDA_SUCCESS) {
    o.problem = str_cat(kLibrary, " was opened, but cuInit() gives ", words_for(o.driver, r));
  } else if (o.driver.cuDriverGetVersion(&version) != CUDA_SUCCESS || version < CUDA_VERSION / 1000 * 1000) {
    o.problem = str_cat("the driver is made for CUDA ", version_text(version), ", CUDA ",
                        version_text(CUDA_VERSION / 1000 * 1000), " is wanted");
  }
  return o;
}

const Opened& opened() {
  static const Opened* const one = new Opened(open_driver());          // outlives whoever gives memory back at exit
  return *one;
}

}  // namespace

const Driver& driver() {
  const Opened& o = opened();
  if (!o.problem.empty()) throw Error(Error::Kind::unsupported, "no GPU can be used: " + o.problem, kHelp);
  return o.driver;
}

void check(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  const std::string words = str_cat(what, ": ", words_for(driver(), result));
  if (result == CUDA_ERROR_OUT_OF_MEMORY) throw OutOfMemory(words);
  throw Error(Error::Kind::unsupported, words);
}

}  // namespace fovea::cuda
