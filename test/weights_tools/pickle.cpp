// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/pickle.cpp — the pickle machine on hand-made programs: values, wrong operands, limits.
#include "weights_tools/pickle.h"

#include "test/support/allocations.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;
using Kind = PickleValue::Kind;

namespace {
Pickle read(const std::string& s, const PickleOptions& o = {}) { return read_pickle(bytes_of(s), "test", o); }
Error refused(const std::string& s, const PickleOptions& o = {}) {
  return error_of([&] { read(s, o); });
}
// The same, with what reading allocated until then.
struct Refusal {
  Error error;
  int64_t bytes;
};
Refusal costly(const std::string& s, const PickleOptions& o = {}) {
  const CountAllocations counting;
  return {refused(s, o), CountAllocations::so_far().bytes};
}
const std::string ordered = global("collections", "OrderedDict") + ")R", opaque = global("my.module", "Thing") + ")R";
}  // namespace

TEST_CASE("pickled values", "[weights]") {
  const std::string dict = "}(" + unicode("k") + "K\5" + unicode("k") + "K\6" + "K\1" + "Nu.";
  const Pickle p = read(dict);
  CHECK(p.root->find("k")->integer == 6);
  CHECK(p.root->find("none") == nullptr);
  const std::string minus = "J\xff\xff\xff\xff.", minus_long = std::string("\x8a\x02\x00\xff.", 5),
                    real = "G\x3f\xf8" + std::string(6, '\0') + ".";
  CHECK(read(minus).root->integer == -1);
  CHECK(read(minus_long).root->integer == -256);
  const std::string zero_long = std::string("\x8a\x00.", 3);
  CHECK(read(zero_long).root->integer == 0);
  CHECK(read(real).root->real == 1.5);
  const std::string wide = "\x8a\x0a" + std::string(10, '\1') + ".";
  CHECK(read(wide).root->is(Kind::big_integer));
  const std::string named = "\x80\x04\x8c\x02my\x8c\x05Thing\x93.";
  const Pickle thing = read(named);
  CHECK(thing.root->is_global("my", "Thing"));
  CHECK(thing.globals == std::vector<std::string>{"my.Thing"});
  const std::string circle =
      "]q\x01h\x01"
      "a.";  // a list that holds itself
  const Pickle self = read(circle);
  CHECK(self.root->items[0] == self.root);
}

TEST_CASE("opcodes on operands of a wrong type are refused", "[weights]") {
  // Every value that a pickle can put on the stack, against every opcode that takes operands.
  struct Operand {
    const char* name;
    std::string code;
    bool list_like, dict_like, set_like, takes_state, callable, is_tuple, is_text, is_id;
  };
  const std::string id =
      tuple({unicode("storage"), global("torch", "FloatStorage"), unicode("0"), unicode("cpu"), "K\4"});
  const std::vector<Operand> operands = {{"None", "N", 0, 0, 0, 0, 0, 0, 0, 0},
                                         {"True", "\x88", 0, 0, 0, 0, 0, 0, 0, 0},
                                         {"integer", "K\1", 0, 0, 0, 0, 0, 0, 0, 0},
                                         {"float", "G" + std::string(8, '\0'), 0, 0, 0, 0, 0, 0, 0, 0},
                                         {"text", unicode("a"), 0, 0, 0, 0, 0, 0, 1, 0},
                                         {"bytes", "C\1a", 0, 0, 0, 0, 0, 0, 0, 0},
                                         {"tuple", ")", 0, 0, 0, 0, 0, 1, 0, 0},
                                         {"list", "]", 1, 0, 0, 0, 0, 0, 0, 0},
                                         {"dict", "}", 0, 1, 0, 0, 0, 0, 0, 0},
                                         {"set", "\x8f", 0, 0, 1, 0, 0, 0, 0, 0},
                                         {"OrderedDict", ordered, 0, 1, 0, 1, 0, 0, 0, 0},
                                         {"class", global("a", "B"), 0, 0, 0, 0, 1, 0, 0, 0},
                                         {"object", opaque, 1, 1, 1, 1, 0, 0, 0, 0},
                                         {"storage id", id, 0, 0, 0, 0, 0, 1, 0, 1},
                                         {"storage", id + "Q", 0, 0, 0, 0, 0, 0, 0, 0}};
  const auto check = [](const std::string& what, const std::string& code, bool good) {
    const Error e = refused(code + ".");
    INFO(what);
    INFO(e.what());
    CHECK((e.kind() == Error::Kind::internal) == good);  // internal: nothing was thrown
    if (!good) CHECK(e.kind() == Error::Kind::format);
  };
  for (const Operand& o : operands) {
    check(str_cat("APPEND on ", o.name), o.code + "Na", o.list_like);
    check(str_cat("APPENDS on ", o.name), o.code + "(NNe", o.list_like);
    check(str_cat("SETITEM on ", o.name), o.code + "K\1Ns", o.dict_like);
    check(str_cat("SETITEMS on ", o.name), o.code + "(K\1Nu", o.dict_like);
    check(str_cat("ADDITEMS on ", o.name), o.code + "(K\1\x90", o.set_like);
    check(str_cat("BUILD on ", o.name), o.code + "}b", o.takes_state);
    check(str_cat("REDUCE of ", o.name), o.code + ")R", o.callable);
    check(str_cat("REDUCE with ", o.name), global("a", "B") + o.code + "R", o.is_tuple);
    check(str_cat("NEWOBJ of ", o.name), o.code + ")\x81", o.callable);
    check(str_cat("NEWOBJ with ", o.name), global("a", "B") + o.code + "\x81", o.is_tuple);
    check(str_cat("NEWOBJ_EX of ", o.name), o.code + ")}\x92", o.callable);
    check(str_cat("NEWOBJ_EX with names ", o.name), global("a", "B") + ")" + o.code + "\x92",
          o.dict_like && !o.list_like);
    check(str_cat("STACK_GLOBAL of ", o.name), o.code + unicode("b") + "\x93", o.is_text);
    check(str_cat("STACK_GLOBAL to ", o.name), unicode("b") + o.code + "\x93", o.is_text);
    check(str_cat("BINPERSID of ", o.name), o.code + "Q", o.is_id);
  }
  for (const char* op :
       {"2", "V\n", "S'a'\n", "i", "o", "l", "d", "P", "p0\n", "g0\n", "\x82\1", "\x83\1\1", "\x84\1\1\1\1", "\x97"})
    CHECK(mentions(refused(str_cat("N", op, ".")), "opcode"));
}

