package.path = "tests/lua/?.lua;" .. package.path
local support = require("support")
local maps, policy = support.maps, support.policy

describe("map", function()
  local cases = {
    { "map.strip_realm('HOME.EXAMPLE')", "alice@HOME.EXAMPLE", "alice" },
    { "map.strip_realm('HOME.EXAMPLE')", "alice@OTHER.EXAMPLE", nil, "realm is OTHER.EXAMPLE" },
    { "map.strip_realm('HOME.EXAMPLE')", "alice/admin@HOME.EXAMPLE", nil, "the name has more than one component" },
    { "map.strip_realm('HOME.EXAMPLE')", nil, nil, "no principal" },
    { "map.name('%1-%2', 'HOME.EXAMPLE')", "alice/admin@HOME.EXAMPLE", "alice-admin" },
    { "map.name('%1-%2', 'HOME.EXAMPLE')", "alice@HOME.EXAMPLE", nil, "the name has 1 component(s), not 2" },
    { "map.name('%1.%0', 'HOME.EXAMPLE')", "alice@HOME.EXAMPLE", "alice.HOME.EXAMPLE" },
    { "map.name('%1%%', 'HOME.EXAMPLE')", "alice@HOME.EXAMPLE", "alice%" },
    { "map.name('%1', 'HOME.EXAMPLE')", "%2@HOME.EXAMPLE", "%2" },
    { "map.table { ['alice@HOME.EXAMPLE'] = 'al' }", "alice@HOME.EXAMPLE", "al" },
    { "map.table { ['alice@HOME.EXAMPLE'] = 'al' }",
      "bob@HOME.EXAMPLE", nil, "bob@HOME.EXAMPLE is not in the table" },
    { "map.chain { map.strip_realm('A'), map.strip_realm('B') }", "alice@B", "alice" },
    { "map.chain { map.strip_realm('A'), map.strip_realm('B') }", "alice@C", nil, "realm is C; realm is C" },
    { "map.lower(map.strip_realm('A'))", "ALICE@A", "alice" },
    { "map.lower(map.strip_realm('A'))", "alice@B", nil, "realm is B" },
    { "map.a2l('RULE:[1:$1@$0](.*@A)s/@.*//', { dialect = 'mit', default_realm = 'H' })", "alice@A", "alice" },
  }
  for i, case in ipairs(cases) do
    it(("%d: %s of %s"):format(i, case[1], tostring(case[2])), function()
      local user, why = maps(case[1], case[2])
      assert.same({ case[3], case[4] }, { user, not user and why or nil })
    end)
  end

  local mistakes = {
    { "map.strip_realm()",
      "map.strip_realm: expected at least one realm, as in map.strip_realm(.., \"HOME.EXAMPLE\")" },
    { "map.name('%x', 'A')", "map.name: '%x': '%x' is none of %0 to %9 and %%" },
    { "map.name('x', 'A')", "map.name: 'x' holds no component of the name, %1 or more" },
    { "map.name('%1')", "map.name: expected at least one realm, as in map.name(.., \"HOME.EXAMPLE\")" },
    { "map.table { alice = 'al' }",
      "map.table: malformed principal name alice: it has no realm, and no default realm is set" },
    { "map.table { ['a@B'] = 1 }", "map.table: the user of 'a@B' is a number" },
    { "map.chain {}", "map.chain: expected a list of maps: map.chain { .. }" },
    { "map.lower()", "map.lower: expected a map, got nil" },
  }
  for _, case in ipairs(mistakes) do
    it(case[1] .. " is told at load, with its line", function()
      local ok, why = pcall(policy, "\nlocal x = " .. case[1] .. "\nreturn {}")
      assert.is_false(ok)
      assert.equal("policy.lua:2: " .. case[2], why)
    end)
  end

  it("tells each a2l rule and substitution to who asks why", function()
    local decision = support.policy([[return { map = map.a2l({
      "RULE:[2:$1;$2](^.*;admin$)s/;admin$//",
      "RULE:[1:$1@$0](.*@HOME)s/@HOME/@home/s/@.*//gs/x/y/",
      }, { default_realm = "X" }), authorize = rule.allow('it') }]]):decide({ principal = "alice@HOME" })
    assert.equal("alice", decision.user)
    local steps = {}
    for i, step in ipairs(decision.trace) do
      steps[i] = step.text
    end
    assert.same({
      "a2l rule 1, RULE:[2:$1;$2](^.*;admin$)s/;admin$//: skipped: it is for names of 2 components, this one has 1",
      "a2l rule 2, RULE:[1:$1@$0](.*@HOME)s/@HOME/@home/s/@.*//gs/x/y/: matched: maps to alice",
      "a2l rule 2, s/@HOME/@home/: alice@HOME -> alice@home",
      "a2l rule 2, s/@.*//g: alice@home -> alice",
      "a2l rule 2, s/x/y/: matched nothing",
      "user is alice",
      'rule "it" matched: allow',
    }, steps)
    assert.truthy(decision.trace[1].at:find(":1$"))
  end)
end)
