--- What the annotations say of an event is what C knows of it: nothing more, nothing less.
local fields = require("durward.kit.host").fields()

local function annotations()
  local classes, current = {}, nil
  for line in io.lines("lua/durward/types.lua") do
    local class = line:match("^%-%-%-@class ([%w_.]+)")
    local name, kind = line:match("^%-%-%-@field ([%w_]+)%??%s+(%S+)")
    if class then
      current = class
      classes[class] = {}
    elseif name then
      classes[current][name] = kind
    end
  end
  return classes
end

local function names(of)
  local list = {}
  for name in pairs(of) do
    list[#list + 1] = name
  end
  table.sort(list)
  return list
end

describe("types.lua", function()
  local classes = annotations()

  it("has every field of an event", function()
    assert.same(names(fields), names(classes["durward.Event"]))
  end)

  for name, group in pairs(fields) do
    if type(group) == "table" then
      it("has every field of event." .. name, function()
        assert.same(names(group), names(classes[classes["durward.Event"][name]]))
      end)
    end
  end

  it("has every hook", function()
    assert.same({ "authorize", "close", "connect", "map", "realm" }, names(classes["durward.Policy"]))
  end)

  for _, module in ipairs({ "principal", "a2l", "realms", "secret", "zap", "zone" }) do
    it("has every function of durward." .. module, function()
      assert.same(names(require("durward." .. module)), names(classes["durward." .. module]))
    end)
  end

  it("has what rules, steps and findings hold", function()
    local a2l = require("durward.a2l")
    local rules = a2l.compile("RULE:[1:$1@$0](.*@HOME)s/@.*//", { default_realm = "HOME" })
    for name in pairs(classes["durward.a2l.Rules"]) do
      assert.is_function(rules[name])
    end
    local steps = rules:explain("alice@HOME")
    assert.same(names(classes["durward.a2l.Step"]), names(steps[1]))
    assert.same(names(classes["durward.a2l.Edit"]), names(steps[1].substitutions[1]))
    assert.same(names(classes["durward.a2l.Finding"]), names(rules:lint()[1]))
  end)
end)

describe("modules in Lua", function()
  for _, module in ipairs({ "match", "rule", "map", "spn", "limit", "groups", "roster", "await", "log", "kit" }) do
    it("annotate every public function: " .. module, function()
      local before
      for line in io.lines("lua/durward/" .. module .. ".lua") do
        local name = line:match("^function ([%w_]+[.:][%w_]+)")
        if name then
          assert.truthy(before:match("^%-%-%-"), name .. " has no annotation")
        end
        before = line
      end
    end)
  end
end)

describe("luacheck's std for policies", function()
  it("is what the sandbox has", function()
    local rc = { stds = {}, files = setmetatable({}, { __index = function(t, k) t[k] = {} return t[k] end }) }
    assert(loadfile(".luacheckrc", "t", rc))()
    local words, said = require("durward.check.words"), {}
    for name, value in pairs(rc.stds.durward_policy.read_globals) do
      if type(name) == "number" then
        said[value] = true
      else
        said[name] = value.fields or true
      end
    end
    assert.same(names(words), names(said))
    for name, listed in pairs(said) do
      if type(listed) == "table" then
        table.sort(listed)
        assert.same(names(words[name]), listed)
      end
    end
  end)
end)
