// SPDX-License-Identifier: Apache-2.0
#include "train/class_map.h"

#include "engine/core/error.h"
#include "engine/core/text.h"
#include "weights_tools/mapped_file.h"
#include "weights_tools/pickle.h"

namespace fovea::train {
namespace {

using Kind = PickleValue::Kind;

bool is_pickle(const std::string& path) { return path.ends_with(".pkl") || path.ends_with(".PKL"); }

data::ClassMap unpickled(const std::string& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path, FileAccess::read);
  const Pickle pickle = read_pickle(file->bytes(), path);
  if (!pickle.globals.empty())
    throw Error(Error::Kind::format, str_cat("the class map ", path, " names ", pickle.globals[0]),
                "a class map is a plain dict of names to numbers");
  if (!pickle.root->is(Kind::dict) || pickle.root->items.empty())
    throw Error(Error::Kind::format, str_cat("the class map ", path, " is ", describe(*pickle.root)),
                "a class map is a dict of names to numbers");
  data::ClassMap out;
  for (size_t i = 0; i + 1 < pickle.root->items.size(); i += 2) {
    const PickleValue &key = *pickle.root->items[i], &number = *pickle.root->items[i + 1];
    if ((!key.is(Kind::text) && !key.is(Kind::integer)) || !number.is(Kind::integer))
      throw Error(Error::Kind::format,
                  str_cat("the class map ", path, " maps ", describe(key), " to ", describe(number)),
                  "names or numbers are mapped to numbers");
    out.add(key.is(Kind::text) ? std::string(key.text) : str_cat(key.integer), number.integer);
  }
  return out;
}

}  // namespace

data::ClassMap read_class_map(const std::string& path) {
  return is_pickle(path) ? unpickled(path) : data::read_class_map(path);
}

}  // namespace fovea::train
