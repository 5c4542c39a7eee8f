--- `durward test --coverage`: lines and rules of policies that specs have run.
local cover = require("durward.cover")

local function lines(text)
  local list = {}
  for line in pairs(cover.lines(text)) do
    list[#list + 1] = line
  end
  table.sort(list)
  return list
end

describe("coverage", function()
  it("knows the lines that can run, in functions that never are", function()
    assert.same({ 1, 4, 5, 6, 8 },
      lines("local x = 1\nlocal function f(a)\n\n  return a +\n   x\nend\n-- nothing\nreturn f\n"))
    assert.same({ 1, 3, 4, 6, 7, 8 },
      lines("return {\n  map = function(event)\n"
        .. "    if event then\n      return 1\n    end\n    return nil\n  end,\n}\n"))
    assert.same({ 1, 303 }, lines("local x = 1\n" .. ("\n"):rep(300) .. "return function()\n return x end"))
  end)

  it("never rounds up", function()
    assert.equal("99.9%", cover.percent(99999, 100000))
    assert.equal("100.0%", cover.percent(3, 3))
    assert.equal("66.6%", cover.percent(2, 3))
    assert.equal("0.0%", cover.percent(0, 7))
    assert.equal("-", cover.percent(0, 0))
  end)

  it("tells what a policy's specs leave out", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    local function write(name, text)
      local file = assert(io.open(folder .. "/" .. name, "w"))
      file:write(text)
      file:close()
    end
    write("policy.lua", [[
local durward = require("durward")
return {
  map = function(event)
    if event.principal.instance then
      return nil, "no"
    end
    return "alice"
  end,
  authorize = durward.rule.first {
    durward.rule.deny("never", durward.match.user("bob")),
    durward.rule.allow("always"),
  },
}
]])
    write("policy_spec.lua", ("local policy = require('durward.kit').load('%s/policy.lua') it('runs', function() "
      .. "assert.equal('allow', policy:decide({ principal = 'alice@X' }).verdict) end)"):format(folder))
    local pipe = assert(io.popen("exec \"/proc/$PPID/exe\" test --coverage --output TAP " .. folder))
    local text = pipe:read("a")
    local _, _, code = pipe:close()
    write("policy_spec.lua", "it('fails', function() error('x') end)")
    pipe = assert(io.popen("exec \"/proc/$PPID/exe\" test --coverage --output TAP " .. folder))
    local failed = pipe:read("a")
    local _, _, failed_code = pipe:close()
    os.execute("rm -r " .. folder)
    assert.equal(0, code)
    assert.equal(([[
%s/policy.lua: lines 90.9%% (10 of 11), rules 50.0%% (1 of 2)
  lines never run: 5
  rule never decided: "never" (%s/policy.lua:10)
coverage: lines 90.9%% (10 of 11), rules 50.0%% (1 of 2)
]]):format(folder, folder), text:match("\n\n(.*)$"))
    assert.equal(1, failed_code)
    assert.truthy(failed:find("coverage: lines - (0 of 0), rules - (0 of 0)\n", 1, true))
  end)
end)
