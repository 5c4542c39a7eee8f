--- Mistakes in policies that are found without running them.
package.path = "tests/lua/?.lua;" .. package.path
local check = require("durward.check")
local support = require("support")
local words = require("durward.check.words")

local function findings(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  local list = {}
  for i, finding in ipairs((check.policy(path))) do
    list[i] = finding.line .. ": " .. finding.message
  end
  os.remove(path)
  return list
end

local function of_hook(line)
  return findings("local durward = require('durward')\nlocal match, rule = durward.match, durward.rule\n"
    .. "return { authorize = function(e)\n" .. line .. "\nend }")
end

describe("check finds", function()
  local cases = {
    { "return e.prinicpal", "unknown event field 'prinicpal', did you mean 'principal'?" },
    { "return e.peer.adress", "unknown event field 'peer.adress', did you mean 'peer.address'?" },
    { "return e['gss']['indicator']", "unknown event field 'gss.indicator', did you mean 'gss.indicators'?" },
    { "return e.principal.relam", "unknown event field 'principal.relam', did you mean 'principal.realm'?" },
    { "local gss = e.gss if gss and gss.expire then return nil end",
      "unknown event field 'gss.expire', did you mean 'gss.expires'?" },
    { "return (function() return e.usr end)()", "unknown event field 'usr', did you mean 'user'?" },
    { "return e.principal == 'alice@HOME.EXAMPLE'", "event.principal is not text: compare event.principal.name" },
    { "if 'x' ~= e.principal then return nil end", "event.principal is not text: compare event.principal.name" },
    { "e.user = 'bob'", "event field 'user' cannot be set: events are read-only" },
    { "local a, b a, e.peer.port = 1, 2 return a, b", "event field 'peer.port' cannot be set: events are read-only" },
    { "return durward.alow()", "durward has no 'alow', did you mean 'allow'?" },
    { "return match.relam('X')(e)", "durward.match has no 'relam', did you mean 'realm'?" },
    { "return durward.rule.permit", "durward.rule has no 'permit'" },
    { "return durward.allow { usr = 'x' }", "durward.allow has no field 'usr', did you mean 'user'?" },
    { "return durward.deny({ reson = 'x' })", "durward.deny has no field 'reson', did you mean 'reason'?" },
    { "return string.fromat('%s', 1)", "string has no 'fromat', did you mean 'format'?" },
    { "return tostrng(e)", "undefined name 'tostrng', did you mean 'tostring'?" },
    { "local counter = 1 return conter", "undefined name 'conter', did you mean 'counter'?" },
    { "return os.time()", "undefined name 'os'" },
    { "do local x = 1 print(x) end return x", "undefined name 'x'" },
    { "for i = 1, 2 do print(i) end return i", "undefined name 'i'" },
    { "repeat local done = true until done return done", "undefined name 'done'" },
    { "return print(undefined_a, 1)", "undefined name 'undefined_a'" },
    { "count = 1", "assignment to global 'count': declare it with 'local'" },
    { "function helper() end", "assignment to global 'helper': declare it with 'local'" },
    { "return rule.allow('x', function(ev) return ev.usr end)", "unknown event field 'usr', did you mean 'user'?" },
    { "local f = function(x, event) return x, event.usr end return f",
      "unknown event field 'usr', did you mean 'user'?" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      assert.same({ "4: " .. case[2] }, of_hook(case[1]))
    end)
  end

  it("several in one file, in order", function()
    local text = "return {\n  map = function() return x, y end,\n\n"
      .. "authorize = function(event)\n  return event.usr end }"
    assert.same({
      "2: undefined name 'x'", "2: undefined name 'y'", "5: unknown event field 'usr', did you mean 'user'?",
    }, findings(text))
  end)

  it("what files beside the policy hold", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir -p " .. folder .. "/lib"))
    local function write(name, text)
      local file = assert(io.open(folder .. "/" .. name, "w"))
      file:write(text)
      file:close()
    end
    write("policy.lua", "local h = require('lib.help') return { map = function(e) return h.f(e) end }")
    write("lib/help.lua", "local again = require 'lib.help' return { f = function(event) return again, event.usr end }")
    local found, files = check.policy(folder .. "/policy.lua")
    os.execute("rm -r " .. folder)
    assert.same({ { file = folder .. "/lib/help.lua", line = 1,
      message = "unknown event field 'usr', did you mean 'user'?" } }, found)
    assert.same({ folder .. "/policy.lua", folder .. "/lib/help.lua" }, files)
  end)
end)

describe("check says nothing of", function()
  local sound = {
    "local x <const>, y <close> = 1, nil return x // 2 << 1 >> 2, ~x & 3 | 4 ~ 5, y, #'a', -x ^ 2, not x",
    "goto done ::done:: return nil",
    "local t = { [1] = 2; 3, a = 4, f = function(self) return self end, } t.b = 1 t['c'] = t.a.b.c return t",
    "local t = {} function t.x.y:z(a, ...) return self, a, ... end return t:x 'a' { 1 } [[b]] (2)",
    "for k, v in pairs({}) do print(k, v) end while false do break end repeat local d = 1 until d == 1",
    "local e2 = e e2 = { usr = 1 } return e2.usr",
    "if e.user == nil then return 1 elseif e.peer.port then return 2 else return 3 end",
    "local function f(n) return n == 0 and 1 or f(n - 1) end return f(3), 1e-5, 0x1p4, 'a' .. 1",
    "return e.principal.name == 'x', e.principal == e.principal, (e.gss or {}).anything, e[e.user]",
    "return pcall(error, 'x'), ('x'):rep(3), utf8.char(1), string.format('%d', 1), math.maxinteger",
    "-- os.time() e.usr\nreturn 'e.usr os.time()', [==[\nos.time()]]]==]",
  }
  for _, text in ipairs(sound) do
    it(text, function()
      assert.same({}, of_hook(text))
    end)
  end

  local files = {}
  local list = io.popen("ls policies/*.lua examples/*/policy*.lua")
  for path in list:lines() do
    files[#files + 1] = path
  end
  list:close()
  for _, path in ipairs(files) do
    it(path, function()
      assert.same({}, (check.policy(path)))
    end)
  end
end)

describe("the words that check knows", function()
  it("are those of the sandbox", function()
    local text = { "local known = { " }
    for name, fields in pairs(words) do
      text[#text + 1] = ("{ %q, %s, { "):format(name, name)
      for field in pairs(type(fields) == "table" and fields or {}) do
        text[#text + 1] = ("%s = true, "):format(field)
      end
      text[#text + 1] = "} }, "
    end
    text[#text + 1] = [[}
      return { map = function()
        for _, one in ipairs(known) do
          local name, value, fields = one[1], one[2], one[3]
          if (type(value) == "table") ~= (next(fields) ~= nil) then
            return nil, name
          end
          for field in pairs(fields) do
            if value[field] == nil then
              return nil, "no " .. name .. "." .. field
            end
          end
          for field in pairs(type(value) == "table" and value or {}) do
            if not fields[field] then
              return nil, "unknown " .. name .. "." .. field
            end
          end
        end
        return "alice"
      end, authorize = rule.allow("it") }]]
    local decision = support.policy(table.concat(text)):decide({})
    assert.equal("alice", decision.user, decision.reason)
    -- and nothing besides
    for name in pairs(_G) do
      if not words[name] then
        local says = support.policy("return { map = function() return " .. name .. " end }"):decide({})
        assert.truthy(says.reason:find("undefined name '" .. name .. "'", 1, true), name)
      end
    end
  end)
end)
