package.path = "tests/lua/?.lua;" .. package.path
local support = require("support")
local policy = support.policy

local function decide(authorize)
  return policy("return { map = function() return 'alice' end,\nauthorize = " .. authorize .. "\n}")
    :decide({ principal = "alice@HOME.EXAMPLE" })
end

local function texts(decision)
  local list = {}
  for i, step in ipairs(decision.trace) do
    list[i] = step.text .. (step.at and " @" .. step.at:match("%d+$") or "")
  end
  return list
end

describe("rule", function()
  it("takes the first that decides, and tells each", function()
    local decision = decide([[rule.first {
      rule.deny("not bob", match.user("bob")),
      rule.allow("alice", match.user("alice"), { reason = "she may", properties = { ["X-Team"] = "ops" } }),
      rule.deny("nobody else"),
    }]])
    assert.same({ "allow", "alice", "she may", { ["X-Team"] = "ops" } },
      { decision.verdict, decision.rule, decision.reason, decision.properties })
    assert.same({
      "user is alice @1",
      'rule "not bob" did not match: user is alice @3',
      'rule "alice" matched: allow @4',
    }, texts(decision))
  end)

  it("gives a refusal its name as reason, unless it has another", function()
    assert.equal("closed", decide("rule.deny('closed')").reason)
    assert.equal("at night", decide("rule.deny('closed', { reason = 'at night' })").reason)
    assert.equal("temporary", decide("rule.temporary('closed')").verdict)
  end)

  it("decides nothing when nothing matches", function()
    local decision = decide("rule.first { rule.allow('x', match.user('bob')) }")
    assert.same({ "deny", "no policy decided on user 'alice'" }, { decision.verdict, decision.reason })
    assert.is_nil(decision.rule)
  end)

  it("asks all, and the first refusal stands", function()
    assert.equal("b", decide("rule.all { rule.allow('a'), rule.allow('b') }").rule)
    assert.equal("b", decide("rule.all { rule.allow('a'), rule.deny('b'), rule.allow('c') }").rule)
    assert.is_nil(decide("rule.all { rule.allow('a'), rule.allow('b', match.user('bob')) }").rule)
  end)

  it("takes functions of the policy's own", function()
    assert.equal("allow", decide("rule.allow('x', function(e) return e.user end)").verdict)
    local decision = decide("rule.allow('x', function() return false, 'no luck' end)")
    assert.equal('rule "x" did not match: no luck', decision.trace[2].text)
    decision = decide("rule.allow('x', rule.allow('y'))")
    assert.equal("temporary", decision.verdict)
    assert.truthy(decision.reason:find("matcher 1 gave a decision, not true or false", 1, true))
  end)

  local mistakes = {
    { "rule.allow()", "rule.allow: a rule starts with its name, a string; got nil" },
    { "rule.allow(match.user('x'))", "rule.allow: a rule starts with its name, a string; got function" },
    { "rule.allow('x', 'y')", "rule.allow: 'x': matcher 1 is a string, not a function" },
    { "rule.allow('x', nil, match.user('y'))", "rule.allow: 'x': matcher 1 is a nil, not a function" },
    { "rule.allow('x', { usr = 'y' })", "allow: unknown field 'usr', did you mean 'user'?" },
    { "rule.deny('x', { user = 'y' })", "deny: unknown field 'user'" },
    { "rule.first()", "rule.first: expected one list of rules: rule.first { .. }" },
    { "rule.first {}", "rule.first: expected at least one rule" },
    { "rule.first { 1 }", "rule.first: rule 1 is a number, not a rule" },
    { "rule.first { x = rule.allow('x') }", "rule.first: expected a list of rules; 'x' has no place in it" },
    { "durward.alow()", "attempt to call a nil value (field 'alow')" },
  }
  for _, case in ipairs(mistakes) do
    it(case[1] .. " is told at load, with its line", function()
      local ok, why = pcall(policy, "\nlocal x = " .. case[1] .. "\nreturn {}")
      assert.is_false(ok)
      assert.equal("policy.lua:2: " .. case[2], why)
    end)
  end
end)
