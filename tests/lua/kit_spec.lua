--- Table tests: cases as JSON lines, put to a policy.
package.path = "tests/lua/?.lua;" .. package.path
local kit = require("durward.kit")
local support = require("support")

local function lines(...)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(table.concat({ ... }, "\n"), "\n")
  finally(function()
    os.remove(path)
  end)
  return path
end

local policy = support.policy("return { map = map.strip_realm('HOME.EXAMPLE'), authorize = rule.first { "
  .. "rule.deny('bob is on leave', match.user('bob')), "
  .. "rule.allow('staff', { properties = { ['X-Team'] = 'ops' }, sockets = { 'SUB' }, expires = 5 }) } }",
  { time = 1 })

describe("kit.cases", function()
  for _, case in ipairs(kit.cases("tests/lua/kit_cases.jsonl")) do
    it(case.name, function()
      assert(policy:check(case))
    end)
  end

  it("says what differs, where, and why it was decided so", function()
    local path = lines('{"event":{"principal":"alice@HOME.EXAMPLE"},"expect":{"verdict":"deny","user":"alice",'
      .. '"expires":6,"properties":{"X-Team":"dev"},"backend":"ipc:///x"}}')
    local case = kit.cases(path)[1]
    assert.equal(path .. ":1", case.name)
    local same, why = policy:check(case)
    assert.is_nil(same)
    for _, sentence in ipairs({ 'verdict is "allow", expected "deny"', "expires is 5, expected 6",
      'backend is nil, expected "ipc:///x"', 'properties is { X-Team = "ops" }, expected { X-Team = "dev" }' }) do
      assert.truthy(why:find(path .. ":1: " .. sentence, 1, true), why)
    end
    assert.falsy(why:find(":1: user is", 1, true), why)
    assert.truthy(why:find('authorize: rule "staff" matched: allow', 1, true), why)
  end)

  it("takes what a journal has", function()
    local path = lines('{"time":"2026-11-22T10:00:00.000Z","id":"1","policy":{},'
      .. '"event":{"principal":"bob@HOME.EXAMPLE"},'
      .. '"decision":{"verdict":"deny","user":"bob","rule":"as it was called then"},"trace":[],"took_us":1}')
    assert(policy:check(kit.cases(path)[1]))
  end)

  local event, expect = '"event":{"principal":"a@B"}', '"expect":{"verdict":"deny"}'
  for _, wrong in ipairs({
    { "{", "this is no JSON object" },
    { "null", "this is no JSON object" },
    { "[1]", "the case has an unknown field '1'" },
    { "7", "the case is number, not an object" },
    { "{" .. event .. "}", "'expect' is nil, not an object" },
    { "{" .. expect .. "}", "'event' is nil, not an object" },
    { "{" .. event .. ',"expect":{}}', "'expect' is empty" },
    { "{" .. event .. ',"expcet":{}}', "the case has an unknown field 'expcet', did you mean 'expect'?" },
    { "{" .. event .. ',"expect":{"usr":"a"}}', "'expect' has an unknown field 'usr', did you mean 'user'?" },
    { '{"event":{"princpal":"a"},' .. expect .. "}",
      "'event' has an unknown field 'princpal', did you mean 'principal'?" },
  }) do
    it("names the line: " .. wrong[2], function()
      local path = lines("", "{" .. event .. "," .. expect .. "}", wrong[1])
      local ok, why = pcall(kit.cases, path)
      assert.is_false(ok)
      assert.truthy(why:find(path .. ":3: " .. wrong[2], 1, true), why)
    end)
  end

  it("names a file that is missing, or holds nothing", function()
    assert.error_matches(function()
      kit.cases("/nowhere.jsonl")
    end, "kit.cases: /nowhere.jsonl: No such file", 1, true)
    assert.error_matches(function()
      kit.cases(lines(""))
    end, "holds no case", 1, true)
  end)
end)