TEST_CASE("storages are named by five values of fixed types", "[weights]") {
  const std::string type = global("torch", "FloatStorage"), key = unicode("0"), place = unicode("cpu"), n = "K\4",
                    kind = unicode("storage");
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {kind},
                                                       {kind, type, key, place},
                                                       {kind, type, key, place, n, "N", "N"},
                                                       {unicode("module"), type, key, place, n},
                                                       {kind, key, key, place, n},
                                                       {kind, type, n, place, n},
                                                       {kind, type, key, place, "N"},
                                                       {n, type, key, place, n},
                                                       {kind, type, key, place, integer(-1)},
                                                       {kind, type, key, place, "G" + std::string(8, '\0')}};
  for (const auto& items : wrong) CHECK(refused(tuple(items) + "Q.").kind() == Error::Kind::format);
  CHECK(read(tuple({kind, type, key, place, n}) + "Q.").storages.size() == 1);
}

TEST_CASE("pickles that stop short, or leave the stack in disorder", "[weights]") {
  for (const std::string& s : {std::string(), std::string("N"), std::string("."), std::string("(."), std::string("NN."),
                               std::string("t."), std::string("(N."), std::string("}(K\1u."), std::string("h\0.", 3),
                               std::string("q\0.", 3), std::string("\x85."), std::string("N\x86."),
                               std::string("X\xff\xff\xff\xff."), std::string("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."),
                               std::string("ca\nb"), std::string("\x95\xff\xff\xff\xff\xff\xff\xff\x7f."),
                               std::string("\x80\x63."), std::string("](NR."), std::string("((N.")}) {
    CHECK(refused(s).kind() == Error::Kind::format);
  }
  CHECK(refused("}]Ns.").kind() == Error::Kind::format);  // a list as a key
}

