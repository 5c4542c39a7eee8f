std = "lua54"
max_line_length = 120
exclude_files = { "build", "build-*", "tests/fuzz/corpus" }
files["**/*_spec.lua"] = { std = "+busted" }

-- What a policy can reach: Lua without io, os, debug, package and load; no globals of its own.
stds.durward_policy = {
  read_globals = {
    "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "print", "rawequal", "rawget", "rawlen",
    "rawset", "require", "select", "setmetatable", "tonumber", "tostring", "type", "xpcall",
    string = {
      fields = {
        "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "pack", "packsize", "rep",
        "reverse", "sub", "unpack", "upper",
      },
    },
    table = { fields = { "concat", "insert", "move", "pack", "remove", "sort", "unpack" } },
    coroutine = { fields = { "create", "isyieldable", "resume", "status", "wrap", "yield" } },
    utf8 = { fields = { "char", "charpattern", "codepoint", "codes", "len", "offset" } },
    math = { other_fields = true },
  },
}
-- For LuaJIT.
files["examples/zap/forwarder.lua"] = { std = "luajit" }
files["examples/zap/server.lua"] = { std = "luajit" }
files["policies/**/*.lua"] = { std = "durward_policy" }
