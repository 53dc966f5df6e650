// SPDX-License-Identifier: Apache-2.0
// engine/graph/identity.cpp — what a saved session depends on besides its key: this build, and what the processor can.
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include <link.h>

#include "engine/core/error.h"
#include "engine/core/isa.h"
#include "engine/graph/session_cache.h"

namespace fovea {
namespace {

std::string hex(const void* data, size_t bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t b : std::span(static_cast<const uint8_t*>(data), bytes))
    text += {kDigits[b >> 4], kDigits[b & 15]};
  return text;
}

// The note that the linker writes into every program and library: a hash of what it linked.
std::string build_id(const char* note, size_t left) {
  while (left >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) head;
    std::memcpy(&head, note, sizeof head);
    const size_t name = (head.n_namesz + 3) / 4 * 4, size = (head.n_descsz + 3) / 4 * 4;
    if (sizeof head + name + size > left) break;
    if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && std::memcmp(note + sizeof head, "GNU", 4) == 0)
      return hex(note + sizeof head + name, head.n_descsz);
    note += sizeof head + name + size;
    left -= sizeof head + name + size;
  }
  return {};
}

struct Search {
  uintptr_t address;                               // of something in the program or library that is meant
  std::string found;
};

int visit(dl_phdr_info* info, size_t, void* data) {
  auto& search = *static_cast<Search*>(data);
  bool here = false;
  std::string id;
  for (const ElfW(Phdr)& p : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
    const uintptr_t at = info->dlpi_addr + p.p_vaddr;
    if (p.p_type == PT_LOAD && search.address >= at && search.address - at < p.p_memsz) here = true;
    if (p.p_type == PT_NOTE && id.empty()) id = build_id(reinterpret_cast<const char*>(at), p.p_filesz);
  }
  if (here) search.found = id;
  return here ? 1 : 0;
}

}  // namespace

std::string build_identity() {
  static const std::string known = [] {
    Search search{reinterpret_cast<uintptr_t>(&visit), {}};
    ::dl_iterate_phdr(visit, &search);
    return search.found;
  }();
  return known;
}

std::string processor_identity() {
  const std::vector<uint32_t> words = machine_words();
  return str_cat(machine_family(), " ", hex(words.data(), words.size() * sizeof(uint32_t)), " up to ",
                 name_of(isa_limit()));
}

}  // namespace fovea