TEST_CASE("integers of any length, and those of protocol 1", "[weights]") {
  const auto value = [](const std::string& code) { return *read(code + ".").root; };
  for (const int n : {9, 16, 17, 26, 255}) {  // 2 ** 200 takes 26 bytes
    INFO(n);
    const std::string bytes(static_cast<size_t>(n), '\1');
    const std::string code = str_cat('\x8a', static_cast<char>(n), bytes, '.');
    const Pickle p = read(code);
    CHECK(p.root->is(Kind::big_integer));
    CHECK(p.root->text == bytes);
  }
  const std::string long4 = "\x8b" + le(70'000, 4) + std::string(70'000, '\1') + ".";
  CHECK(read(long4).root->text.size() == 70'000);
  CHECK(value("I12\n").integer == 12);
  CHECK(value("I-3\n").integer == -3);
  CHECK(value("L5L\n").integer == 5);
  CHECK(value("L-9223372036854775808L\n").integer == INT64_MIN);
  CHECK(value("I01\n").is(Kind::boolean));
  CHECK(value("I01\n").integer == 1);
  CHECK(value("I00\n").integer == 0);
  const std::string large = "L119547037146038801333356L\n.";
  CHECK(read(large).root->is(Kind::big_integer));
  CHECK(read(large).root->text == "119547037146038801333356");
  for (const char* wrong : {"I\n", "L\n", "L-\n", "I1x\n", "L1LL\n", "I0x10\n", "L"})
    CHECK(refused(str_cat(wrong, ".")).kind() == Error::Kind::format);
}

TEST_CASE("frozensets, objects made with names, tuples that hold themselves", "[weights]") {
  const std::string frozen = "(K\1K\2\x91.";
  const Pickle set = read(frozen);
  CHECK(set.root->is(Kind::set));
  CHECK(set.root->items.size() == 2);
  const std::string named = global("my", "Thing") + "K\1\x85}" + unicode("a") + "K\2s\x92.";
  CHECK(read(named).root->is(Kind::object));
  // t = ([],); t[0].append(t), as Python writes it in protocols 1 and 2
  const std::string by_mark = "(]q\1(h\1tq\2a1h\2.", by_pop = "]q\1h\1\x85q\2a0h\2.";
  for (const std::string& code : {by_mark, by_pop}) {
    const Pickle circle = read(code);
    REQUIRE(circle.root->is(Kind::tuple));
    CHECK(circle.root->items[0]->items[0] == circle.root);
  }
}

TEST_CASE("long lists beside the weights are read", "[weights]") {
  std::string losses = "](";
  for (int i = 0; i < 1'500'000; ++i) losses += "G" + std::string(8, static_cast<char>(i));
  losses += "e.";
  CHECK(read(losses).root->items.size() == 1'500'000);
  const std::string nothing = "](" + std::string(5'000'000, 'N') + "e.";
  CHECK(read(nothing).root->items.size() == 5'000'000);
}

TEST_CASE("pickles made to exhaust memory or time stop early", "[weights]") {
  constexpr int64_t kKilobyte = 1000, kMegabyte = 1000 * kKilobyte;
  const PickleOptions little{.max_memory = 16 << 20};
  const auto stops = [](const std::string& s, const char* why, int64_t bytes, const PickleOptions& o = {}) {
    const Refusal r = costly(s, o);
    CHECK(mentions(r.error, why));
    CHECK(r.bytes < bytes);
  };
  stops(std::string(2'000'000, '('), "1000 levels", 100 * kKilobyte);
  stops("N" + std::string(2'000'000, '\x85') + ".", "18777218 bytes of memory", 50 * kMegabyte, little);
  CHECK_NOTHROW(
      read("N" + std::string(900'000, '\x85') + "."));  // nested that deep: neither reading nor dropping it recurses
  stops("\x8b\xff\xff\xff\x7f.", "2147483647 more were expected", 100 * kKilobyte);
  stops("c" + std::string(5000, 'a') + "\nb\n.", "5000 characters", 100 * kKilobyte);
  for (const std::string_view code : {"]", "}", "\x8f"})  // each a value of its own for one byte
    stops("(" + std::string(1'000'000, code[0]) + "t.", "bytes of memory", 50 * kMegabyte, little);
  CHECK_NOTHROW(read("(" + std::string(1'000'000, 'N') + "t.", little));
  std::string copies = "]q\x01(";  // one long list, then dicts of it again and again
  for (int i = 0; i < 20'000; ++i) copies += "NN\x86";
  copies += "eq\x01";
  for (int i = 0; i < 1000; ++i) copies += global("collections", "OrderedDict") + "h\x01\x85R";
  stops(copies + ".", "bytes of memory", 50 * kMegabyte, little);
  std::string memo = "N";  // entries of the memo with numbers far apart
  for (uint64_t i = 0; i < 400'000; ++i) memo += "r" + le(i * 10'000, 4);
  stops(memo + ".", "bytes of memory", 50 * kMegabyte, little);
}

TEST_CASE("globals that reach for the machine are told from those that make tensors", "[weights]") {
  for (const char* name : {"os.system",
                           "posix.system",
                           "nt.system",
                           "sys.modules",
                           "subprocess.Popen",
                           "builtins.eval",
                           "builtins.exec",
                           "__builtin__.apply",
                           "builtins.getattr",
                           "builtins.open",
                           "builtins.__import__",
                           "shutil.rmtree",
                           "socket.socket",
                           "importlib.import_module",
                           "runpy.run_path",
                           "pickle.loads",
                           "torch.load",
                           "torch.hub.load",
                           "numpy.testing._private.utils.runstring",
                           "ctypes.CDLL",
                           "webbrowser.open",
                           "operator.attrgetter",
                           "timeit.timeit",
                           "code.interact",
                           "torch:hub.load",
                           "collections:OrderedDict.__class__.__base__"}) {
    INFO(name);
    CHECK(is_suspicious_global(name));
  }
  for (const char* name :
       {"torch._utils._rebuild_tensor_v2", "collections.OrderedDict", "argparse.Namespace", "builtins.set",
        "torch.FloatStorage", "oslo.config", "system.x", "numpy.core.multiarray.scalar", "_codecs.encode", "codec.x"}) {
    INFO(name);
    CHECK_FALSE(is_suspicious_global(name));
  }
  CHECK(mentions(refused(global("os", "system") + "K\1R."), "os.system"));
  // From protocol 4 on, dots within the name lead from attribute to attribute.
  const std::string dotted = unicode("collections") + unicode("abc.sys.modules") + "\x93.";
  CHECK(read(dotted).globals == std::vector<std::string>{"collections:abc.sys.modules"});
  CHECK(mentions(refused(dotted, {.strict = true}), "collections:abc.sys.modules"));
}
