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
end)
