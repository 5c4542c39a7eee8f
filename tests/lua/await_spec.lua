local kit = require("durward.kit")
package.path = "tests/lua/?.lua;" .. package.path
local support = require("support")

-- What the hook's chunk returns, as text, stands in the reason.
local function told(chunk, options)
  local decision = support.policy("local await, groups, roster = durward.await, durward.groups, durward.roster "
    .. "return { map = function(event) return nil, tostring((function() " .. chunk .. " end)()) end }", options)
    :decide({ principal = "alice@HOME.EXAMPLE" })
  return (decision.reason:gsub("^not mapped: ", "")), decision
end

local DNS = { dns = {
  ["a.example"] = { A = { "192.0.2.7", "192.0.2.8" }, TXT = { "one", "two" } },
  ["gone.example"] = false,
  ["broken.example"] = "the server failed",
  ["kdc.example"] = { SRV = { { target = "k1.example", port = 88, priority = 0, weight = 5 } } },
} }

describe("durward.await", function()
  it("resolves, as the stubs say", function()
    assert.equal("192.0.2.7 192.0.2.8", told("return table.concat(await.resolve('a.example'), ' ')", DNS))
    assert.equal("one two", told("return table.concat(await.resolve('a.example', 'TXT'), ' ')", DNS))
    assert.equal("k1.example:88", told("local r = await.resolve('kdc.example', 'SRV')[1] "
      .. "return r.target .. ':' .. r.port",
      DNS))
    assert.equal("no such name", told("return select(2, await.resolve('gone.example', 'TXT'))", DNS))
    assert.equal("no AAAA record", told("return select(2, await.resolve('a.example', 'AAAA'))", DNS))
    assert.equal("the server failed", told("return select(2, await.resolve('broken.example', 'A'))", DNS))
  end)

  it("names a stub that is missing", function()
    local reason, decision = told("return await.resolve('other.example', 'TXT')", DNS)
    assert.equal("temporary", decision.verdict)
    assert.matches("await: no stub for TXT other%.example$", reason)
    assert.matches("no stub for groups alice$", (told("return await.groups('alice')")))
  end)

  it("tells every look-up and its answer, and makes it once", function()
    local _, decision = told("await.resolve('a.example', 'TXT') await.resolve('a.example', 'TXT') "
      .. "await.resolve('gone.example')", DNS)
    assert.equal(3, #decision.trace)
    local first, second = decision.trace[1], decision.trace[2]
    assert.same({ "TXT", "a.example", { "one", "two" } }, { first.want, first.key, first.answer })
    assert.same({ "A", "gone.example", "no such name" }, { second.want, second.key, second.failed })
    assert.matches("^map: TXT a%.example: %[\"one\",\"two\"%]", kit.trace(decision))
  end)

  it("takes no misuse", function()
    assert.matches("await: the name is empty", (told("return await.resolve('')")))
    assert.matches("invalid option 'MX'", (told("return await.resolve('a.example', 'MX')")))
    assert.matches("the name of more than 253 octets", (told("return await.resolve(('a'):rep(300))")))
    assert.matches("await: sleep takes 0 to 3600", (told("return await.sleep(-1)")))
    assert.matches("await: the user holds a NUL", (told("return await.groups('a\\0b')")))
  end)

  it("waits through pcall, coroutines, iterators and metamethods", function()
    assert.equal("true192.0.2.7", told("local ok, list = pcall(await.resolve, 'a.example') "
      .. "return tostring(ok) .. list[1]",
      DNS))
    assert.equal("one", told("local co = coroutine.wrap(function() "
      .. "coroutine.yield(await.resolve('a.example', 'TXT')[1]) end) "
      .. "return co()", DNS))
    assert.equal("true192.0.2.7", told("local co = coroutine.create(function() return pcall(coroutine.wrap(function() "
      .. "return await.resolve('a.example')[1] end)) end) "
      .. "local _, ok, v = coroutine.resume(co) return tostring(ok) .. v", DNS))
    assert.equal("12", told("local s = '' for i in coroutine.wrap(function() for i = 1, 2 do await.sleep(i / 100) "
      .. "coroutine.yield(i) end end) do s = s .. i end return s"))
    assert.equal("192.0.2.7", told("local t = setmetatable({}, { __index = function(_, k) "
      .. "return await.resolve(k)[1] end }) "
      .. "return t['a.example']", DNS))
    assert.matches("^caught .*oops", (told("local ok, e = pcall(function() await.sleep(0.1) error('oops') end) "
      .. "return 'caught ' .. e")))
  end)

  it("says where nothing can wait", function()
    for _, chunk in ipairs({
      "table.sort({ 3, 2, 1 }, function(a, b) await.sleep(0) return a < b end)",
      "return (('abc'):gsub('.', function() await.sleep(0) end))",
      "('abc'):gsub('.', function() coroutine.wrap(function() await.sleep(0) end)() end)",
    }) do
      assert.matches("await: cannot wait here", (told(chunk)))
    end
    local _, why = pcall(support.policy, "durward.await.sleep(1) return {}")
    assert.equal("policy.lua:1: await: only a hook can wait, not a policy that is being loaded", why)
  end)

  it("ends what takes too long", function()
    local reason, decision = told("await.sleep(3) await.sleep(3) return 'late'")
    assert.equal("temporary", decision.verdict)
    assert.equal("map: no answer in time to sleep 3", reason)
    reason, decision = told("while true do await.sleep(0) end")
    assert.same({ "temporary", "map: instruction limit (10000000) reached" }, { decision.verdict, reason })
  end)

  it("does not take a coroutine's own yield for a wait", function()
    assert.matches("the policy yielded, but not to durward", (told("coroutine.yield(1)")))
    assert.equal("1", told("local co = coroutine.wrap(function() coroutine.yield(1) end) return co()"))
  end)
end)

describe("durward.groups", function()
  local STUBS = { groups = { alice = { "staff", "ops" }, bob = {}, ghost = false },
    group_files = { teams = { alice = { "blue" } } } }

  local function outcome(authorize, user, before)
    local decision = support.policy((before or "") .. " return { map = function(e) return e.principal.primary end, "
      .. "authorize = rule.first { rule.allow('in', " .. authorize .. ") } }", STUBS)
      :decide({ principal = user .. "@HOME.EXAMPLE" })
    return decision.verdict, decision.trace[#decision.trace - 1].text
  end

  it("matches the system's groups", function()
    assert.equal("allow", (outcome("match.group('ops', 'admin')", "alice")))
    assert.same({ "deny", 'rule "in" did not match: in no group' }, { outcome("match.group('ops')", "bob") })
    assert.same({ "deny", 'rule "in" did not match: groups are staff, ops' }, { outcome("match.group('x')", "alice") })
    assert.same({ "deny", "rule \"in\" did not match: the system knows no user 'ghost'" },
      { outcome("match.group('ops')", "ghost") })
  end)

  it("matches the groups of a file", function()
    local before = "local teams = durward.groups.file('teams')"
    assert.equal("allow", (outcome("teams:member('blue')", "alice", before)))
    assert.equal("allow", (outcome("function(e) return teams:has(e.user, 'blue') end", "alice", before)))
    assert.equal("deny", (outcome("teams:member('blue')", "bob", before)))
  end)

  it("takes no misuse", function()
    local _, why = pcall(outcome, "match.group()", "alice")
    assert.equal("policy.lua:1: match.group: expected at least one group", why)
  end)
end)

describe("durward.roster", function()
  local folder

  local function write(name, text)
    local file = assert(io.open(folder .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end

  local function load(text, options)
    write("policy.lua", "local durward = require('durward') " .. text)
    local ok, policy = pcall(kit.load, folder .. "/policy.lua", options)
    return ok and policy or nil, not ok and (policy:gsub("^tests[^ ]* ", ""):gsub(folder:gsub("%p", "%%%0") .. "/", ""))
  end

  local function row(text, file, key)
    write(file, text)
    local policy, why = load("local r = durward.roster('r', '" .. file .. "') return { map = function() "
      .. "local row = r:get('" .. key .. "') return nil, row and row.shift or 'none' end }")
    return policy and policy:decide({ principal = "a@B" }).reason:gsub("^not mapped: ", "") or why
  end

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
  end)

  after_each(function()
    os.execute("rm -r " .. folder)
  end)

  it("reads columns", function()
    assert.equal("now", row("user\tshift\n\n# a remark\nalice\tnow\r\nbob\tlater\n", "r.tsv", "alice"))
    assert.equal("none", row("user\tshift\nalice\tnow\nbob\t\n", "r.tsv", "bob"))
    assert.equal("none", row("user\tshift\n", "r.tsv", "alice"))
  end)

  it("reads JSON lines", function()
    assert.equal("now", row('{"key":"alice","shift":"now"}\n\n', "r.jsonl", "alice"))
    assert.equal("none", row('{"key":"alice"}', "r.jsonl", "alice"))
  end)

  it("names the line that is wrong", function()
    for text, why in pairs({
      ["user\tshift\nalice\tnow\tx\n"] = "r.tsv:2: 3 columns, but the header has 2",
      ["user\tshift\nalice\tnow\nalice\tlater\n"] = "r.tsv:3: 'alice' stands there twice",
      ["user\tuser\n"] = "r.tsv:1: two columns are named 'user'",
      ["user\tshift\n\tnow\n"] = "r.tsv:2: the key is empty",
    }) do
      assert.equal("policy.lua:1: " .. why, row(text, "r.tsv", "alice"))
    end
    assert.matches("^policy.lua:1: r.jsonl:2: ", row('{"key":"a"}\n{"key"}\n', "r.jsonl", "a"))
    assert.equal("policy.lua:1: r.jsonl:1: the row has no text in its field 'key'", row('{"name":"a"}\n',
      "r.jsonl", "a"))
    local _, why = load("durward.roster('r', 'missing.tsv') return {}")
    assert.equal("policy.lua:1: missing.tsv: No such file or directory", why)
  end)

  it("is looked up by its name, and stubbed by it", function()
    local text = "durward.roster('staff', 'nowhere.tsv') return { map = function(e) "
      .. "local row = durward.await.lookup('staff', e.principal.primary) return row and row.user, 'not there' end }"
    local policy = load(text, { rosters = { staff = { alice = { user = "al" } } } })
    local decision = policy:decide({ principal = "alice@B" })
    assert.same({ "al", "roster:staff" }, { decision.user, decision.trace[1].want })
    assert.equal("not mapped: not there", policy:decide({ principal = "bob@B" }).reason)
  end)

  it("takes no misuse", function()
    local _, why = load("durward.roster('r', 'r.tsv', { kye = 'x' }) return {}")
    assert.equal("policy.lua:1: roster: unknown option 'kye'; there is 'key'", why)
    local policy = load("return { map = function() return durward.await.lookup('r', 'x') end }")
    assert.matches("policy.lua:1: there is no roster 'r'; declare it: durward.roster%(\"r\", FILE%)$",
      policy:decide({ principal = "a@B" }).reason)
    policy = load("return { map = function() local r = durward.roster('r', 'r.tsv') return r end }")
    assert.matches("policy.lua:1: roster: declare it while the policy is loaded",
      policy:decide({ principal = "a@B" }).reason)
  end)
end)

describe("kit", function()
  it("freezes the clock", function()
    local policy = support.policy("return { map = function(e) return nil, tostring(e.time) end }",
      { time = 1763805600 })
    assert.equal("not mapped: 1763805600.0", policy:decide({ principal = "a@B" }).reason)
    assert.equal("not mapped: 5.0", policy:decide({ principal = "a@B", time = 5 }).reason)
  end)

  it("names a mistaken option", function()
    assert.has_error(function()
      support.policy("return {}", { rostres = {} })
    end)
    assert.has_error(function()
      support.policy("return {}", { dns = { ["a.example"] = { MX = {} } } })
    end)
  end)
end)
