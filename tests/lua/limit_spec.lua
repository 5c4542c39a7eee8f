package.path = "tests/lua/?.lua;" .. package.path
local policy = require("support").policy

local function bucket(fields)
  local one = policy("return { connect = rule.first { rule.deny('slow down', match.none(durward.limit.bucket "
    .. fields .. ")) } }")
  return function(time, address)
    local decision = one:connect({ time = time, peer = address and { address = address } or nil })
    return decision.verdict == "allow"
  end
end

describe("limit.bucket", function()
  it("holds as often as it says, and again when time has passed", function()
    local passes = bucket("{ name = 'a', count = 3, per = 60, key = 'peer' }")
    assert.same({ true, true, true, false }, { passes(1000, "192.0.2.1"), passes(1000, "192.0.2.1"),
      passes(1001, "192.0.2.1"), passes(1002, "192.0.2.1") })
    assert.is_true(passes(1002, "192.0.2.2"))
    assert.is_false(passes(1019, "192.0.2.1"))
    assert.is_true(passes(1020, "192.0.2.1"))
    assert.is_false(passes(1020, "192.0.2.1"))
  end)

  it("never holds more than its burst, however long nobody came, and is not fooled by a clock set back", function()
    local passes = bucket("{ name = 'a', count = 60, per = 60, burst = 2, key = 'peer' }")
    assert.same({ true, true, false }, { passes(1, "::1"), passes(1, "::1"), passes(1, "::1") })
    assert.same({ true, true, false }, { passes(9999, "::1"), passes(9999, "::1"), passes(9999, "::1") })
    assert.is_false(passes(5, "::1"))
    assert.is_false(passes(9999.5, "::1"))
    assert.is_true(passes(10000, "::1"))
  end)

  it("counts an IPv6 peer by its network of 64 bits, and those without a key together", function()
    local passes = bucket("{ name = 'a', count = 1, per = 60, key = 'peer' }")
    assert.same({ true, false, true }, { passes(1, "2001:db8::1"), passes(1, "2001:db8::ffff:2"),
      passes(1, "2001:db8:0:1::1") })
    assert.same({ true, false }, { passes(1), passes(1) })
    assert.same({ true, false }, { passes(1, "::ffff:192.0.2.1"), passes(1, "::ffff:192.0.2.1") })
    assert.is_true(passes(1, "::ffff:192.0.2.2"))
  end)

  it("says in the trace why, and when the next may come", function()
    local one = policy("return { map = function() return 'alice' end, authorize = rule.first { "
      .. "rule.allow('it', durward.limit.bucket { name = 'logins', count = 1, per = 60, key = 'user' }) } }")
    assert.equal("allow", one:decide({ time = 100 }).verdict)
    assert.equal('rule "it" did not match: logins: more than 1 in 60 seconds for alice, the next in 50',
      one:decide({ time = 110 }).trace[2].text)
  end)

  local mistakes = {
    { "bucket()", "expected one table: limit.bucket { name =, count =, per =, key = }" },
    { "bucket { count = 1 }", "give it a name, by which it is the same in every worker and after a reload" },
    { "bucket { name = 'x', cuont = 1 }", "unknown field 'cuont', did you mean 'count'?" },
    { "bucket { name = 'x', count = 0, per = 1 }", "'x': count is 0, not a number from 1 on" },
    { "bucket { name = 'x', count = 1, per = -1 }", "'x': per is -1, not a number from 1 on" },
    { "bucket { name = 'x', count = 1, per = 1 }",
      "'x': key is a nil, not \"peer\", \"user\", .. or a function of the event" },
    { "bucket { name = 'x', count = 1, per = 1, key = 'pere' }", "'x': there is no key 'pere', did you mean 'peer'?" },
    { "failures { name = 'x', count = 1 }", "unknown field 'count'" },
    { "failures { name = 'x', most = '1' }", "'x': most is string, not a number from 1 on" },
  }
  for _, case in ipairs(mistakes) do
    it("says of " .. case[1] .. ": " .. case[2], function()
      local ok, why = pcall(policy, "\nlocal x = durward.limit." .. case[1] .. "\nreturn {}")
      assert.is_false(ok)
      local kind = case[1]:match("^%a+")
      assert.equal("policy.lua:2: limit." .. kind .. ": " .. case[2], why)
    end)
  end
end)

describe("limit.failures", function()
  it("counts by key, forgets after a while, and at a success", function()
    local one = policy([[
      local wrong = durward.limit.failures { name = "wrong passwords", most = 3, per = 900, key = "username" }
      return {
        map = function(event)
          local yes, why = wrong.within(event)
          if not yes then
            return nil, why
          elseif event.plain.password:equals("right") then
            wrong.clear(event)
            return event.plain.username
          end
          return nil, "wrong for time " .. wrong.add(event)
        end,
        authorize = rule.allow("all"),
      }]])
    local function try(time, username, password)
      local decision = one:decide({ time = time, plain = { username = username, password = password } })
      return decision.user or decision.reason:gsub("^not mapped: ", "")
    end
    assert.equal("wrong for time 1", (try(1, "alice", "x")))
    assert.equal("wrong for time 2", (try(10, "alice", "x")))
    assert.equal("alice", (try(20, "alice", "right")))
    for i = 1, 3 do
      assert.equal("wrong for time " .. i, (try(20 + i, "alice", "x")))
    end
    local full = "wrong passwords: 3 for alice, forgotten 900 seconds after the last"
    assert.equal(full, (try(30, "alice", "right")))
    assert.equal("bob", (try(30, "bob", "right")))
    assert.equal(full, (try(922, "alice", "right")))
    assert.equal("alice", (try(923, "alice", "right")))
  end)
end)
